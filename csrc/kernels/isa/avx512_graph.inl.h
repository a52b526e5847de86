// Walking a graph with AVX-512: gathers and compressed stores replace the branches, which are
// unpredictable and cost more than the arithmetic.
#pragma once

#include <immintrin.h>

#include "kernels/generic/graph.inl.h"
#include "kernels/isa/avx512.inl.h"
#include "kernels/prefetch.inl.h"

namespace nearfield::kernels {
namespace {

inline std::size_t ones(unsigned mask) {
    return static_cast<std::size_t>(__builtin_popcount(mask));
}

/// `lines` is how many a code has, up to 4; 0 stands for more.
template <std::size_t lines>
[[gnu::always_inline]] inline std::size_t visit_lines(const std::uint32_t* row, std::size_t width,
                                                      std::uint64_t* visited, const CodeRows& codes,
                                                      std::uint32_t* slots,
                                                      std::uint32_t* factors) {
    const __m512i one = _mm512_set1_epi32(1), low5 = _mm512_set1_epi32(31);
    const __m512i limit = _mm512_set1_epi32(static_cast<int>(codes.n));
    const std::uint8_t* const base = codes.base;
    const std::size_t stride = codes.stride, bytes = codes.bytes;
    std::size_t n = 0;
    for (std::size_t i = 0; i < width; i += 16) {
        const __m512i slot = _mm512_loadu_si512(row + i);
        const __mmask16 used = _mm512_cmplt_epu32_mask(slot, limit);
        const __m512i words = _mm512_mask_i32gather_epi32(_mm512_setzero_si512(), used,
                                                          _mm512_srli_epi32(slot, 5), visited, 4);
        const __m512i bit = _mm512_sllv_epi32(one, _mm512_and_si512(slot, low5));
        const __mmask16 fresh = _mm512_mask_testn_epi32_mask(used, words, bit);
        _mm512_storeu_si512(slots + n, _mm512_maskz_compress_epi32(fresh, slot));
        _mm512_storeu_si512(
            factors + n, _mm512_maskz_compress_epi32(fresh, _mm512_loadu_si512(row + width + i)));
        for (const std::size_t end = n + ones(fresh); n < end; ++n) {
            const std::size_t at = slots[n];
            const std::uint8_t* const code = base + at * stride;
            if constexpr (lines > 0)
                unrolled<lines>([&](auto line) { prefetch(code + cache_line * line); });
            else
                prefetch_range(code, bytes);
            visited[at / 64] |= std::uint64_t{1} << (at % 64);
        }
        if (used != 0xffff) break;
    }
    return n;
}

inline std::size_t visit_avx512(const std::uint32_t* row, std::size_t width, std::uint64_t* visited,
                                const CodeRows& codes, std::uint32_t* slots,
                                std::uint32_t* factors) {
    switch ((codes.bytes + cache_line - 1) / cache_line) {
        case 1:
            return visit_lines<1>(row, width, visited, codes, slots, factors);
        case 2:
            return visit_lines<2>(row, width, visited, codes, slots, factors);
        case 3:
            return visit_lines<3>(row, width, visited, codes, slots, factors);
        case 4:
            return visit_lines<4>(row, width, visited, codes, slots, factors);
        default:
            return visit_lines<0>(row, width, visited, codes, slots, factors);
    }
}

struct FinishAvx512 {
    static void run(const std::int32_t* dots, const std::uint32_t* factors, std::size_t n,
                    const EstimateQuery& query, float* distances) {
        const __m512 a = _mm512_set1_ps(query.a), b = _mm512_set1_ps(query.b);
        const __m512i shift = _mm512_set1_epi32(query.shift);
        for (std::size_t i = 0; i < n; i += 16) {
            const __mmask16 mask = n - i < 16 ? first_lanes(n - i) : static_cast<__mmask16>(0xffff);
            const __m512i pair = _mm512_maskz_loadu_epi32(mask, factors + i);
            const __m512 add = _mm512_cvtph_ps(_mm512_cvtepi32_epi16(pair));
            const __m512 scale =
                _mm512_cvtph_ps(_mm512_cvtepi32_epi16(_mm512_srli_epi32(pair, 16)));
            const __m512 dot = _mm512_cvtepi32_ps(
                _mm512_sub_epi32(_mm512_maskz_loadu_epi32(mask, dots + i), shift));
            const __m512 product = _mm512_mul_ps(_mm512_mul_ps(b, scale), dot);
            _mm512_storeu_ps(distances + i, _mm512_add_ps(_mm512_mul_ps(a, add), product));
        }
    }
};

/// Longer pools are searched by halving, and the longest merged by moving the parts between new
/// entries.
inline constexpr std::size_t counted_pool = 256;
inline constexpr std::size_t max_merge_blocks = 80;

/// How many of pool[0, size) are at most `distance`.
[[gnu::always_inline]] inline std::size_t pool_position(const float* pool, std::size_t size,
                                                        float distance) {
    if (size == 0) return 0;
    std::size_t at = 0;
    if (size <= counted_pool) {
        const __m512 key = _mm512_set1_ps(distance);
        std::size_t i = 0;
        for (; i + 16 <= size; i += 16)
            at += ones(_mm512_cmp_ps_mask(_mm512_loadu_ps(pool + i), key, _CMP_LE_OQ));
        return at + ones(_mm512_mask_cmp_ps_mask(first_lanes(size - i), _mm512_loadu_ps(pool + i),
                                                 key, _CMP_LE_OQ));
    }
    for (std::size_t left = size; left > 1;) {
        const std::size_t half = left / 2;
        at += static_cast<std::size_t>(pool[at + half - 1] <= distance) * half;
        left -= half;
    }
    return at + static_cast<std::size_t>(pool[at] <= distance);
}

/// Candidates on their way into a pool.
struct Fresh {
    float distances[pool_batch + 32];
    std::uint32_t nodes[pool_batch + 32];
};

/// Those nearer than the pool's worst, in their order.
[[gnu::always_inline]] inline std::size_t pool_candidates(float worst, const float* distances,
                                                          const std::uint32_t* slots, std::size_t n,
                                                          Fresh& out) {
    const __m512 limit = _mm512_set1_ps(worst);
    std::size_t found = 0;
    for (std::size_t i = 0; i < n; i += 16) {
        const __mmask16 mask = n - i < 16 ? first_lanes(n - i) : static_cast<__mmask16>(0xffff);
        const __m512 distance = _mm512_maskz_loadu_ps(mask, distances + i);
        const __m512i node = _mm512_slli_epi32(_mm512_maskz_loadu_epi32(mask, slots + i), 1);
        const __mmask16 better = _mm512_mask_cmp_ps_mask(mask, distance, limit, _CMP_LT_OQ);
        _mm512_storeu_ps(out.distances + found, _mm512_maskz_compress_ps(better, distance));
        _mm512_storeu_si512(out.nodes + found, _mm512_maskz_compress_epi32(better, node));
        found += ones(better);
    }
    _mm512_storeu_ps(out.distances + found, _mm512_set1_ps(__builtin_inff()));
    return found;
}

/// How many of the n candidates go before number i: the nearer ones, and equals that came earlier.
[[gnu::always_inline]] inline std::size_t rank_of(const Fresh& fresh, std::size_t n,
                                                  std::size_t i) {
    const __m512 key = _mm512_set1_ps(fresh.distances[i]);
    const std::size_t own = i / 16 * 16;
    std::size_t rank = 0;
    for (std::size_t j = 0; j < own; j += 16)
        rank += ones(_mm512_cmp_ps_mask(_mm512_loadu_ps(fresh.distances + j), key, _CMP_LE_OQ));
    const __m512 beside = _mm512_loadu_ps(fresh.distances + own);
    rank += ones(_mm512_cmp_ps_mask(beside, key, _CMP_LT_OQ) |
                 _mm512_mask_cmp_ps_mask(first_lanes(i - own), beside, key, _CMP_EQ_OQ));
    for (std::size_t j = own + 16; j < n; j += 16)
        rank += ones(_mm512_cmp_ps_mask(_mm512_loadu_ps(fresh.distances + j), key, _CMP_LT_OQ));
    return rank;
}

/// Writes the union of pool[0, size) and the sorted candidates from block `first` to `last`, last
/// first; `taken` has a bit where a candidate goes, and `left` of them go there or before.
[[gnu::always_inline]] inline void pool_merge(const Pool& pool, std::size_t first, std::size_t last,
                                              const Fresh& sorted, std::size_t left,
                                              const std::uint16_t* taken) {
    for (std::size_t block = last + 1; block-- > first;) {
        const auto mask = static_cast<__mmask16>(taken[block - first]);
        const auto kept = static_cast<__mmask16>(~mask);
        left -= ones(mask);
        const std::size_t old = 16 * block - left;
        __m512 distance = _mm512_maskz_expandloadu_ps(kept, pool.distances + old);
        distance = _mm512_mask_expandloadu_ps(distance, mask, sorted.distances + left);
        __m512i node = _mm512_maskz_expandloadu_epi32(kept, pool.nodes + old);
        node = _mm512_mask_expandloadu_epi32(node, mask, sorted.nodes + left);
        _mm512_storeu_ps(pool.distances + 16 * block, distance);
        _mm512_storeu_si512(pool.nodes + 16 * block, node);
    }
}

/// The same for long pools, by moving what lies between candidates.
inline void pool_splice(const Pool& pool, std::size_t held, const Fresh& sorted, std::size_t n) {
    std::size_t end = held;
    for (std::size_t i = n; i-- > 0;) {
        const std::size_t at = pool_position(pool.distances, end, sorted.distances[i]);
        const std::size_t bytes = (end - at) * sizeof(float);
        __builtin_memmove(pool.distances + at + i + 1, pool.distances + at, bytes);
        __builtin_memmove(pool.nodes + at + i + 1, pool.nodes + at, bytes);
        pool.distances[at + i] = sorted.distances[i];
        pool.nodes[at + i] = sorted.nodes[i];
        end = at;
    }
}

inline std::size_t pool_insert_avx512(const Pool& pool, std::size_t* size, std::size_t capacity,
                                      const float* distances, const std::uint32_t* slots,
                                      std::size_t n) {
    Fresh fresh, sorted;
    const std::size_t held = *size;
    const float worst = held == capacity ? pool.distances[capacity - 1] : __builtin_inff();
    const std::size_t found = pool_candidates(worst, distances, slots, n, fresh);
    if (found == 0) return capacity;
    const std::size_t total = held + found;
    *size = total < capacity ? total : capacity;
    std::size_t lowest = held;
    if (total > 16 * max_merge_blocks) {
        for (std::size_t i = 0; i < found; ++i) {
            const std::size_t rank = rank_of(fresh, found, i);
            sorted.distances[rank] = fresh.distances[i];
            sorted.nodes[rank] = fresh.nodes[i];
        }
        lowest = pool_position(pool.distances, held, sorted.distances[0]);
        pool_splice(pool, held, sorted, found);
        return lowest;
    }
    std::uint16_t taken[max_merge_blocks] = {};
    for (std::size_t i = 0; i < found; ++i) {
        const std::size_t rank = rank_of(fresh, found, i);
        const std::size_t before = pool_position(pool.distances, held, fresh.distances[i]);
        const std::size_t at = rank + before;
        sorted.distances[rank] = fresh.distances[i];
        sorted.nodes[rank] = fresh.nodes[i];
        taken[at / 16] = static_cast<std::uint16_t>(taken[at / 16] | 1u << (at % 16));
        lowest = before < lowest ? before : lowest;
    }
    // Nothing beyond `capacity` is needed, and nothing before the lowest changes.
    const std::size_t first = lowest / 16, last = (*size - 1) / 16;
    std::size_t left = 0;
    for (std::size_t block = first; block <= last; ++block) left += ones(taken[block]);
    pool_merge(pool, first, last, sorted, left, taken + first);
    return lowest;
}

}  // namespace
}  // namespace nearfield::kernels
