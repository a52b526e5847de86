// The fast Walsh-Hadamard transform, over a register type F of floats that also has
// store<S>(row, i), load_first, store_first and butterfly<h>(x): the stage of distance h < lanes.
// The stages run in the order h = 1, 2, 4, ..., each output one addition or subtraction, so the
// bits are the same on every CPU; rotated vectors and the codes made from them rely on it.
#pragma once

#include "kernels/generic/half.inl.h"

namespace nearfield::kernels {
namespace {

template <class F, std::size_t h = 1>
[[gnu::always_inline]] inline F inner_stages(F x, std::size_t n) {
    if constexpr (h < F::lanes) {
        if (h < n) return inner_stages<F, 2 * h>(F::template butterfly<h>(x), n);
    }
    return x;
}

/// The stages between R registers.
template <class F, int R>
[[gnu::always_inline]] inline void outer_stages(F* x) {
    unrolled<R>([&](auto stage) {
        constexpr int h = 1 << stage;
        if constexpr (h < R) {
            unrolled<R>([&](auto i) {
                if constexpr ((i & h) == 0) {
                    const F a = x[i], b = x[i + h];
                    x[i] = a + b;
                    x[i + h] = a - b;
                }
            });
        }
    });
}

/// The stages h, 2h, ..., R * h / 2 in one pass over memory; `first` adds those inside registers.
template <class F, int R, bool first>
inline void hadamard_pass(Byte* values, std::size_t n, std::size_t h) {
    for (std::size_t block = 0; block < n; block += R * h) {
        for (std::size_t j = block; j < block + h; j += F::lanes) {
            F x[R];
            unrolled<R>([&](auto r) {
                x[r] = F::template load<Scalar::f32>(values, j + r * h);
                if constexpr (first) x[r] = inner_stages(x[r], F::lanes);
            });
            outer_stages<F, R>(x);
            unrolled<R>([&](auto r) { x[r].template store<Scalar::f32>(values, j + r * h); });
        }
    }
}

template <class F>
void hadamard(float* data, std::size_t n) {
    Byte* const values = reinterpret_cast<Byte*>(data);
    if (n < F::lanes) {
        const F x = inner_stages(F::template load_first<Scalar::f32>(values, 0, n), n);
        x.template store_first<Scalar::f32>(values, 0, n);
        return;
    }
    std::size_t h = F::lanes;
    if (n >= 8 * h) {
        hadamard_pass<F, 8, true>(values, n, h);
        h *= 8;
    } else {
        hadamard_pass<F, 1, true>(values, n, h);
    }
    for (; h * 8 <= n; h *= 8) hadamard_pass<F, 8, false>(values, n, h);
    if (h * 4 <= n) {
        hadamard_pass<F, 4, false>(values, n, h);
        h *= 4;
    }
    if (h * 2 <= n) hadamard_pass<F, 2, false>(values, n, h);
}

template <class F>
constexpr void fill_hadamard(Kernels& table) {
    table.hadamard = hadamard<F>;
}

}  // namespace
}  // namespace nearfield::kernels
