// Walking a graph, without registers: what every instruction set can do.
#pragma once

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

inline void estimate(const std::int32_t* dots, const std::uint32_t* factors, std::size_t n,
                     const EstimateQuery& query, float* distances) {
    for (std::size_t i = 0; i < n; ++i) {
        const float add = half_to_float(static_cast<std::uint16_t>(factors[i]));
        const float scale = half_to_float(static_cast<std::uint16_t>(factors[i] >> 16));
        distances[i] =
            query.a * add + query.b * scale * static_cast<float>(dots[i] - query.shift);
    }
}

inline std::uint32_t bits_of(float value) {
    std::uint32_t bits;
    __builtin_memcpy(&bits, &value, sizeof bits);
    return bits;
}

inline std::size_t pool_insert(std::uint64_t* pool, std::size_t* size, std::size_t capacity,
                               const float* distances, const std::uint32_t* slots, std::size_t n) {
    std::size_t lowest = capacity;
    for (std::size_t i = 0; i < n; ++i) {
        const std::uint64_t key = pool_key(bits_of(distances[i]), slots[i]);
        const bool full = *size == capacity;
        if (full && key >= pool[capacity - 1]) continue;
        std::size_t at = full ? capacity - 1 : (*size)++;
        for (; at > 0 && pool[at - 1] > key; --at) pool[at] = pool[at - 1];
        pool[at] = key;
        if (at < lowest) lowest = at;
    }
    return lowest;
}

constexpr void fill_graph(Kernels& table) {
    table.visit = visit;
    table.estimate = estimate;
    table.pool_insert = pool_insert;
}

}  // namespace
}  // namespace nearfield::kernels
