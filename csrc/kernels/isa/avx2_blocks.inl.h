// Codes in panels and in blocks of 32, with AVX2.
#pragma once

#include "kernels/generic/lookup.inl.h"
#include "kernels/generic/panels.inl.h"
#include "kernels/isa/avx2.inl.h"

namespace nearfield::kernels {
namespace {

struct PanelAvx2 {
    static constexpr int registers = 2, at_once = 2;
    using Line = U8x32;
    using Unit = __m256i;
    using Sum = I32x8;

    static Line load(const Byte* at, int h) { return {load_32(at + 32 * h)}; }
    static void store(Byte* at, int h, Line x) {
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(at + 32 * h), x.v);
    }
    static Unit unit(const Byte* at) { return _mm256_set1_epi32(read<std::int32_t>(at, 0)); }
    template <int bits, int p>
    static Line part(Line x) {
        return {BytesAvx2::part<bits>(x, p)};
    }
    static __m256i product(__m256i codes, Unit unit, short weight) {
        return _mm256_madd_epi16(_mm256_maddubs_epi16(codes, unit), _mm256_set1_epi16(weight));
    }
    /// Codes of 8 bits go in two parts: pairs of whole ones would not fit 16 bits.
    template <int bits, int p>
    static Sum dot(Sum sum, Line x, Unit unit) {
        if constexpr (bits < 8) return sum + Sum{product(part<bits, p>(x).v, unit, 1)};
        const __m256i low = _mm256_and_si256(x.v, _mm256_set1_epi8(0x7f));
        const __m256i top = _mm256_and_si256(_mm256_srli_epi16(x.v, 7), _mm256_set1_epi8(1));
        return sum + Sum{product(low, unit, 1)} + Sum{product(top, unit, 128)};
    }
    template <int bits>
    static Sum finish(const Sum* sums) {
        if constexpr (bits == 8) return sums[0];
        return sums[0] + sums[1];
    }
    static void store(std::int32_t* out, Sum sum) {
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), sum.v);
    }
};

struct LookupAvx2 {
    static constexpr std::size_t pairs = 1;
    struct Tables {
        __m256i low, high;
    };
    /// 16-bit sums of the bytes at odd places, and of both bytes of a word as they lie.
    struct Sums {
        __m256i words, odd;
        static Sums zero() { return {_mm256_setzero_si256(), _mm256_setzero_si256()}; }
    };
    static __m256i table(const Byte* at) {
        return _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at)));
    }
    static Tables load(const Byte* t) { return {table(t), table(t + 16)}; }
    static Sums add(Sums sums, const Byte* codes, const Tables& tables) {
        const U8x32 x{load_32(codes)};
        const __m256i low = _mm256_shuffle_epi8(tables.low, BytesAvx2::part<4>(x, 0));
        const __m256i high = _mm256_shuffle_epi8(tables.high, BytesAvx2::part<4>(x, 1));
        const __m256i odd = _mm256_add_epi16(_mm256_srli_epi16(low, 8), _mm256_srli_epi16(high, 8));
        return {_mm256_add_epi16(sums.words, _mm256_add_epi16(low, high)),
                _mm256_add_epi16(sums.odd, odd)};
    }
    static void flush(Sums sums, std::int32_t* out) {
        const __m256i odd = sums.odd;
        const __m256i even = _mm256_sub_epi16(sums.words, _mm256_slli_epi16(odd, 8));
        const __m256i a = _mm256_unpacklo_epi16(even, odd), b = _mm256_unpackhi_epi16(even, odd);
        const __m128i rows[4] = {_mm256_castsi256_si128(a), _mm256_castsi256_si128(b),
                                 _mm256_extracti128_si256(a, 1), _mm256_extracti128_si256(b, 1)};
        unrolled<4>([&](auto i) {
            auto* const at = reinterpret_cast<__m256i*>(out + 8 * i);
            _mm256_storeu_si256(
                at, _mm256_add_epi32(_mm256_loadu_si256(at), _mm256_cvtepu16_epi32(rows[i])));
        });
    }
};

}  // namespace
}  // namespace nearfield::kernels
