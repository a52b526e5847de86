// AVX-VNNI: integer products that add four bytes or two words at once, in 256-bit registers.
#include "kernels/generic/graph.inl.h"
#include "kernels/isa/avx2.inl.h"
#include "kernels/isa/avx2_blocks.inl.h"

namespace nearfield::kernels {
namespace {

struct BytesVnni : BytesAvx2 {
    static I32x8 madd(I32x8 sum, I16x32 a, I16x32 b) {
        return {
            _mm256_dpwssd_avx_epi32(_mm256_dpwssd_avx_epi32(sum.v, a.even, b.even), a.odd, b.odd)};
    }
    template <int bits>
    static I32x8 dot(I32x8 sum, U8x32 codes, const U8x32* query) {
        unrolled<8 / bits>([&](auto p) {
            sum.v = _mm256_dpbusd_avx_epi32(sum.v, part<bits>(codes, p), query[p].v);
        });
        return sum;
    }
    /// The product takes unsigned with signed bytes, so rows move up by 128.
    static constexpr std::int32_t i8_offset = -128;
    static I32x8 dot_i8(I32x8 sum, U8x32 x, U8x32 query) {
        const __m256i top = _mm256_set1_epi8(static_cast<char>(0x80));
        return {_mm256_dpbusd_avx_epi32(sum.v, _mm256_xor_si256(x.v, top), query.v)};
    }
    static I32x8 sum_i8(I32x8 sum, U8x32 x) {
        return {_mm256_dpbusd_avx_epi32(sum.v, _mm256_set1_epi8(1), x.v)};
    }
};

struct TileI8 : TileAvx2 {
    static constexpr int rows = 6;
    using Sum = I32x8;
    using Right = U8x32;
    static Right load_left(const Byte* at) { return {unit(at)}; }
    static Right load_right(const Byte* at, int i) { return {line(at, i)}; }
    static Sum madd(Sum sum, Right x, Right y) {
        return {_mm256_dpbusd_avx_epi32(sum.v, y.v, x.v)};
    }
};

struct PanelVnni : PanelAvx2 {
    template <int bits, int p>
    static Sum dot(Sum sum, Line x, Unit unit) {
        return {_mm256_dpbusd_avx_epi32(sum.v, part<bits, p>(x).v, unit)};
    }
};

constexpr Kernels avx2_vnni_table() {
    Kernels table{};
    fill_byte_distances<BytesVnni>(table);
    fill_signed_dot<BytesVnni>(table);
    fill_codes<BytesVnni>(table);
    fill_estimates<BytesVnni, FinishScalar>(table);
    table.tile_i8 = tile_i8<TileI8>;
    fill_panel_dots<PanelVnni>(table);
    return table;
}

}  // namespace

extern const Kernels avx2_vnni_kernels;
constinit const Kernels avx2_vnni_kernels = avx2_vnni_table();

}  // namespace nearfield::kernels
