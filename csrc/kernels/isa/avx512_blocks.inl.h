// Codes in panels and in blocks of 32, with AVX-512.
#pragma once

#include "kernels/generic/lookup.inl.h"
#include "kernels/generic/panels.inl.h"
#include "kernels/isa/avx512.inl.h"

namespace nearfield::kernels {
namespace {

struct PanelAvx512 {
    static constexpr int registers = 1, at_once = 4;
    using Line = U8x64;
    using Unit = __m512i;
    using Sum = I32x16;

    static Line load(const Byte* at, int) { return {_mm512_loadu_si512(at)}; }
    static void store(Byte* at, int, Line x) { _mm512_storeu_si512(at, x.v); }
    static Unit unit(const Byte* at) { return _mm512_set1_epi32(read<std::int32_t>(at, 0)); }
    template <int bits, int p>
    static Line part(Line x) {
        return {BytesAvx512::part<bits>(x, p)};
    }
    static __m512i product(__m512i codes, Unit unit, short weight) {
        return _mm512_madd_epi16(_mm512_maddubs_epi16(codes, unit), _mm512_set1_epi16(weight));
    }
    /// Codes of 8 bits go in two parts: pairs of whole ones would not fit 16 bits.
    template <int bits, int p>
    static Sum dot(Sum sum, Line x, Unit unit) {
        if constexpr (bits < 8) return sum + Sum{product(part<bits, p>(x).v, unit, 1)};
        const __m512i low = _mm512_and_si512(x.v, _mm512_set1_epi8(0x7f));
        const __m512i top = _mm512_and_si512(_mm512_srli_epi16(x.v, 7), _mm512_set1_epi8(1));
        return sum + Sum{product(low, unit, 1)} + Sum{product(top, unit, 128)};
    }
    template <int bits>
    static Sum finish(const Sum* sums) {
        if constexpr (bits == 8) return sums[0];
        return sums[0] + sums[1];
    }
    static void store(std::int32_t* out, Sum sum) { _mm512_storeu_si512(out, sum.v); }
};

/// Two pairs of tables at a time: the lower half of a register has the first.
struct LookupAvx512 {
    static constexpr std::size_t pairs = 2;
    struct Tables {
        __m512i low, high;
    };
    /// 16-bit sums of the bytes at odd places, and of both bytes of a word as they lie.
    struct Sums {
        __m512i words, odd;
        static Sums zero() { return {_mm512_setzero_si512(), _mm512_setzero_si512()}; }
    };
    static __m512i table(const Byte* first, const Byte* second) {
        const auto at = [](const Byte* t) {
            return _mm_loadu_si128(reinterpret_cast<const __m128i*>(t));
        };
        return _mm512_mask_broadcast_i32x4(_mm512_broadcast_i32x4(at(first)), 0xff00, at(second));
    }
    static Tables load(const Byte* t) { return {table(t, t + 32), table(t + 16, t + 48)}; }
    static Sums add(Sums sums, const Byte* codes, const Tables& tables) {
        const U8x64 x{_mm512_loadu_si512(codes)};
        const __m512i low = _mm512_shuffle_epi8(tables.low, BytesAvx512::part<4>(x, 0));
        const __m512i high = _mm512_shuffle_epi8(tables.high, BytesAvx512::part<4>(x, 1));
        const __m512i odd = _mm512_add_epi16(_mm512_srli_epi16(low, 8), _mm512_srli_epi16(high, 8));
        return {_mm512_add_epi16(sums.words, _mm512_add_epi16(low, high)),
                _mm512_add_epi16(sums.odd, odd)};
    }
    static __m256i halves(__m512i x) {
        return _mm256_add_epi16(_mm512_castsi512_si256(x), _mm512_extracti64x4_epi64(x, 1));
    }
    static void flush(Sums sums, std::int32_t* out) {
        const __m256i odd = halves(sums.odd);
        const __m256i even = _mm256_sub_epi16(halves(sums.words), _mm256_slli_epi16(odd, 8));
        const __m256i a = _mm256_unpacklo_epi16(even, odd), b = _mm256_unpackhi_epi16(even, odd);
        const __m256i rows[2] = {_mm256_permute2x128_si256(a, b, 0x20),
                                 _mm256_permute2x128_si256(a, b, 0x31)};
        unrolled<2>([&](auto i) {
            std::int32_t* const at = out + 16 * i;
            _mm512_storeu_si512(
                at, _mm512_add_epi32(_mm512_loadu_si512(at), _mm512_cvtepu16_epi32(rows[i])));
        });
    }
};

}  // namespace
}  // namespace nearfield::kernels
