// Walking a graph with AVX-512: gathers and compressed stores replace the branches, which are
// unpredictable and cost more than the arithmetic.
#pragma once

#include <immintrin.h>

#include "kernels/isa/avx512.inl.h"
#include "kernels/prefetch.inl.h"

namespace nearfield::kernels {
namespace {

/// Pools longer than this from the first change on are merged by moving the parts between new keys.
inline constexpr std::size_t max_merge_blocks = 64;

inline std::size_t visit_avx512(const std::uint32_t* row, std::size_t width, std::uint64_t* visited,
                                const CodeRows& codes, std::uint32_t* slots,
                                std::uint32_t* factors) {
    const __m512i one = _mm512_set1_epi32(1), low5 = _mm512_set1_epi32(31);
    const __m512i limit = _mm512_set1_epi32(static_cast<int>(codes.n));
    std::size_t n = 0;
    for (std::size_t i = 0; i < width; i += 16) {
        const __m512i slot = _mm512_loadu_si512(row + i);
        const __mmask16 used = _mm512_cmplt_epu32_mask(slot, limit);
        const __m512i words = _mm512_mask_i32gather_epi32(_mm512_setzero_si512(), used,
                                                          _mm512_srli_epi32(slot, 5), visited, 4);
        const __m512i bit = _mm512_sllv_epi32(one, _mm512_and_si512(slot, low5));
        const __mmask16 fresh = _mm512_mask_testn_epi32_mask(used, words, bit);
        _mm512_storeu_si512(slots + n, _mm512_maskz_compress_epi32(fresh, slot));
        _mm512_storeu_si512(factors + n, _mm512_maskz_compress_epi32(
                                             fresh, _mm512_loadu_si512(row + width + i)));
        const std::size_t end = n + static_cast<std::size_t>(__builtin_popcount(fresh));
        for (; n < end; ++n) {
            prefetch_range(codes.base + slots[n] * codes.stride, codes.bytes);
            visited[slots[n] / 64] |= std::uint64_t{1} << (slots[n] % 64);
        }
        if (used != 0xffff) break;
    }
    return n;
}

inline void estimate_avx512(const std::int32_t* dots, const std::uint32_t* factors, std::size_t n,
                            const EstimateQuery& query, float* distances) {
    const __m512 a = _mm512_set1_ps(query.a), b = _mm512_set1_ps(query.b);
    const __m512i shift = _mm512_set1_epi32(query.shift);
    for (std::size_t i = 0; i < n; i += 16) {
        const __mmask16 mask = n - i < 16 ? first_lanes(n - i) : static_cast<__mmask16>(0xffff);
        const __m512i pair = _mm512_maskz_loadu_epi32(mask, factors + i);
        const __m512 add = _mm512_cvtph_ps(_mm512_cvtepi32_epi16(pair));
        const __m512 scale = _mm512_cvtph_ps(_mm512_cvtepi32_epi16(_mm512_srli_epi32(pair, 16)));
        const __m512 dot = _mm512_cvtepi32_ps(
            _mm512_sub_epi32(_mm512_maskz_loadu_epi32(mask, dots + i), shift));
        const __m512 found =
            _mm512_fmadd_ps(_mm512_mul_ps(scale, b), dot, _mm512_mul_ps(add, a));
        _mm512_mask_storeu_ps(distances + i, mask, found);
    }
}

/// First position in pool[0, size) whose key is not below `key`, without a branch on data.
[[gnu::always_inline]] inline std::size_t pool_position(const std::uint64_t* pool, std::size_t size,
                                                        std::uint64_t key) {
    if (size == 0) return 0;
    std::size_t at = 0;
    for (std::size_t left = size; left > 1;) {
        const std::size_t half = left / 2;
        at += static_cast<std::size_t>(pool[at + half - 1] < key) * half;
        left -= half;
    }
    return at + static_cast<std::size_t>(pool[at] < key);
}

/// Keys of the candidates below the pool's worst, in any order.
inline std::size_t pool_candidates(const std::uint64_t* pool, std::size_t size,
                                   std::size_t capacity, const float* distances,
                                   const std::uint32_t* slots, std::size_t n, std::uint64_t* keys) {
    const std::uint64_t worst = size == capacity ? pool[capacity - 1] : ~std::uint64_t{0};
    const __m512i limit = _mm512_set1_epi64(static_cast<long long>(worst));
    const __m512i sign = _mm512_set1_epi32(static_cast<int>(0x80000000));
    std::size_t found = 0;
    for (std::size_t i = 0; i < n; i += 8) {
        const __mmask8 mask =
            n - i < 8 ? static_cast<__mmask8>((1u << (n - i)) - 1) : static_cast<__mmask8>(0xff);
        const __m256i bits = _mm256_maskz_loadu_epi32(mask, distances + i);
        const __m256i flip =
            _mm256_or_si256(_mm256_srai_epi32(bits, 31), _mm512_castsi512_si256(sign));
        const __m512i high =
            _mm512_slli_epi64(_mm512_cvtepu32_epi64(_mm256_xor_si256(bits, flip)), 32);
        const __m512i low =
            _mm512_slli_epi64(_mm512_cvtepu32_epi64(_mm256_maskz_loadu_epi32(mask, slots + i)), 1);
        const __m512i key = _mm512_or_si512(high, low);
        const __mmask8 better = _mm512_mask_cmplt_epu64_mask(mask, key, limit);
        _mm512_storeu_si512(keys + found, _mm512_maskz_compress_epi64(better, key));
        found += static_cast<std::size_t>(__builtin_popcount(better));
    }
    return found;
}

/// Sorts by counting, for each key, those below it: no branch depends on a comparison. Equal keys,
/// which only a damaged file brings about, get one rank and leave holes, which are filled up.
inline void rank_sort(std::uint64_t* keys, std::size_t n, std::uint64_t* sorted) {
    _mm512_storeu_si512(keys + n, _mm512_set1_epi64(-1));
    for (std::size_t i = 0; i < n; i += 8) _mm512_storeu_si512(sorted + i, _mm512_setzero_si512());
    for (std::size_t i = 0; i < n; ++i) {
        const __m512i key = _mm512_set1_epi64(static_cast<long long>(keys[i]));
        std::size_t rank = 0;
        for (std::size_t j = 0; j < n; j += 8)
            rank += static_cast<std::size_t>(__builtin_popcount(
                _mm512_cmplt_epu64_mask(_mm512_loadu_si512(keys + j), key)));
        sorted[rank] = keys[i];
    }
    for (std::size_t i = 1; i < n; ++i)
        sorted[i] = sorted[i] > sorted[i - 1] ? sorted[i] : sorted[i - 1];
}

/// Writes the union of pool[0, size) and the sorted keys from position `lowest` up, last first:
/// `taken` has a bit where a new key goes, from the block of `lowest` on.
inline void pool_merge(std::uint64_t* pool, std::size_t total, std::size_t lowest,
                       const std::uint64_t* keys, std::size_t n, const std::uint8_t* taken) {
    std::size_t left = n;
    const std::size_t first = lowest / 8;
    for (std::size_t block = (total - 1) / 8 + 1; block-- > first;) {
        const auto mask = static_cast<__mmask8>(taken[block - first]);
        left -= static_cast<std::size_t>(__builtin_popcount(mask));
        __m512i out = _mm512_maskz_expandloadu_epi64(static_cast<__mmask8>(~mask),
                                                     pool + 8 * block - left);
        out = _mm512_mask_expandloadu_epi64(out, mask, keys + left);
        _mm512_storeu_si512(pool + 8 * block, out);
    }
}

inline std::size_t pool_insert_avx512(std::uint64_t* pool, std::size_t* size, std::size_t capacity,
                                      const float* distances, const std::uint32_t* slots,
                                      std::size_t n) {
    std::uint64_t keys[pool_batch + 16], sorted[pool_batch + 8];
    const std::size_t held = *size;
    const std::size_t fresh = pool_candidates(pool, held, capacity, distances, slots, n, keys);
    if (fresh == 0) return capacity;
    rank_sort(keys, fresh, sorted);
    const std::size_t lowest = pool_position(pool, held, sorted[0]);
    // Only positions from `lowest` on change, so the bits start there.
    const std::size_t first = lowest / 8;
    const std::size_t total = held + fresh;
    if (total - 8 * first <= 8 * max_merge_blocks) {
        std::uint8_t taken[max_merge_blocks + 8] = {};
        for (std::size_t i = 0; i < fresh; ++i) {
            const std::size_t at = pool_position(pool, held, sorted[i]) + i - 8 * first;
            taken[at / 8] = static_cast<std::uint8_t>(taken[at / 8] | 1u << (at % 8));
        }
        pool_merge(pool, total, lowest, sorted, fresh, taken);
    } else {
        std::size_t end = held;
        for (std::size_t i = fresh; i-- > 0;) {
            const std::size_t at = pool_position(pool, end, sorted[i]);
            __builtin_memmove(pool + at + i + 1, pool + at, (end - at) * sizeof(*pool));
            pool[at + i] = sorted[i];
            end = at;
        }
    }
    *size = total < capacity ? total : capacity;
    return lowest;
}

}  // namespace
}  // namespace nearfield::kernels
