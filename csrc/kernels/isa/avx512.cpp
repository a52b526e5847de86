// AVX-512 F, BW, DQ and VL (with FMA and F16C): every kernel.
#include "kernels/generic/hadamard.inl.h"
#include "kernels/generic/rotate.inl.h"
#include "kernels/generic/select.inl.h"
#include "kernels/isa/avx512.inl.h"
#include "kernels/isa/avx512_blocks.inl.h"
#include "kernels/isa/avx512_graph.inl.h"

namespace nearfield::kernels {
namespace {

// 8 rows x 3 panels: 24 sums, 3 panel registers and one broadcast fit 32 registers, and 11 loads
// feed 24 multiply-adds.
struct TileF32 : TileAvx512 {
    static constexpr int rows = 8, panels = 3;
    using Sum = F32x16;
    using Right = F32x16;
    static F32x16 load_left(const Byte* at) { return {_mm512_castsi512_ps(unit(at))}; }
    static F32x16 load_right(const Byte* at, int) { return {_mm512_castsi512_ps(line(at))}; }
    static Sum madd(Sum sum, F32x16 x, F32x16 y) { return fma(x, y, sum); }
};

/// Without VDPBF16PS a pair of bf16 becomes two registers of floats.
struct TileBf16 : TileAvx512 {
    static constexpr int rows = 8, panels = 2;
    using Sum = F32x16;
    struct Right {
        F32x16 low, high;
    };
    static Right split(__m512i pairs) {
        const __m512i high = _mm512_set1_epi32(static_cast<int>(0xffff0000));
        return {{_mm512_castsi512_ps(_mm512_slli_epi32(pairs, 16))},
                {_mm512_castsi512_ps(_mm512_and_si512(pairs, high))}};
    }
    static Right load_left(const Byte* at) { return split(unit(at)); }
    static Right load_right(const Byte* at, int) { return split(line(at)); }
    static Sum madd(Sum sum, Right x, Right y) {
        return fma(x.high, y.high, fma(x.low, y.low, sum));
    }
};

struct TileI8 : TileAvx512 {
    static constexpr int rows = 8, panels = 2;
    using Sum = I32x16;
    using Right = I16x64;
    static Right load_left(const Byte* at) { return BytesAvx512::widen<Scalar::i8>({unit(at)}); }
    static Right load_right(const Byte* at, int) {
        return BytesAvx512::widen<Scalar::u8>({line(at)});
    }
    static Sum madd(Sum sum, Right x, Right y) { return BytesAvx512::madd(sum, x, y); }
};

/// 16 rows x 16 units by four rounds of shuffles.
struct Transpose16 {
    static constexpr std::size_t span = 16;
    static void transpose(const Byte* rows, std::size_t stride, std::size_t count,
                          std::size_t bytes, std::size_t lines, Byte* out) {
        const __mmask64 mask = bytes < 64 ? first_bytes(bytes) : ~__mmask64{0};
        __m512i r[16], s[16];
        unrolled<16>([&](auto i) {
            r[i] = i < count ? _mm512_maskz_loadu_epi8(mask, rows + i * stride)
                             : _mm512_setzero_si512();
        });
        unrolled<8>([&](auto i) {
            s[2 * i] = _mm512_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
            s[2 * i + 1] = _mm512_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
        });
        unrolled<4>([&](auto g) {
            unrolled<2>([&](auto c) {
                r[4 * g + 2 * c] = _mm512_unpacklo_epi64(s[4 * g + c], s[4 * g + 2 + c]);
                r[4 * g + 2 * c + 1] = _mm512_unpackhi_epi64(s[4 * g + c], s[4 * g + 2 + c]);
            });
        });
        // r[4 * g + c] now holds, in 128-bit lane l, column 4 * l + c of rows 4 * g ... 4 * g + 3.
        unrolled<4>([&](auto c) {
            const __m512i a = _mm512_shuffle_i32x4(r[c], r[4 + c], 0x44);
            const __m512i b = _mm512_shuffle_i32x4(r[c], r[4 + c], 0xee);
            const __m512i d = _mm512_shuffle_i32x4(r[8 + c], r[12 + c], 0x44);
            const __m512i e = _mm512_shuffle_i32x4(r[8 + c], r[12 + c], 0xee);
            s[c] = _mm512_shuffle_i32x4(a, d, 0x88);
            s[4 + c] = _mm512_shuffle_i32x4(a, d, 0xdd);
            s[8 + c] = _mm512_shuffle_i32x4(b, e, 0x88);
            s[12 + c] = _mm512_shuffle_i32x4(b, e, 0xdd);
        });
        unrolled<16>([&](auto i) {
            if (i < lines) _mm512_storeu_si512(out + i * panel_line, s[i]);
        });
    }
};

constexpr Kernels avx512_table() {
    Kernels table{};
    fill_float_distances<F32x16>(table);
    fill_byte_distances<BytesAvx512>(table);
    fill_codes<BytesAvx512>(table);
    fill_hamming<BytesAvx512>(table);
    fill_pack<Transpose16>(table);
    fill_panels<PanelAvx512>(table);
    table.lookup_sums = lookup_sums<LookupAvx512>;
    table.tile_f32 = tile_f32<TileF32>;
    table.tile_bf16 = tile_bf16<TileBf16>;
    table.tile_i8 = tile_i8<TileI8>;
    fill_select<F32x16>(table);
    table.visit = visit_avx512;
    fill_estimates<BytesAvx512, FinishAvx512>(table);
    table.pool_insert = pool_insert_avx512;
    fill_conversions<F32x16>(table);
    fill_hadamard<F32x16>(table);
    fill_rotation<F32x16>(table);
    return table;
}

}  // namespace

extern const Kernels avx512_kernels;
constinit const Kernels avx512_kernels = avx512_table();

}  // namespace nearfield::kernels
