// Sums of table entries by shuffles (Andre, Kermarrec & Le Scouarnec, VLDB 2015), over the
// operations L of a CPU:
//   pairs: how many pairs of tables a step takes; Tables, load(tables);
//   Sums: 16-bit sums of 32 rows, with zero(); add(Sums, codes, Tables);
//   flush(Sums, sums): adds them to 32 int32.
#pragma once

#include "kernels/generic/rows.inl.h"
#include "kernels/prefetch.inl.h"

namespace nearfield::kernels {
namespace {

/// 2 * 128 entries of at most 255 fit 16 bits.
inline constexpr std::size_t lookup_chunk = 128;

template <class L, int B>
[[gnu::always_inline]] inline void lookup_group(const Byte* tables, const Byte* blocks,
                                                std::size_t pairs, std::int32_t* sums) {
    const std::size_t bytes = pairs * lookup_rows;
    __builtin_memset(sums, 0, B * lookup_rows * sizeof(*sums));
    for (std::size_t first = 0; first < pairs; first += lookup_chunk) {
        const std::size_t end = pairs - first < lookup_chunk ? pairs : first + lookup_chunk;
        typename L::Sums found[B];
        unrolled<B>([&](auto b) { found[b] = L::Sums::zero(); });
        for (std::size_t g = first; g < end; g += L::pairs) {
            const typename L::Tables entries = L::load(tables + 32 * g);
            unrolled<B>([&](auto b) {
                const Byte* const codes = blocks + b * bytes + lookup_rows * g;
                prefetch(codes + B * bytes);
                found[b] = L::add(found[b], codes, entries);
            });
        }
        unrolled<B>([&](auto b) { L::flush(found[b], sums + b * lookup_rows); });
    }
}

template <class L>
void lookup_sums(const std::uint8_t* tables, const std::uint8_t* blocks, std::size_t n,
                 std::size_t pairs, std::int32_t* sums) {
    const std::size_t bytes = pairs * lookup_rows;
    std::size_t i = 0;
    for (; i + 4 <= n; i += 4)
        lookup_group<L, 4>(tables, blocks + i * bytes, pairs, sums + i * lookup_rows);
    for (; i < n; ++i)
        lookup_group<L, 1>(tables, blocks + i * bytes, pairs, sums + i * lookup_rows);
}

}  // namespace
}  // namespace nearfield::kernels
