// AVX-VNNI: integer products that add four bytes or two words at once, in 256-bit registers.
#include "kernels/isa/avx2.inl.h"

namespace nearfield::kernels {
namespace {

struct BytesVnni : BytesAvx2 {
    static I32x8 madd(I32x8 sum, I16x32 a, I16x32 b) {
        return {_mm256_dpwssd_avx_epi32(_mm256_dpwssd_avx_epi32(sum.v, a.even, b.even), a.odd,
                                        b.odd)};
    }
    template <int bits>
    static void dot_parts(I32x8& even, I32x8& odd, U8x32 codes, const U8x32* query) {
        unrolled<8 / bits>([&](auto p) {
            I32x8& sum = p % 2 == 0 ? even : odd;
            sum.v = _mm256_dpbusd_avx_epi32(sum.v, part<bits>(codes, p), query[p].v);
        });
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

constexpr Kernels avx2_vnni_table() {
    Kernels table{};
    fill_byte_distances<BytesVnni>(table);
    fill_codes<BytesVnni>(table);
    table.tile_i8 = tile_i8<TileI8>;
    return table;
}

}  // namespace

extern const Kernels avx2_vnni_kernels;
constinit const Kernels avx2_vnni_kernels = avx2_vnni_table();

}  // namespace nearfield::kernels
