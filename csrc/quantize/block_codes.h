// Codes of vectors in blocks of 32, made to be scanned from front to back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/buffer.h"
#include "core/run.h"
#include "core/state.h"
#include "core/types.h"

namespace nearfield {

class HeadedCodes;

/// Throws CorruptIndex, naming the section, unless all values are finite.
void require_finite(const char* section, const std::vector<float>& values);

/// A vector r is coded as y, of which only the direction counts: whoever stores the code also keeps
/// a factor f so that f (y . q) estimates r . q. A query becomes bytes, from which a scan makes one
/// integer a row: y . q is about unit * (sum - shift).
/// Threads: const calls may run at once, each with its own scratch.
class BlockCodes {
  public:
    static constexpr std::size_t block_rows = 32;

    virtual ~BlockCodes() = default;

    /// Learns from vectors (n, dim).
    virtual void train(const MatrixView& sample, const Run& run) = 0;
    /// Bytes of a code before it is packed.
    virtual std::size_t code_size() const = 0;
    /// Code (code_size,) of a vector (dim,).
    virtual void encode(const float* vector, std::uint8_t* code) const = 0;
    /// y (dim,).
    virtual void decode(const std::uint8_t* code, float* y) const = 0;

    /// What training found, to be saved.
    virtual void state(StateWriter&) const {}
    virtual void load(StateReader&) {}

    virtual std::size_t block_bytes() const = 0;
    /// Writes a code to place `lane` of a block; a fresh block is zero.
    virtual void pack(const std::uint8_t* code, std::size_t lane, std::byte* block) const = 0;
    virtual void unpack(const std::byte* block, std::size_t lane, std::uint8_t* code) const = 0;

    /// A code may come in two parts. Then blocks hold the first, which stands for a y of its own,
    /// and a row of so many bytes holds the rest; 0: it all lies in the block.
    virtual std::size_t row_bytes() const { return 0; }
    /// Where first parts are heads.
    virtual const HeadedCodes* headed() const { return nullptr; }
    virtual void decode_first(const std::uint8_t*, float*) const {}
    virtual void pack_row(const std::uint8_t*, std::byte*) const {}
    /// Adds to what unpack() gives.
    virtual void unpack_row(const std::byte*, std::uint8_t*) const {}

    struct Query {
        const float* values = nullptr;  // (dim,)
        const std::int8_t* ints =
            nullptr;  // about values / int_unit, zero-padded to int_width(dim)
        float int_unit = 0;
        std::int32_t int_sum = 0;
    };
    struct Terms {
        float unit = 0;
        std::int32_t shift = 0;
        float rest_unit = 0;  // where codes have two parts, of what the second adds
        std::int32_t rest_shift = 0;
    };
    /// Bytes of a prepared query.
    virtual std::size_t query_bytes() const = 0;
    virtual Terms prepare(const Query& query, std::byte* out) const = 0;

    struct Scratch {
        Buffer panels;
        std::vector<std::int32_t> ints;
    };
    /// Of blocks alone: sums[i * stride + row] for queries i in [0, m), which lie query_bytes
    /// apart, and the rows of n blocks. `sums` is 64-byte aligned, the stride a multiple of 16.
    virtual void scan(const std::byte* queries, std::size_t m, const std::byte* blocks,
                      std::size_t n, std::int32_t* sums, std::size_t stride,
                      Scratch& scratch) const = 0;
    /// products[i]: about q . y for the whole code of row places[i], i < n, where first[i] is what
    /// scan() gave for it.
    virtual void complete(const std::byte*, const Terms&, const std::byte*, const std::uint32_t*,
                          std::size_t, const std::int32_t*, Scratch&, float*) const {}
};

}  // namespace nearfield
