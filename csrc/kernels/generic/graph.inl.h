// Walking a graph: the estimates over the byte operations of a CPU, the rest without registers.
#pragma once

#include "kernels/generic/bytes.inl.h"
#include "kernels/generic/half.inl.h"
#include "kernels/prefetch.inl.h"

namespace nearfield::kernels {
namespace {

inline std::size_t visit(const std::uint32_t* row, std::size_t width, std::uint64_t* visited,
                         const CodeRows& codes, std::uint32_t* slots, std::uint32_t* factors) {
    std::size_t n = 0;
    for (std::size_t i = 0; i < width && row[i] < codes.n; ++i) {
        const std::uint32_t slot = row[i];
        const std::uint64_t bit = std::uint64_t{1} << (slot % 64);
        slots[n] = slot;
        factors[n] = row[width + i];
        const bool seen = (visited[slot / 64] & bit) != 0;
        if (!seen) prefetch_range(codes.base + slot * codes.stride, codes.bytes);
        visited[slot / 64] |= bit;
        n += !seen;
    }
    return n;
}

/// The last step of an estimate, from dot products; Finish::run of the instruction sets that have a
/// better one.
struct FinishScalar {
    static void run(const std::int32_t* dots, const std::uint32_t* factors, std::size_t n,
                    const EstimateQuery& query, float* distances) {
        for (std::size_t i = 0; i < n; ++i) {
            const float add = half_to_float(static_cast<std::uint16_t>(factors[i]));
            const float scale = half_to_float(static_cast<std::uint16_t>(factors[i] >> 16));
            distances[i] =
                query.a * add + query.b * scale * static_cast<float>(dots[i] - query.shift);
        }
    }
};

template <class B, int bits, class Finish>
void estimate(const EstimateQuery& query, const CodeRows& codes, const std::uint32_t* slots,
              const std::uint32_t* factors, std::size_t n, float* distances) {
    constexpr std::size_t block = 64;
    const IntegerDot<B, CodeProduct<B, bits>> kernel(query.codes, codes.bytes);
    alignas(64) std::int32_t dots[block + 4];
    for (std::size_t i = 0; i < n; i += block) {
        const std::size_t m = n - i < block ? n - i : block;
        run_fetched(kernel, codes.base, slots + i, m, codes.stride, dots);
        Finish::run(dots, factors + i, m, query, distances + i);
    }
}

inline std::size_t pool_insert(const Pool& pool, std::size_t* size, std::size_t capacity,
                               const float* distances, const std::uint32_t* slots, std::size_t n) {
    std::size_t lowest = capacity;
    for (std::size_t i = 0; i < n; ++i) {
        const float distance = distances[i];
        const bool full = *size == capacity;
        if (!(distance < (full ? pool.distances[capacity - 1] : __builtin_inff()))) continue;
        std::size_t at = full ? capacity - 1 : (*size)++;
        for (; at > 0 && pool.distances[at - 1] > distance; --at) {
            pool.distances[at] = pool.distances[at - 1];
            pool.nodes[at] = pool.nodes[at - 1];
        }
        pool.distances[at] = distance;
        pool.nodes[at] = slots[i] << 1;
        if (at < lowest) lowest = at;
    }
    return lowest;
}

template <class B, class Finish>
constexpr void fill_estimates(Kernels& table) {
    table.estimate_u8 = estimate<B, 8, Finish>;
    table.estimate_u4 = estimate<B, 4, Finish>;
    table.estimate_u2 = estimate<B, 2, Finish>;
    table.estimate_u1 = estimate<B, 1, Finish>;
}

constexpr void fill_graph(Kernels& table) {
    table.visit = visit;
    table.pool_insert = pool_insert;
}

}  // namespace
}  // namespace nearfield::kernels
