// AVX-512 VNNI: integer products that add four bytes or two words at once.
#include "kernels/isa/avx512_blocks.inl.h"
#include "kernels/isa/avx512_graph.inl.h"

namespace nearfield::kernels {
namespace {

struct BytesVnni : BytesAvx512 {
    static constexpr bool fixed_lengths = true;
    static I32x16 madd(I32x16 sum, I16x64 a, I16x64 b) {
        return {_mm512_dpwssd_epi32(_mm512_dpwssd_epi32(sum.v, a.even, b.even), a.odd, b.odd)};
    }
    template <int bits>
    [[gnu::always_inline]] static I32x16 dot(I32x16 sum, U8x64 codes, const U8x64* query) {
        return dot_parts<bits, 8 / bits>(sum, codes, query);
    }
    template <int bits, int parts>
    [[gnu::always_inline]] static I32x16 dot_parts(I32x16 sum, U8x64 codes, const U8x64* query) {
        keep_in_register(codes);
        unrolled<parts>(
            [&](auto p) { sum.v = _mm512_dpbusd_epi32(sum.v, part<bits>(codes, p), query[p].v); });
        return sum;
    }
    static U8x64 load_halves(const Byte* lower, const Byte* upper) {
        return {_mm512_inserti64x4(_mm512_castsi256_si512(half(lower)), half(upper), 1)};
    }
    /// 32 bytes, and again with the upper four bits of each moved down.
    static U8x64 load_nibbles(const Byte* row) {
        const __m512i twice = _mm512_broadcast_i64x4(half(row));
        return {_mm512_mask_srli_epi64(twice, 0xf0, twice, 4)};
    }
    static __m256i half(const Byte* at) {
        return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at));
    }
    /// The product takes unsigned with signed bytes, so rows move up by 128.
    static constexpr std::int32_t i8_offset = -128;
    static I32x16 dot_i8(I32x16 sum, U8x64 x, U8x64 query) {
        const __m512i top = _mm512_set1_epi8(static_cast<char>(0x80));
        return {_mm512_dpbusd_epi32(sum.v, _mm512_xor_si512(x.v, top), query.v)};
    }
    static I32x16 sum_i8(I32x16 sum, U8x64 x) {
        return {_mm512_dpbusd_epi32(sum.v, _mm512_set1_epi8(1), x.v)};
    }
};

struct TileI8 : TileAvx512 {
    static constexpr int rows = 8, panels = 3;
    using Sum = I32x16;
    using Right = U8x64;
    static Right load_left(const Byte* at) { return {unit(at)}; }
    static Right load_right(const Byte* at, int) { return {line(at)}; }
    static Sum madd(Sum sum, Right x, Right y) { return {_mm512_dpbusd_epi32(sum.v, y.v, x.v)}; }
};

/// The upper four bits stay where they are, and 16 times their products are summed apart.
struct PanelVnni : PanelAvx512 {
    template <int bits, int p>
    static Sum dot(Sum sum, Line x, Unit unit) {
        if constexpr (bits == 4 && p == 1) {
            const __m512i upper = _mm512_and_si512(x.v, _mm512_set1_epi8(static_cast<char>(0xf0)));
            return {_mm512_dpbusd_epi32(sum.v, upper, unit)};
        }
        return {_mm512_dpbusd_epi32(sum.v, part<bits, p>(x).v, unit)};
    }
    template <int bits>
    static Sum finish(const Sum* sums) {
        if constexpr (bits == 8) return sums[0];
        if constexpr (bits == 4) return sums[0] + Sum{_mm512_srai_epi32(sums[1].v, 4)};
        return sums[0] + sums[1];
    }
};

constexpr Kernels avx512_vnni_table() {
    Kernels table{};
    fill_byte_distances<BytesVnni>(table);
    fill_signed_dot<BytesVnni>(table);
    fill_codes<BytesVnni>(table);
    fill_estimates<BytesVnni, FinishAvx512>(table);
    table.tile_i8 = tile_i8<TileI8>;
    fill_panel_dots<PanelVnni>(table);
    return table;
}

}  // namespace

extern const Kernels avx512_vnni_kernels;
constinit const Kernels avx512_vnni_kernels = avx512_vnni_table();

}  // namespace nearfield::kernels
