// AVX-512 BF16: products of bf16 pairs summed in float32. The instruction takes subnormal inputs
// and sums for zero.
#include "kernels/isa/avx512.inl.h"

namespace nearfield::kernels {
namespace {

struct TileBf16 : TileAvx512 {
    static constexpr int rows = 8, panels = 3;
    using Sum = F32x16;
    using Right = U8x64;
    static Right load_left(const Byte* at) { return {unit(at)}; }
    static Right load_right(const Byte* at, int) { return {line(at)}; }
    static Sum madd(Sum sum, Right x, Right y) {
        return {_mm512_dpbf16_ps(sum.v, reinterpret_cast<__m512bh>(x.v),
                                 reinterpret_cast<__m512bh>(y.v))};
    }
};

constexpr Kernels avx512_bf16_table() {
    Kernels table{};
    table.tile_bf16 = tile_bf16<TileBf16>;
    return table;
}

}  // namespace

extern const Kernels avx512_bf16_kernels;
constinit const Kernels avx512_bf16_kernels = avx512_bf16_table();

}  // namespace nearfield::kernels
