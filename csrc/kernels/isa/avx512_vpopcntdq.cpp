// AVX-512 VPOPCNTDQ: counting bits in one instruction.
#include "kernels/isa/avx512.inl.h"

namespace nearfield::kernels {
namespace {

struct BytesPopcount : BytesAvx512 {
    static I32x16 popcount(I32x16 sum, U8x64 x) { return sum + I32x16{_mm512_popcnt_epi32(x.v)}; }
};

constexpr Kernels avx512_vpopcntdq_table() {
    Kernels table{};
    fill_hamming<BytesPopcount>(table);
    return table;
}

}  // namespace

extern const Kernels avx512_vpopcntdq_kernels;
constinit const Kernels avx512_vpopcntdq_kernels = avx512_vpopcntdq_table();

}  // namespace nearfield::kernels
