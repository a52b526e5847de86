// Walking a graph: the estimates over the byte operations of a CPU, the rest without registers.
#pragma once

#include "kernels/generic/bytes.inl.h"
#include "kernels/generic/half.inl.h"
#include "kernels/prefetch.inl.h"

namespace nearfield::kernels {
namespace {

/// Fetches the codes of slots[0, n) and marks them as seen.
inline void fetch_seen(const std::uint32_t* slots, std::size_t n, std::uint64_t* visited,
                       const CodeRows& codes) {
    for (std::size_t i = 0; i < n; ++i) {
        const std::size_t slot = slots[i];
        prefetch_range(codes.base + slot * codes.stride, codes.bytes);
        visited[slot / 64] |= std::uint64_t{1} << (slot % 64);
    }
}

inline std::size_t visit(const std::uint32_t* row, std::size_t width, std::uint64_t* visited,
                         const CodeRows& codes, std::uint32_t* slots, std::uint32_t* factors) {
    std::size_t n = 0;
    for (std::size_t i = 0; i < width && row[i] < codes.n; ++i) {
        const std::size_t slot = row[i];
        slots[n] = row[i];
        factors[n] = row[width + i];
        n += 1 & ~(visited[slot / 64] >> (slot % 64));
    }
    fetch_seen(slots, n, visited, codes);
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

/// How many of values[0, n) are at most `key`, or below it.
template <class F, bool equal>
std::size_t count_up_to(const float* values, std::size_t n, float key) {
    const F limit = F::broadcast(key);
    const auto* const bytes = reinterpret_cast<const Byte*>(values);
    const auto hits = [&](F x) { return equal ? at_most(x, limit) : below(x, limit); };
    std::size_t count = 0, i = 0;
    for (; i + F::lanes <= n; i += F::lanes)
        count += static_cast<std::size_t>(
            __builtin_popcount(hits(F::template load<Scalar::f32>(bytes, i))));
    if (i == n) return count;
    const unsigned rest = hits(F::template load_first<Scalar::f32>(bytes, i, n - i));
    return count + static_cast<std::size_t>(__builtin_popcount(rest & ((1u << (n - i)) - 1)));
}

/// The same of ascending values, by halving where there are many.
template <class F>
std::size_t position(const float* values, std::size_t n, float key) {
    std::size_t at = 0;
    while (n > 8 * F::lanes) {
        const std::size_t half = n / 2;
        at += static_cast<std::size_t>(values[at + half - 1] <= key) * half;
        n -= half;
    }
    return at + count_up_to<F, true>(values + at, n, key);
}

/// Candidates that are near enough are ranked by counting, then what lies between them moves once.
template <class F>
std::size_t pool_insert_ranked(const Pool& pool, std::size_t* size, std::size_t capacity,
                               const float* distances, const std::uint32_t* slots, std::size_t n) {
    const std::size_t held = *size;
    const float worst = held == capacity ? pool.distances[capacity - 1] : __builtin_inff();
    float fresh[pool_batch + 1], sorted[pool_batch];
    std::uint32_t nodes[pool_batch + 1], sorted_nodes[pool_batch];
    std::size_t found = 0;
    for (std::size_t i = 0; i < n; ++i) {
        fresh[found] = distances[i];
        nodes[found] = slots[i] << 1;
        found += distances[i] < worst;
    }
    if (found == 0) return capacity;
    for (std::size_t i = 0; i < found; ++i) {
        // Before it come the nearer ones, and equals that came earlier.
        const std::size_t rank = count_up_to<F, true>(fresh, i, fresh[i]) +
                                 count_up_to<F, false>(fresh + i + 1, found - i - 1, fresh[i]);
        sorted[rank] = fresh[i];
        sorted_nodes[rank] = nodes[i];
    }
    std::size_t end = held;
    for (std::size_t i = found; i-- > 0;) {
        const std::size_t at = position<F>(pool.distances, end, sorted[i]);
        __builtin_memmove(pool.distances + at + i + 1, pool.distances + at,
                          (end - at) * sizeof(float));
        __builtin_memmove(pool.nodes + at + i + 1, pool.nodes + at,
                          (end - at) * sizeof(std::uint32_t));
        pool.distances[at + i] = sorted[i];
        pool.nodes[at + i] = sorted_nodes[i];
        end = at;
    }
    *size = held + found < capacity ? held + found : capacity;
    return end;
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
