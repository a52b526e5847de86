// XXH3, 64 bits, seed 0 (Yann Collet, github.com/Cyan4973/xxHash, doc/xxhash_spec.md): a fast hash
// that finds accidents. It keeps nobody out who can compute it too.
#pragma once

#include <cstddef>
#include <cstdint>

namespace nearfield {

std::uint64_t xxh3(const void* data, std::size_t bytes);

}  // namespace nearfield
