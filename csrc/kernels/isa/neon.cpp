// NEON with the dot-product extension of ARMv8.2: every kernel.
#include <arm_neon.h>

#include "kernels/generic/bytes.inl.h"
#include "kernels/generic/convert.inl.h"
#include "kernels/generic/graph.inl.h"
#include "kernels/generic/hadamard.inl.h"
#include "kernels/generic/pack.inl.h"
#include "kernels/generic/rotate.inl.h"
#include "kernels/generic/select.inl.h"
#include "kernels/isa/neon_blocks.inl.h"

namespace nearfield::kernels {
namespace {

/// The first `count` bytes and zeros.
inline uint8x16_t load_16_first(const Byte* at, std::size_t count) {
    alignas(16) Byte copy[16] = {};
    for (std::size_t i = 0; i < count && i < 16; ++i) copy[i] = at[i];
    return vld1q_u8(copy);
}

/// Round to nearest even; NaN stays NaN.
inline uint16x4_t narrow_to_bf16(float32x4_t v) {
    const uint32x4_t bits = vreinterpretq_u32_f32(v);
    const uint32x4_t odd = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
    const uint32x4_t rounded = vaddq_u32(bits, vaddq_u32(odd, vdupq_n_u32(0x7fff)));
    const uint32x4_t quiet = vorrq_u32(bits, vdupq_n_u32(0x400000));
    return vshrn_n_u32(vbslq_u32(vceqq_f32(v, v), rounded, quiet), 16);
}

/// Four bytes in the lowest lanes.
inline uint8x8_t narrow_to_i8(float32x4_t v) {
    const float32x4_t low = vmaxnmq_f32(v, vdupq_n_f32(-127.0f));
    const int32x4_t ints = vcvtnq_s32_f32(vminnmq_f32(low, vdupq_n_f32(127.0f)));
    const int16x4_t words = vmovn_s32(ints);
    return vreinterpret_u8_s8(vmovn_s16(vcombine_s16(words, words)));
}

struct F32x4 {
    static constexpr std::size_t lanes = 4;
    float32x4_t v;

    static F32x4 zero() { return {vdupq_n_f32(0.0f)}; }
    static F32x4 broadcast(float value) { return {vdupq_n_f32(value)}; }

    template <Scalar S>
    static F32x4 load(const Byte* row, std::size_t i) {
        if constexpr (S == Scalar::f32) return {vreinterpretq_f32_u8(vld1q_u8(row + 4 * i))};
        if constexpr (S == Scalar::i8)
            return widen<S>(vreinterpret_u8_u32(vdup_n_u32(read<std::uint32_t>(row + i, 0))));
        if constexpr (S == Scalar::f16 || S == Scalar::bf16) return widen<S>(vld1_u8(row + 2 * i));
    }
    template <Scalar S>
    static F32x4 load_first(const Byte* row, std::size_t i, std::size_t count) {
        constexpr std::size_t element = S == Scalar::f32 ? 4 : S == Scalar::i8 ? 1 : 2;
        const uint8x16_t bytes = load_16_first(row + element * i, element * count);
        if constexpr (S == Scalar::f32)
            return {vreinterpretq_f32_u8(bytes)};
        else
            return widen<S>(vget_low_u8(bytes));
    }
    template <Scalar S>
    void store(Byte* row, std::size_t i) const {
        if constexpr (S == Scalar::f32) vst1q_u8(row + 4 * i, vreinterpretq_u8_f32(v));
        if constexpr (S == Scalar::f16) vst1_u8(row + 2 * i, vreinterpret_u8_f16(vcvt_f16_f32(v)));
        if constexpr (S == Scalar::bf16)
            vst1_u8(row + 2 * i, vreinterpret_u8_u16(narrow_to_bf16(v)));
        if constexpr (S == Scalar::i8)
            write(row + i, 0, vget_lane_u32(vreinterpret_u32_u8(narrow_to_i8(v)), 0));
    }
    template <Scalar S>
    void store_first(Byte* row, std::size_t i, std::size_t count) const {
        constexpr std::size_t element = S == Scalar::f32 ? 4 : S == Scalar::i8 ? 1 : 2;
        alignas(16) Byte copy[16];
        store<S>(copy, 0);
        for (std::size_t j = 0; j < element * count; ++j) row[element * i + j] = copy[j];
    }

    static F32x4 from_int(const std::int32_t* ints, std::size_t i, std::int32_t shift) {
        return {vcvtq_f32_s32(vsubq_s32(vld1q_s32(ints + i), vdupq_n_s32(shift)))};
    }
    static F32x4 from_int_first(const std::int32_t* ints, std::size_t i, std::size_t count,
                                std::int32_t shift) {
        const Byte* const at = reinterpret_cast<const Byte*>(ints + i);
        const int32x4_t values = vreinterpretq_s32_u8(load_16_first(at, 4 * count));
        return {vcvtq_f32_s32(vsubq_s32(values, vdupq_n_s32(shift)))};
    }
    static constexpr bool packs = false;
    static void append_indices(unsigned mask, std::uint32_t first, std::uint32_t* out) {
        for (; mask != 0; mask &= mask - 1)
            *out++ = first + static_cast<std::uint32_t>(__builtin_ctz(mask));
    }
    static void append(unsigned mask, F32x4 values, float* out) {
        float copy[4];
        vst1q_f32(copy, values.v);
        for (; mask != 0; mask &= mask - 1) *out++ = copy[__builtin_ctz(mask)];
    }

    static void sum4(F32x4 a, F32x4 b, F32x4 c, F32x4 d, float* out) {
        vst1q_f32(out, vpaddq_f32(vpaddq_f32(a.v, b.v), vpaddq_f32(c.v, d.v)));
    }

    /// The stage of distance h of a Walsh-Hadamard transform.
    template <std::size_t h>
    static F32x4 butterfly(F32x4 x) {
        const float32x4_t other = h == 1 ? vrev64q_f32(x.v) : vextq_f32(x.v, x.v, 2);
        constexpr std::uint32_t all = 0xffffffff;
        const uint32x4_t upper = h == 1 ? uint32x4_t{0, all, 0, all} : uint32x4_t{0, 0, all, all};
        return {vbslq_f32(upper, vsubq_f32(other, x.v), vaddq_f32(x.v, other))};
    }

    friend F32x4 operator+(F32x4 a, F32x4 b) { return {vaddq_f32(a.v, b.v)}; }
    friend F32x4 operator-(F32x4 a, F32x4 b) { return {vsubq_f32(a.v, b.v)}; }
    friend F32x4 operator*(F32x4 a, F32x4 b) { return {vmulq_f32(a.v, b.v)}; }
    friend F32x4 fma(F32x4 a, F32x4 b, F32x4 c) { return {vfmaq_f32(c.v, a.v, b.v)}; }
    friend F32x4 larger(F32x4 so_far, F32x4 x) { return {vmaxq_f32(so_far.v, vabsq_f32(x.v))}; }
    friend F32x4 reversed(F32x4 x) {
        const float32x4_t pairs = vrev64q_f32(x.v);
        return {vextq_f32(pairs, pairs, 2)};
    }
    static float largest_lane(F32x4 x) { return vmaxvq_f32(x.v); }
    friend unsigned below(F32x4 a, F32x4 b) { return bits(vcltq_f32(a.v, b.v)); }
    friend unsigned at_most(F32x4 a, F32x4 b) { return bits(vcleq_f32(a.v, b.v)); }

  private:
    template <Scalar S>
    static F32x4 widen(uint8x8_t x) {
        if constexpr (S == Scalar::f16) return {vcvt_f32_f16(vreinterpret_f16_u8(x))};
        if constexpr (S == Scalar::bf16)
            return {vreinterpretq_f32_u32(vshll_n_u16(vreinterpret_u16_u8(x), 16))};
        if constexpr (S == Scalar::i8)
            return {vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(vreinterpret_s8_u8(x)))))};
    }
    static unsigned bits(uint32x4_t mask) {
        return vaddvq_u32(vandq_u32(mask, uint32x4_t{1, 2, 4, 8}));
    }
};

struct I32x4 {
    int32x4_t v;

    static I32x4 zero() { return {vdupq_n_s32(0)}; }
    static void sum4(I32x4 a, I32x4 b, I32x4 c, I32x4 d, std::int32_t* out) {
        vst1q_s32(out, vpaddq_s32(vpaddq_s32(a.v, b.v), vpaddq_s32(c.v, d.v)));
    }
    static void sum8(const I32x4* s, std::int32_t* out) {
        sum4(s[0], s[1], s[2], s[3], out);
        sum4(s[4], s[5], s[6], s[7], out + 4);
    }
    friend I32x4 operator+(I32x4 a, I32x4 b) { return {vaddq_s32(a.v, b.v)}; }
};

struct U8x16 {
    uint8x16_t v;
    friend U8x16 operator^(U8x16 a, U8x16 b) { return {veorq_u8(a.v, b.v)}; }
};

// The products need no 16-bit values: bytes keep their type, and a difference is its size.
struct UnsignedBytes {
    uint8x16_t v;
    friend UnsignedBytes operator-(UnsignedBytes a, UnsignedBytes b) {
        return {vabdq_u8(a.v, b.v)};
    }
};
struct SignedBytes {
    int8x16_t v;
    friend UnsignedBytes operator-(SignedBytes a, SignedBytes b) {
        return {vreinterpretq_u8_s8(vabdq_s8(a.v, b.v))};
    }
};

struct BytesNeon {
    static constexpr std::size_t width = 16;
    static constexpr int rows_at_once = 8;
    static constexpr bool fixed_lengths = false;
    static constexpr std::int32_t u8_offset = 128;
    using Register = U8x16;
    using Sum = I32x4;

    static U8x16 load(const Byte* row, std::size_t i) { return {vld1q_u8(row + i)}; }
    static U8x16 load_first(const Byte* row, std::size_t i, std::size_t count) {
        return {load_16_first(row + i, count)};
    }
    template <Scalar S>
    static auto widen(U8x16 x) {
        if constexpr (S == Scalar::i8)
            return SignedBytes{vreinterpretq_s8_u8(x.v)};
        else
            return UnsignedBytes{x.v};
    }
    static I32x4 madd(I32x4 sum, UnsignedBytes a, UnsignedBytes b) {
        return {vreinterpretq_s32_u32(vdotq_u32(vreinterpretq_u32_s32(sum.v), a.v, b.v))};
    }
    static I32x4 madd(I32x4 sum, SignedBytes a, SignedBytes b) {
        return {vdotq_s32(sum.v, a.v, b.v)};
    }
    /// Part p of packed codes; codes of 8 bits move down by 128 to become signed.
    template <int bits, int p>
    static int8x16_t part(U8x16 codes) {
        if constexpr (bits == 8)
            return vreinterpretq_s8_u8(veorq_u8(codes.v, vdupq_n_u8(0x80)));
        else if constexpr (p == 0)
            return vreinterpretq_s8_u8(vandq_u8(codes.v, vdupq_n_u8((1 << bits) - 1)));
        else
            return vreinterpretq_s8_u8(
                vandq_u8(vshrq_n_u8(codes.v, p * bits), vdupq_n_u8((1 << bits) - 1)));
    }
    template <int bits>
    static I32x4 dot(I32x4 sum, U8x16 codes, const U8x16* query) {
        unrolled<8 / bits>([&](auto p) {
            const int8x16_t code = part<bits, decltype(p)::value>(codes);
            sum.v = vdotq_s32(sum.v, code, vreinterpretq_s8_u8(query[p].v));
        });
        return sum;
    }
    static I32x4 sum_i8(I32x4 sum, U8x16 x) {
        return {vdotq_s32(sum.v, vdupq_n_s8(1), vreinterpretq_s8_u8(x.v))};
    }
    static I32x4 popcount(I32x4 sum, U8x16 x) {
        const uint32x4_t so_far = vreinterpretq_u32_s32(sum.v);
        return {vreinterpretq_s32_u32(vpadalq_u16(so_far, vpaddlq_u8(vcntq_u8(x.v))))};
    }
};

/// What the tiles share: a panel row is four registers.
struct TileNeon {
    static constexpr int panels = 1, vectors = 4;
    static uint8x16_t unit(const Byte* at) {
        return vreinterpretq_u8_u32(vdupq_n_u32(read<std::uint32_t>(at, 0)));
    }
    static uint8x16_t line(const Byte* at, int i) { return vld1q_u8(at + 16 * i); }
};

struct TileF32 : TileNeon {
    static constexpr int rows = 6;
    using Sum = F32x4;
    using Right = F32x4;
    static F32x4 load_left(const Byte* at) { return {vreinterpretq_f32_u8(unit(at))}; }
    static F32x4 load_right(const Byte* at, int i) { return {vreinterpretq_f32_u8(line(at, i))}; }
    static Sum madd(Sum sum, F32x4 x, F32x4 y) { return fma(x, y, sum); }
    static void store(float* out, Sum sum) { vst1q_f32(out, sum.v); }
};

struct TileBf16 : TileNeon {
    static constexpr int rows = 4;
    using Sum = F32x4;
    struct Right {
        F32x4 low, high;
    };
    static Right split(uint8x16_t bytes) {
        const uint32x4_t pairs = vreinterpretq_u32_u8(bytes);
        return {{vreinterpretq_f32_u32(vshlq_n_u32(pairs, 16))},
                {vreinterpretq_f32_u32(vandq_u32(pairs, vdupq_n_u32(0xffff0000)))}};
    }
    static Right load_left(const Byte* at) { return split(unit(at)); }
    static Right load_right(const Byte* at, int i) { return split(line(at, i)); }
    static Sum madd(Sum sum, Right x, Right y) {
        return fma(x.high, y.high, fma(x.low, y.low, sum));
    }
    static void store(float* out, Sum sum) { vst1q_f32(out, sum.v); }
};

/// There is no product of unsigned with signed bytes, so the top bit has a sum of its own.
struct TileI8 : TileNeon {
    static constexpr int rows = 2;
    struct Sum {
        int32x4_t low, top;
        static Sum zero() { return {vdupq_n_s32(0), vdupq_n_s32(0)}; }
    };
    struct Right {
        int8x16_t low, top;
    };
    static int8x16_t load_left(const Byte* at) { return vreinterpretq_s8_u8(unit(at)); }
    static Right load_right(const Byte* at, int i) {
        const uint8x16_t x = line(at, i);
        return {vreinterpretq_s8_u8(vandq_u8(x, vdupq_n_u8(0x7f))),
                vreinterpretq_s8_u8(vshrq_n_u8(x, 7))};
    }
    static Sum madd(Sum sum, int8x16_t x, Right y) {
        return {vdotq_s32(sum.low, y.low, x), vdotq_s32(sum.top, y.top, x)};
    }
    static void store(std::int32_t* out, Sum sum) {
        vst1q_s32(out, vaddq_s32(sum.low, vshlq_n_s32(sum.top, 7)));
    }
};

/// 16 rows x 4 units: four squares of 4.
struct Transpose4 {
    static constexpr std::size_t span = 4;

    static uint32x4_t load(const Byte* row, bool present, std::size_t bytes) {
        if (!present) return vdupq_n_u32(0);
        return vreinterpretq_u32_u8(bytes >= 16 ? vld1q_u8(row) : load_16_first(row, bytes));
    }
    static void transpose(const Byte* rows, std::size_t stride, std::size_t count,
                          std::size_t bytes, std::size_t lines, Byte* out) {
        for (std::size_t g = 0; g < panel_rows; g += 4) {
            uint32x4_t r[4];
            unrolled<4>(
                [&](auto i) { r[i] = load(rows + (g + i) * stride, g + i < count, bytes); });
            const uint32x4_t a = vzip1q_u32(r[0], r[2]), b = vzip2q_u32(r[0], r[2]);
            const uint32x4_t c = vzip1q_u32(r[1], r[3]), d = vzip2q_u32(r[1], r[3]);
            const uint32x4_t columns[4] = {vzip1q_u32(a, c), vzip2q_u32(a, c), vzip1q_u32(b, d),
                                           vzip2q_u32(b, d)};
            unrolled<4>([&](auto i) {
                if (i < lines)
                    vst1q_u8(out + i * panel_line + g * unit_bytes,
                             vreinterpretq_u8_u32(columns[i]));
            });
        }
    }
};

constexpr Kernels neon_table() {
    Kernels table{};
    fill_float_distances<F32x4>(table);
    fill_byte_distances<BytesNeon>(table);
    fill_codes<BytesNeon>(table);
    fill_hamming<BytesNeon>(table);
    fill_pack<Transpose4>(table);
    fill_panels<PanelNeon>(table);
    table.lookup_sums = lookup_sums<LookupNeon>;
    table.tile_f32 = tile_f32<TileF32>;
    table.tile_bf16 = tile_bf16<TileBf16>;
    table.tile_i8 = tile_i8<TileI8>;
    fill_select<F32x4>(table);
    fill_estimates<BytesNeon, FinishScalar>(table);
    table.visit = visit;
    table.pool_insert = pool_insert_ranked<F32x4>;
    fill_conversions<F32x4>(table);
    fill_hadamard<F32x4>(table);
    fill_rotation<F32x4>(table);
    return table;
}

}  // namespace

extern const Kernels neon_kernels;
constinit const Kernels neon_kernels = neon_table();

}  // namespace nearfield::kernels
