// The passes of a random rotation round its Walsh-Hadamard transforms, over a register type F of
// floats that also has reversed(x), larger(so_far, x) = max(so_far, |x|) and largest_lane(x). Each
// output is one or two operations rounded on their own, so the bits are the same on every CPU.
#pragma once

#include "kernels/generic/half.inl.h"

namespace nearfield::kernels {
namespace {

template <class F>
void centre(const float* in, const float* middle, float factor, std::size_t n, float* out) {
    const Byte* const from = reinterpret_cast<const Byte*>(in);
    const Byte* const take = reinterpret_cast<const Byte*>(middle);
    Byte* const to = reinterpret_cast<Byte*>(out);
    const F scale = F::broadcast(factor);
    std::size_t i = 0;
    for (; i + F::lanes <= n; i += F::lanes) {
        const F x = F::template load<Scalar::f32>(from, i);
        ((x - F::template load<Scalar::f32>(take, i)) * scale).template store<Scalar::f32>(to, i);
    }
    if (i < n) {
        const F x = F::template load_first<Scalar::f32>(from, i, n - i);
        ((x - F::template load_first<Scalar::f32>(take, i, n - i)) * scale)
            .template store_first<Scalar::f32>(to, i, n - i);
    }
}

template <class F>
void multiply(const float* factors, std::size_t n, float* values) {
    const Byte* const by = reinterpret_cast<const Byte*>(factors);
    Byte* const at = reinterpret_cast<Byte*>(values);
    std::size_t i = 0;
    for (; i + F::lanes <= n; i += F::lanes)
        (F::template load<Scalar::f32>(at, i) * F::template load<Scalar::f32>(by, i))
            .template store<Scalar::f32>(at, i);
    if (i < n)
        (F::template load_first<Scalar::f32>(at, i, n - i) *
         F::template load_first<Scalar::f32>(by, i, n - i))
            .template store_first<Scalar::f32>(at, i, n - i);
}

template <class F>
void fold(float* values, std::size_t n) {
    constexpr float root_half = 0.70710678118654752f;
    Byte* const at = reinterpret_cast<Byte*>(values);
    const F scale = F::broadcast(root_half);
    std::size_t i = 0;
    for (; 2 * (i + F::lanes) <= n; i += F::lanes) {
        const std::size_t mirror = n - i - F::lanes;
        const F a = F::template load<Scalar::f32>(at, i);
        const F b = reversed(F::template load<Scalar::f32>(at, mirror));
        ((a + b) * scale).template store<Scalar::f32>(at, i);
        reversed((a - b) * scale).template store<Scalar::f32>(at, mirror);
    }
    for (std::size_t j = n - 1 - i; i < j; ++i, --j) {
        const float a = values[i], b = values[j];
        values[i] = (a + b) * root_half;
        values[j] = (a - b) * root_half;
    }
}

template <class F>
float largest(const float* values, std::size_t n) {
    const Byte* const at = reinterpret_cast<const Byte*>(values);
    F even = F::zero(), odd = F::zero();
    std::size_t i = 0;
    for (; i + 2 * F::lanes <= n; i += 2 * F::lanes) {
        even = larger(even, F::template load<Scalar::f32>(at, i));
        odd = larger(odd, F::template load<Scalar::f32>(at, i + F::lanes));
    }
    for (; i + F::lanes <= n; i += F::lanes)
        even = larger(even, F::template load<Scalar::f32>(at, i));
    if (i < n) odd = larger(odd, F::template load_first<Scalar::f32>(at, i, n - i));
    return F::largest_lane(larger(even, odd));
}

/// Sixteen chains, whatever the CPU: a product of two floats is exact in double, so the bits are
/// the same with and without fused operations.
inline double squares(const float* values, std::size_t n) {
    constexpr std::size_t chains = 16;
    double sum[chains] = {};
    std::size_t i = 0;
    for (; i + chains <= n; i += chains)
        for (std::size_t lane = 0; lane < chains; ++lane)
            sum[lane] += static_cast<double>(values[i + lane]) * values[i + lane];
    for (std::size_t lane = 0; i < n; ++i, ++lane)
        sum[lane] += static_cast<double>(values[i]) * values[i];
    for (std::size_t half = chains / 2; half > 0; half /= 2)
        for (std::size_t lane = 0; lane < half; ++lane) sum[lane] += sum[lane + half];
    return sum[0];
}

template <class F>
constexpr void fill_rotation(Kernels& table) {
    table.centre = centre<F>;
    table.multiply = multiply<F>;
    table.fold = fold<F>;
    table.largest = largest<F>;
    table.squares = squares;
}

}  // namespace
}  // namespace nearfield::kernels
