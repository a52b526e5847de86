// Register types of AVX2 with FMA and F16C, shared with the object that adds AVX-VNNI.
#pragma once

#include <immintrin.h>

#include "kernels/generic/bytes.inl.h"
#include "kernels/generic/convert.inl.h"
#include "kernels/generic/pack.inl.h"

namespace nearfield::kernels {
namespace {

/// Offset n moves a register n bytes down and fills with zeros.
alignas(16) constexpr Byte shift_down[32] = {
    0,    1,    2,    3,    4,    5,    6,    7,    8,    9,    10,   11,   12,   13,   14,   15,
    0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80};

inline __m128i load_16(const Byte* at) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
}
inline __m256i load_32(const Byte* at) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at));
}

/// The rows shorter than a register: kept out of line, they are rare.
[[gnu::noinline]] inline __m128i load_short(const Byte* at, std::size_t count) {
    alignas(16) Byte copy[16] = {};
    for (std::size_t i = 0; i < count && i < 16; ++i) copy[i] = at[i];
    return load_16(copy);
}

/// Bytes [i, i + count) of a row and zeros, count <= 16; reads nothing outside the row.
inline __m128i load_16_first(const Byte* row, std::size_t i, std::size_t count) {
    if (i + count >= 16) {
        const __m128i ending = load_16(row + i + count - 16);
        return _mm_shuffle_epi8(ending, load_16(shift_down + 16 - count));
    }
    return load_short(row + i, count);
}

inline __m256i load_32_first(const Byte* row, std::size_t i, std::size_t count) {
    if (count <= 16) return _mm256_zextsi128_si256(load_16_first(row, i, count));
    return _mm256_inserti128_si256(_mm256_castsi128_si256(load_16(row + i)),
                                   load_16_first(row, i + 16, count - 16), 1);
}

inline __m256i first_lanes(std::size_t count) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(count)),
                              _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

inline __m256 widen_to_floats(__m128i bf16) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bf16), 16));
}

/// Round to nearest even; NaN stays NaN.
inline __m128i narrow_to_bf16(__m256 v) {
    const __m256i bits = _mm256_castps_si256(v);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    const __m256i rounded =
        _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
    const __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x400000));
    const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(v, v, _CMP_UNORD_Q));
    const __m256i kept = _mm256_srli_epi32(_mm256_blendv_epi8(rounded, quiet, nan), 16);
    return _mm_packus_epi32(_mm256_castsi256_si128(kept), _mm256_extracti128_si256(kept, 1));
}

/// Eight bytes in the lower half.
inline __m128i narrow_to_i8(__m256 v) {
    const __m256 low = _mm256_max_ps(v, _mm256_set1_ps(-127.0f));
    const __m256i ints = _mm256_cvtps_epi32(_mm256_min_ps(low, _mm256_set1_ps(127.0f)));
    const __m128i words =
        _mm_packs_epi32(_mm256_castsi256_si128(ints), _mm256_extracti128_si256(ints, 1));
    return _mm_packs_epi16(words, words);
}

struct F32x8 {
    static constexpr std::size_t lanes = 8;
    __m256 v;

    static F32x8 zero() { return {_mm256_setzero_ps()}; }
    static F32x8 broadcast(float value) { return {_mm256_set1_ps(value)}; }

    template <Scalar S>
    static F32x8 load(const Byte* row, std::size_t i) {
        if constexpr (S == Scalar::f32)
            return {_mm256_loadu_ps(reinterpret_cast<const float*>(row + 4 * i))};
        if constexpr (S == Scalar::i8)
            return widen<S>(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(row + i)));
        if constexpr (S == Scalar::f16 || S == Scalar::bf16) return widen<S>(load_16(row + 2 * i));
    }
    template <Scalar S>
    static F32x8 load_first(const Byte* row, std::size_t i, std::size_t count) {
        if constexpr (S == Scalar::f32)
            return {_mm256_maskload_ps(reinterpret_cast<const float*>(row + 4 * i),
                                       first_lanes(count))};
        if constexpr (S == Scalar::i8) return widen<S>(load_16_first(row, i, count));
        if constexpr (S == Scalar::f16 || S == Scalar::bf16)
            return widen<S>(load_16_first(row, 2 * i, 2 * count));
    }
    template <Scalar S>
    void store(Byte* row, std::size_t i) const {
        if constexpr (S == Scalar::f32) _mm256_storeu_ps(reinterpret_cast<float*>(row + 4 * i), v);
        if constexpr (S == Scalar::i8)
            _mm_storel_epi64(reinterpret_cast<__m128i*>(row + i), narrow_to_i8(v));
        if constexpr (S == Scalar::f16 || S == Scalar::bf16)
            _mm_storeu_si128(reinterpret_cast<__m128i*>(row + 2 * i), narrow<S>(v));
    }
    template <Scalar S>
    void store_first(Byte* row, std::size_t i, std::size_t count) const {
        if constexpr (S == Scalar::f32) {
            _mm256_maskstore_ps(reinterpret_cast<float*>(row + 4 * i), first_lanes(count), v);
        } else {
            constexpr std::size_t element = S == Scalar::i8 ? 1 : 2;
            alignas(16) Byte copy[16];
            store<S>(copy, 0);
            __builtin_memcpy(row + element * i, copy, element * count);
        }
    }

    static F32x8 from_int(const std::int32_t* ints, std::size_t i, std::int32_t shift) {
        return shifted(load_32(reinterpret_cast<const Byte*>(ints + i)), shift);
    }
    static F32x8 from_int_first(const std::int32_t* ints, std::size_t i, std::size_t count,
                                std::int32_t shift) {
        return shifted(_mm256_maskload_epi32(ints + i, first_lanes(count)), shift);
    }
    static constexpr bool packs = false;
    static void append_indices(unsigned mask, std::uint32_t first, std::uint32_t* out) {
        for (; mask != 0; mask &= mask - 1)
            *out++ = first + static_cast<std::uint32_t>(__builtin_ctz(mask));
    }
    static void append(unsigned mask, F32x8 values, float* out) {
        alignas(32) float copy[8];
        _mm256_store_ps(copy, values.v);
        for (; mask != 0; mask &= mask - 1) *out++ = copy[__builtin_ctz(mask)];
    }

    static void sum4(F32x8 a, F32x8 b, F32x8 c, F32x8 d, float* out) {
        const __m256 ab = _mm256_add_ps(_mm256_unpacklo_ps(a.v, b.v), _mm256_unpackhi_ps(a.v, b.v));
        const __m256 cd = _mm256_add_ps(_mm256_unpacklo_ps(c.v, d.v), _mm256_unpackhi_ps(c.v, d.v));
        const __m256d ab2 = _mm256_castps_pd(ab), cd2 = _mm256_castps_pd(cd);
        const __m256 abcd = _mm256_add_ps(_mm256_castpd_ps(_mm256_unpacklo_pd(ab2, cd2)),
                                          _mm256_castpd_ps(_mm256_unpackhi_pd(ab2, cd2)));
        _mm_storeu_ps(out,
                      _mm_add_ps(_mm256_castps256_ps128(abcd), _mm256_extractf128_ps(abcd, 1)));
    }

    /// The stage of distance h of a Walsh-Hadamard transform.
    template <std::size_t h>
    static F32x8 butterfly(F32x8 x) {
        __m256 other;
        if constexpr (h == 1) other = _mm256_permute_ps(x.v, 0xb1);
        if constexpr (h == 2) other = _mm256_permute_ps(x.v, 0x4e);
        if constexpr (h == 4) other = _mm256_permute2f128_ps(x.v, x.v, 1);
        constexpr int upper = h == 1 ? 0xaa : h == 2 ? 0xcc : 0xf0;
        return {_mm256_blend_ps(_mm256_add_ps(x.v, other), _mm256_sub_ps(other, x.v), upper)};
    }

    friend F32x8 operator+(F32x8 a, F32x8 b) { return {_mm256_add_ps(a.v, b.v)}; }
    friend F32x8 operator-(F32x8 a, F32x8 b) { return {_mm256_sub_ps(a.v, b.v)}; }
    friend F32x8 operator*(F32x8 a, F32x8 b) { return {_mm256_mul_ps(a.v, b.v)}; }
    friend F32x8 fma(F32x8 a, F32x8 b, F32x8 c) { return {_mm256_fmadd_ps(a.v, b.v, c.v)}; }
    friend F32x8 larger(F32x8 so_far, F32x8 x) {
        const __m256 size = _mm256_andnot_ps(_mm256_set1_ps(-0.0f), x.v);
        return {_mm256_max_ps(so_far.v, size)};
    }
    friend F32x8 reversed(F32x8 x) {
        const __m256 in_halves = _mm256_permute_ps(x.v, 0x1b);
        return {_mm256_permute2f128_ps(in_halves, in_halves, 1)};
    }
    static float largest_lane(F32x8 x) {
        const __m128 four = _mm_max_ps(_mm256_castps256_ps128(x.v), _mm256_extractf128_ps(x.v, 1));
        const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
        return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
    }
    friend unsigned below(F32x8 a, F32x8 b) { return bits(_mm256_cmp_ps(a.v, b.v, _CMP_LT_OQ)); }
    friend unsigned at_most(F32x8 a, F32x8 b) { return bits(_mm256_cmp_ps(a.v, b.v, _CMP_LE_OQ)); }

  private:
    template <Scalar S>
    static F32x8 widen(__m128i x) {
        if constexpr (S == Scalar::i8) return {_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(x))};
        if constexpr (S == Scalar::f16) return {_mm256_cvtph_ps(x)};
        if constexpr (S == Scalar::bf16) return {widen_to_floats(x)};
    }
    template <Scalar S>
    static __m128i narrow(__m256 x) {
        if constexpr (S == Scalar::f16) return _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT);
        if constexpr (S == Scalar::bf16) return narrow_to_bf16(x);
    }
    static F32x8 shifted(__m256i ints, std::int32_t shift) {
        return {_mm256_cvtepi32_ps(_mm256_sub_epi32(ints, _mm256_set1_epi32(shift)))};
    }
    static unsigned bits(__m256 mask) { return static_cast<unsigned>(_mm256_movemask_ps(mask)); }
};

struct I32x8 {
    __m256i v;

    static I32x8 zero() { return {_mm256_setzero_si256()}; }
    /// Four sums of each half: half i of the result has a's, b's, c's and d's.
    static __m256i halves(I32x8 a, I32x8 b, I32x8 c, I32x8 d) {
        const __m256i ab =
            _mm256_add_epi32(_mm256_unpacklo_epi32(a.v, b.v), _mm256_unpackhi_epi32(a.v, b.v));
        const __m256i cd =
            _mm256_add_epi32(_mm256_unpacklo_epi32(c.v, d.v), _mm256_unpackhi_epi32(c.v, d.v));
        return _mm256_add_epi32(_mm256_unpacklo_epi64(ab, cd), _mm256_unpackhi_epi64(ab, cd));
    }
    static void sum4(I32x8 a, I32x8 b, I32x8 c, I32x8 d, std::int32_t* out) {
        const __m256i abcd = halves(a, b, c, d);
        _mm_storeu_si128(
            reinterpret_cast<__m128i*>(out),
            _mm_add_epi32(_mm256_castsi256_si128(abcd), _mm256_extracti128_si256(abcd, 1)));
    }
    static void sum8(const I32x8* s, std::int32_t* out) {
        const __m256i low = halves(s[0], s[1], s[2], s[3]);
        const __m256i high = halves(s[4], s[5], s[6], s[7]);
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(out),
                            _mm256_add_epi32(_mm256_permute2x128_si256(low, high, 0x20),
                                             _mm256_permute2x128_si256(low, high, 0x31)));
    }
    friend I32x8 operator+(I32x8 a, I32x8 b) { return {_mm256_add_epi32(a.v, b.v)}; }
};

struct U8x32 {
    __m256i v;
    friend U8x32 operator^(U8x32 a, U8x32 b) { return {_mm256_xor_si256(a.v, b.v)}; }
};

/// 32 bytes as 16-bit values: those at even and those at odd positions.
struct I16x32 {
    __m256i even, odd;
    friend I16x32 operator-(I16x32 a, I16x32 b) {
        return {_mm256_sub_epi16(a.even, b.even), _mm256_sub_epi16(a.odd, b.odd)};
    }
};

struct BytesAvx2 {
    static constexpr std::size_t width = 32;
    static constexpr int rows_at_once = 8;
    static constexpr bool fixed_lengths = false;
    static constexpr std::int32_t u8_offset = 0;
    using Register = U8x32;
    using Sum = I32x8;

    static U8x32 load(const Byte* row, std::size_t i) { return {load_32(row + i)}; }
    static U8x32 load_first(const Byte* row, std::size_t i, std::size_t count) {
        return {load_32_first(row, i, count)};
    }
    template <Scalar S>
    static I16x32 widen(U8x32 x) {
        if constexpr (S == Scalar::i8)
            return {_mm256_srai_epi16(_mm256_slli_epi16(x.v, 8), 8), _mm256_srai_epi16(x.v, 8)};
        return {_mm256_and_si256(x.v, _mm256_set1_epi16(0xff)), _mm256_srli_epi16(x.v, 8)};
    }
    static I32x8 madd(I32x8 sum, I16x32 a, I16x32 b) {
        return sum + I32x8{_mm256_add_epi32(_mm256_madd_epi16(a.even, b.even),
                                            _mm256_madd_epi16(a.odd, b.odd))};
    }
    /// Part p of packed codes.
    template <int bits>
    static __m256i part(U8x32 codes, int p) {
        if constexpr (bits == 8) return codes.v;
        const __m256i shifted = p == 0 ? codes.v : _mm256_srli_epi16(codes.v, p * bits);
        return _mm256_and_si256(shifted, _mm256_set1_epi8(static_cast<char>((1 << bits) - 1)));
    }
    template <int bits>
    static I32x8 dot(I32x8 sum, U8x32 codes, const U8x32* query) {
        if constexpr (bits == 8) {
            // VPMADDUBSW would saturate: 2 * 255 * 127 does not fit 16 bits.
            return madd(sum, widen<Scalar::u8>(codes), widen<Scalar::i8>(query[0]));
        } else {
            asm("" : "+x"(codes.v));  // one load for all parts, not one each
            // Exact in 16 bits: at most 8 / bits * 2 * (2^bits - 1) * 128 <= 7680.
            __m256i pairs = _mm256_maddubs_epi16(part<bits>(codes, 0), query[0].v);
            unrolled<8 / bits - 1>([&](auto p) {
                pairs = _mm256_add_epi16(
                    pairs, _mm256_maddubs_epi16(part<bits>(codes, p + 1), query[p + 1].v));
            });
            return sum + I32x8{_mm256_madd_epi16(pairs, _mm256_set1_epi16(1))};
        }
    }
    static I32x8 popcount(I32x8 sum, U8x32 x) {
        const __m256i counts = _mm256_broadcastsi128_si256(
            _mm_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4));
        const __m256i of_bytes = _mm256_add_epi8(_mm256_shuffle_epi8(counts, part<4>(x, 0)),
                                                 _mm256_shuffle_epi8(counts, part<4>(x, 1)));
        return sum + I32x8{_mm256_sad_epu8(of_bytes, _mm256_setzero_si256())};
    }
};

/// What register tiles of floats and integers share: a panel row is two registers.
struct TileAvx2 {
    static constexpr int panels = 1, vectors = 2;
    static __m256i unit(const Byte* at) { return _mm256_set1_epi32(read<std::int32_t>(at, 0)); }
    static __m256i line(const Byte* at, int i) { return load_32(at + 32 * i); }
    static void store(float* out, F32x8 sum) { _mm256_storeu_ps(out, sum.v); }
    static void store(std::int32_t* out, I32x8 sum) {
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), sum.v);
    }
};

}  // namespace
}  // namespace nearfield::kernels
