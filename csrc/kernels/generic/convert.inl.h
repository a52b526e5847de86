// Element conversions, over a register type F of floats that also has broadcast(value), operator *,
// store<S>(row, i) and store_first<S>(row, i, count).
#pragma once

#include "kernels/generic/half.inl.h"

namespace nearfield::kernels {
namespace {

template <class F, Scalar From, Scalar To, class Change>
[[gnu::always_inline]] inline void convert(const void* in, std::size_t n, void* out,
                                           const Change& change) {
    const Byte* const from = static_cast<const Byte*>(in);
    Byte* const to = static_cast<Byte*>(out);
    std::size_t i = 0;
    for (; i + F::lanes <= n; i += F::lanes)
        change(F::template load<From>(from, i)).template store<To>(to, i);
    if (i < n)
        change(F::template load_first<From>(from, i, n - i)).template store_first<To>(to, i, n - i);
}

template <class F, Scalar To>
void from_floats(const float* in, std::size_t n, std::uint16_t* out) {
    convert<F, Scalar::f32, To>(in, n, out, [](F x) { return x; });
}

template <class F, Scalar From>
void to_floats(const std::uint16_t* in, std::size_t n, float* out) {
    convert<F, From, Scalar::f32>(in, n, out, [](F x) { return x; });
}

template <class F>
void to_int8(const float* in, std::size_t n, float factor, std::int8_t* out) {
    const F scale = F::broadcast(factor);
    convert<F, Scalar::f32, Scalar::i8>(in, n, out, [&](F x) { return x * scale; });
}

template <class F>
constexpr void fill_conversions(Kernels& table) {
    table.to_f16 = from_floats<F, Scalar::f16>;
    table.to_bf16 = from_floats<F, Scalar::bf16>;
    table.from_f16 = to_floats<F, Scalar::f16>;
    table.from_bf16 = to_floats<F, Scalar::bf16>;
    table.to_i8 = to_int8<F>;
}

}  // namespace
}  // namespace nearfield::kernels
