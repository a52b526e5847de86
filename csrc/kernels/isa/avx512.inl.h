// Register types of AVX-512 F/BW/DQ/VL, shared by the objects that add one feature each.
#pragma once

#include <immintrin.h>

#include "kernels/generic/bytes.inl.h"
#include "kernels/generic/convert.inl.h"
#include "kernels/generic/pack.inl.h"

namespace nearfield::kernels {
namespace {

inline __mmask16 first_lanes(std::size_t count) {
    return static_cast<__mmask16>((1u << count) - 1);
}
inline __mmask64 first_bytes(std::size_t count) { return (__mmask64{1} << count) - 1; }

inline __m512i widen_to_floats(__m256i bf16) {
    return _mm512_slli_epi32(_mm512_cvtepu16_epi32(bf16), 16);
}

/// Round to nearest even; NaN stays NaN. (VCVTNEPS2BF16 would flush subnormals to zero.)
inline __m256i narrow_to_bf16(__m512 v) {
    const __m512i bits = _mm512_castps_si512(v);
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    const __m512i rounded =
        _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
    const __mmask16 nan = _mm512_cmp_ps_mask(v, v, _CMP_UNORD_Q);
    const __m512i quiet = _mm512_or_si512(bits, _mm512_set1_epi32(0x400000));
    const __m512i kept = _mm512_mask_mov_epi32(rounded, nan, quiet);
    return _mm512_cvtepi32_epi16(_mm512_srli_epi32(kept, 16));
}

inline __m128i narrow_to_i8(__m512 v) {
    const __m512 low = _mm512_max_ps(v, _mm512_set1_ps(-127.0f));
    const __m512 kept = _mm512_min_ps(low, _mm512_set1_ps(127.0f));
    return _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(kept));
}

struct F32x16 {
    static constexpr std::size_t lanes = 16;
    __m512 v;

    static F32x16 zero() { return {_mm512_setzero_ps()}; }
    static F32x16 broadcast(float value) { return {_mm512_set1_ps(value)}; }

    template <Scalar S>
    static F32x16 load(const Byte* row, std::size_t i) {
        if constexpr (S == Scalar::f32) return {_mm512_loadu_ps(row + 4 * i)};
        if constexpr (S == Scalar::i8)
            return {_mm512_cvtepi32_ps(
                _mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(row + i))))};
        const __m256i half = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(row + 2 * i));
        if constexpr (S == Scalar::f16) return {_mm512_cvtph_ps(half)};
        if constexpr (S == Scalar::bf16) return {_mm512_castsi512_ps(widen_to_floats(half))};
    }
    template <Scalar S>
    static F32x16 load_first(const Byte* row, std::size_t i, std::size_t count) {
        const __mmask16 mask = first_lanes(count);
        if constexpr (S == Scalar::f32) return {_mm512_maskz_loadu_ps(mask, row + 4 * i)};
        if constexpr (S == Scalar::i8)
            return {_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_maskz_loadu_epi8(mask, row + i)))};
        const __m256i half = _mm256_maskz_loadu_epi16(mask, row + 2 * i);
        if constexpr (S == Scalar::f16) return {_mm512_cvtph_ps(half)};
        if constexpr (S == Scalar::bf16) return {_mm512_castsi512_ps(widen_to_floats(half))};
    }
    template <Scalar S>
    void store(Byte* row, std::size_t i) const {
        if constexpr (S == Scalar::f32) _mm512_storeu_ps(row + 4 * i, v);
        if constexpr (S == Scalar::i8)
            _mm_storeu_si128(reinterpret_cast<__m128i*>(row + i), narrow_to_i8(v));
        auto* const half = reinterpret_cast<__m256i*>(row + 2 * i);
        if constexpr (S == Scalar::f16)
            _mm256_storeu_si256(half, _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
        if constexpr (S == Scalar::bf16) _mm256_storeu_si256(half, narrow_to_bf16(v));
    }
    template <Scalar S>
    void store_first(Byte* row, std::size_t i, std::size_t count) const {
        const __mmask16 mask = first_lanes(count);
        if constexpr (S == Scalar::f32) _mm512_mask_storeu_ps(row + 4 * i, mask, v);
        if constexpr (S == Scalar::i8) _mm_mask_storeu_epi8(row + i, mask, narrow_to_i8(v));
        if constexpr (S == Scalar::f16)
            _mm256_mask_storeu_epi16(row + 2 * i, mask,
                                     _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT));
        if constexpr (S == Scalar::bf16)
            _mm256_mask_storeu_epi16(row + 2 * i, mask, narrow_to_bf16(v));
    }

    static F32x16 from_int(const std::int32_t* ints, std::size_t i, std::int32_t shift) {
        return shifted(_mm512_loadu_si512(ints + i), shift);
    }
    static F32x16 from_int_first(const std::int32_t* ints, std::size_t i, std::size_t count,
                                 std::int32_t shift) {
        return shifted(_mm512_maskz_loadu_epi32(first_lanes(count), ints + i), shift);
    }
    static void append_indices(unsigned mask, std::uint32_t first, std::uint32_t* out) {
        _mm512_mask_storeu_epi32(out, first_lanes(popcount(mask)), packed_indices(mask, first));
    }
    static constexpr bool packs = true;
    static void pack_indices(unsigned mask, std::uint32_t first, std::uint32_t* out) {
        _mm512_storeu_si512(out, packed_indices(mask, first));
    }
    static __m512i packed_indices(unsigned mask, std::uint32_t first) {
        const __m512i iota =
            _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
        const __m512i index = _mm512_add_epi32(iota, _mm512_set1_epi32(static_cast<int>(first)));
        // Compressing in a register: compress-to-memory takes hundreds of cycles on Zen 4.
        return _mm512_maskz_compress_epi32(lanes_of(mask), index);
    }
    static void append(unsigned mask, F32x16 values, float* out) {
        _mm512_mask_storeu_ps(out, first_lanes(popcount(mask)),
                              _mm512_maskz_compress_ps(lanes_of(mask), values.v));
    }

    static void sum4(F32x16 a, F32x16 b, F32x16 c, F32x16 d, float* out) {
        const __m512 ab = _mm512_add_ps(_mm512_unpacklo_ps(a.v, b.v), _mm512_unpackhi_ps(a.v, b.v));
        const __m512 cd = _mm512_add_ps(_mm512_unpacklo_ps(c.v, d.v), _mm512_unpackhi_ps(c.v, d.v));
        const __m512d ab2 = _mm512_castps_pd(ab), cd2 = _mm512_castps_pd(cd);
        const __m512 abcd = _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(ab2, cd2)),
                                          _mm512_castpd_ps(_mm512_unpackhi_pd(ab2, cd2)));
        const __m256 half =
            _mm256_add_ps(_mm512_castps512_ps256(abcd), _mm512_extractf32x8_ps(abcd, 1));
        _mm_storeu_ps(out,
                      _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1)));
    }

    /// The stage of distance h of a Walsh-Hadamard transform.
    template <std::size_t h>
    static F32x16 butterfly(F32x16 x) {
        __m512 other;
        if constexpr (h == 1) other = _mm512_permute_ps(x.v, 0xb1);
        if constexpr (h == 2) other = _mm512_permute_ps(x.v, 0x4e);
        if constexpr (h == 4) other = _mm512_shuffle_f32x4(x.v, x.v, 0xb1);
        if constexpr (h == 8) other = _mm512_shuffle_f32x4(x.v, x.v, 0x4e);
        constexpr __mmask16 upper = h == 1 ? 0xaaaa : h == 2 ? 0xcccc : h == 4 ? 0xf0f0 : 0xff00;
        return {_mm512_mask_sub_ps(_mm512_add_ps(x.v, other), upper, other, x.v)};
    }

    friend F32x16 operator+(F32x16 a, F32x16 b) { return {_mm512_add_ps(a.v, b.v)}; }
    friend F32x16 operator-(F32x16 a, F32x16 b) { return {_mm512_sub_ps(a.v, b.v)}; }
    friend F32x16 operator*(F32x16 a, F32x16 b) { return {_mm512_mul_ps(a.v, b.v)}; }
    friend F32x16 fma(F32x16 a, F32x16 b, F32x16 c) { return {_mm512_fmadd_ps(a.v, b.v, c.v)}; }
    friend F32x16 larger(F32x16 so_far, F32x16 x) {
        return {_mm512_max_ps(so_far.v, _mm512_abs_ps(x.v))};
    }
    friend F32x16 reversed(F32x16 x) {
        const __m512 lanes_in_quads = _mm512_permute_ps(x.v, 0x1b);
        return {_mm512_shuffle_f32x4(lanes_in_quads, lanes_in_quads, 0x1b)};
    }
    static float largest_lane(F32x16 x) { return _mm512_reduce_max_ps(x.v); }
    friend unsigned below(F32x16 a, F32x16 b) { return _mm512_cmp_ps_mask(a.v, b.v, _CMP_LT_OQ); }
    friend unsigned at_most(F32x16 a, F32x16 b) { return _mm512_cmp_ps_mask(a.v, b.v, _CMP_LE_OQ); }

  private:
    static F32x16 shifted(__m512i ints, std::int32_t shift) {
        return {_mm512_cvtepi32_ps(_mm512_sub_epi32(ints, _mm512_set1_epi32(shift)))};
    }
    static __mmask16 lanes_of(unsigned mask) { return static_cast<__mmask16>(mask); }
    static std::size_t popcount(unsigned mask) {
        return static_cast<std::size_t>(__builtin_popcount(mask));
    }
};

struct I32x16 {
    __m512i v;

    static I32x16 zero() { return {_mm512_setzero_si512()}; }
    /// Four sums of each quarter: quarter i of the result has a's, b's, c's and d's.
    static __m512i quarters(I32x16 a, I32x16 b, I32x16 c, I32x16 d) {
        const __m512i ab =
            _mm512_add_epi32(_mm512_unpacklo_epi32(a.v, b.v), _mm512_unpackhi_epi32(a.v, b.v));
        const __m512i cd =
            _mm512_add_epi32(_mm512_unpacklo_epi32(c.v, d.v), _mm512_unpackhi_epi32(c.v, d.v));
        return _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
    }
    static void sum4(I32x16 a, I32x16 b, I32x16 c, I32x16 d, std::int32_t* out) {
        const __m512i abcd = quarters(a, b, c, d);
        const __m256i half =
            _mm256_add_epi32(_mm512_castsi512_si256(abcd), _mm512_extracti64x4_epi64(abcd, 1));
        _mm_storeu_si128(
            reinterpret_cast<__m128i*>(out),
            _mm_add_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1)));
    }
    static void sum8(const I32x16* s, std::int32_t* out) {
        const __m512i low = quarters(s[0], s[1], s[2], s[3]);
        const __m512i high = quarters(s[4], s[5], s[6], s[7]);
        const __m512i halves = _mm512_add_epi32(_mm512_shuffle_i64x2(low, high, 0x88),
                                                _mm512_shuffle_i64x2(low, high, 0xdd));
        const __m512i sums = _mm512_shuffle_i64x2(halves, halves, 0xd8);
        _mm256_storeu_si256(
            reinterpret_cast<__m256i*>(out),
            _mm256_add_epi32(_mm512_castsi512_si256(sums), _mm512_extracti64x4_epi64(sums, 1)));
    }
    friend I32x16 operator+(I32x16 a, I32x16 b) { return {_mm512_add_epi32(a.v, b.v)}; }
};

struct U8x64 {
    __m512i v;
    friend U8x64 operator^(U8x64 a, U8x64 b) { return {_mm512_xor_si512(a.v, b.v)}; }
};

/// Compilers like to load again instead of keeping a value that two instructions use; codes of 4
/// bits ran 10 % slower for it.
[[gnu::always_inline]] inline void keep_in_register(U8x64& x) { asm("" : "+v"(x.v)); }

/// 64 bytes as 16-bit values: those at even and those at odd positions.
struct I16x64 {
    __m512i even, odd;
    friend I16x64 operator-(I16x64 a, I16x64 b) {
        return {_mm512_sub_epi16(a.even, b.even), _mm512_sub_epi16(a.odd, b.odd)};
    }
};

/// The integer operations that every AVX-512 CPU has.
struct BytesAvx512 {
    static constexpr std::size_t width = 64;
    static constexpr int rows_at_once = 8;
    static constexpr bool fixed_lengths = false;
    static constexpr std::int32_t u8_offset = 0;
    using Register = U8x64;
    using Sum = I32x16;

    static U8x64 load(const Byte* row, std::size_t i) { return {_mm512_loadu_si512(row + i)}; }
    static U8x64 load_first(const Byte* row, std::size_t i, std::size_t count) {
        return {_mm512_maskz_loadu_epi8(first_bytes(count), row + i)};
    }
    template <Scalar S>
    static I16x64 widen(U8x64 x) {
        if constexpr (S == Scalar::i8)
            return {_mm512_srai_epi16(_mm512_slli_epi16(x.v, 8), 8), _mm512_srai_epi16(x.v, 8)};
        return {_mm512_and_si512(x.v, _mm512_set1_epi16(0xff)), _mm512_srli_epi16(x.v, 8)};
    }
    static I32x16 madd(I32x16 sum, I16x64 a, I16x64 b) {
        return sum + I32x16{_mm512_add_epi32(_mm512_madd_epi16(a.even, b.even),
                                             _mm512_madd_epi16(a.odd, b.odd))};
    }
    /// Part p of packed codes.
    template <int bits>
    static __m512i part(U8x64 codes, int p) {
        if constexpr (bits == 8) return codes.v;
        const __m512i shifted =
            p == 0 ? codes.v : _mm512_srli_epi16(codes.v, static_cast<unsigned>(p * bits));
        return _mm512_and_si512(shifted, _mm512_set1_epi8(static_cast<char>((1 << bits) - 1)));
    }
    template <int bits>
    static I32x16 dot(I32x16 sum, U8x64 codes, const U8x64* query) {
        if constexpr (bits == 8) {
            return madd(sum, widen<Scalar::u8>(codes), widen<Scalar::i8>(query[0]));
        } else {
            keep_in_register(codes);
            // Exact in 16 bits: at most 8 / bits * 2 * (2^bits - 1) * 128 <= 7680.
            __m512i pairs = _mm512_maddubs_epi16(part<bits>(codes, 0), query[0].v);
            unrolled<8 / bits - 1>([&](auto p) {
                pairs = _mm512_add_epi16(
                    pairs, _mm512_maddubs_epi16(part<bits>(codes, p + 1), query[p + 1].v));
            });
            return sum + I32x16{_mm512_madd_epi16(pairs, _mm512_set1_epi16(1))};
        }
    }
    static I32x16 popcount(I32x16 sum, U8x64 x) {
        const __m512i counts =
            _mm512_broadcast_i32x4(_mm_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4));
        const __m512i of_bytes = _mm512_add_epi8(_mm512_shuffle_epi8(counts, part<4>(x, 0)),
                                                 _mm512_shuffle_epi8(counts, part<4>(x, 1)));
        return sum + I32x16{_mm512_sad_epu8(of_bytes, _mm512_setzero_si512())};
    }
};

/// What register tiles of floats and integers share.
struct TileAvx512 {
    static constexpr int vectors = 1;
    static __m512i unit(const Byte* at) { return _mm512_set1_epi32(read<std::int32_t>(at, 0)); }
    static __m512i line(const Byte* at) { return _mm512_loadu_si512(at); }
    static void store(float* out, F32x16 sum) { _mm512_storeu_ps(out, sum.v); }
    static void store(std::int32_t* out, I32x16 sum) { _mm512_storeu_si512(out, sum.v); }
};

}  // namespace
}  // namespace nearfield::kernels
