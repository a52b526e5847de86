// Distances of one float32 query to rows of floats or int8, over a register type F of floats:
//   lanes; zero(); load<S>(row, i); load_first<S>(row, i, count) fills the other lanes with zero;
//   operators + and -; fma(a, b, c) = a * b + c;
//   sum4(a, b, c, d, out) adds up the lanes of four registers, each in the same order.
#pragma once

#include "kernels/generic/rows.inl.h"

namespace nearfield::kernels {
namespace {

// Two running sums a row: four rows make eight chains, which covers a latency of 4 cycles at two
// multiply-adds a cycle.
template <class F, int R>
struct Sums {
    F even[R], odd[R];
    [[gnu::always_inline]] Sums() {
        unrolled<R>([&](auto r) { even[r] = odd[r] = F::zero(); });
    }
    /// The R totals; the order of additions does not depend on R.
    [[gnu::always_inline]] void total(float* out) const {
        F s[4];
        unrolled<4>([&](auto r) { s[r] = even[r < R ? r : R - 1] + odd[r < R ? r : R - 1]; });
        F::sum4(s[0], s[1], s[2], s[3], out);
    }
};

struct L2 {
    static constexpr bool norms = false, plain_product = false;
    template <class F>
    [[gnu::always_inline]] static F step(F sum, F q, F x) {
        const F d = q - x;
        return fma(d, d, sum);
    }
    static float finish(float sum, float, float) { return sum; }
};

struct Dot {
    static constexpr bool norms = false, plain_product = true;
    template <class F>
    [[gnu::always_inline]] static F step(F sum, F q, F x) {
        return fma(q, x, sum);
    }
    static float finish(float sum, float, float) { return sum; }
};

struct NegatedDot : Dot {
    static float finish(float sum, float, float) { return -sum; }
};

inline float square_root(float value) { return __builtin_sqrtf(value); }

/// 1 - cos; a row or query of norm 0 has cos = 0.
struct Cosine : Dot {
    static constexpr bool norms = true, plain_product = false;
    static float finish(float sum, float q_norm2, float x_norm2) {
        const float norms2 = square_root(q_norm2) * square_root(x_norm2);
        return norms2 > 0.0f ? 1.0f - sum / norms2 : 1.0f;
    }
};

template <class F, Scalar S, class Op>
struct FloatDistance {
    using Out = float;
    static constexpr int rows_at_once = 4;
    // From memory, rows of 3 KB came 5 % faster under l2 and 13 % under cosine; dot lost 10 %.
    static constexpr bool one_long_row = S == Scalar::f32 && !Op::plain_product;
    const Byte* query;
    std::size_t dim;
    float q_norm2;

    FloatDistance(const void* q, std::size_t d)
        : query(static_cast<const Byte*>(q)), dim(d), q_norm2(Op::norms ? norm2() : 0.0f) {}

    static constexpr std::size_t element = S == Scalar::f32 ? 4 : S == Scalar::i8 ? 1 : 2;
    std::size_t row_bytes() const { return dim * element; }
    std::size_t stream_ahead() const {
        return S != Scalar::f32 ? 2048 : row_bytes() <= long_row ? 1024 : 0;
    }

    template <int R>
    [[gnu::always_inline]] void run(const Byte* const* rows, float* out) const {
        constexpr std::size_t w = F::lanes;
        Sums<F, R> sums, norms;
        const auto add = [&](auto& into, auto& norms_into, auto r, F q, F x) {
            into[r] = Op::step(into[r], q, x);
            if constexpr (Op::norms) norms_into[r] = fma(x, x, norms_into[r]);
        };
        std::size_t i = 0;
        for (; i + 2 * w <= dim; i += 2 * w) {
            const F q0 = F::template load<Scalar::f32>(query, i);
            const F q1 = F::template load<Scalar::f32>(query, i + w);
            unrolled<R>([&](auto r) {
                add(sums.even, norms.even, r, q0, F::template load<S>(rows[r], i));
                add(sums.odd, norms.odd, r, q1, F::template load<S>(rows[r], i + w));
            });
        }
        if (i + w <= dim) {
            const F q = F::template load<Scalar::f32>(query, i);
            unrolled<R>(
                [&](auto r) { add(sums.even, norms.even, r, q, F::template load<S>(rows[r], i)); });
            i += w;
        }
        if (i < dim) {
            const std::size_t left = dim - i;
            const F q = F::template load_first<Scalar::f32>(query, i, left);
            unrolled<R>([&](auto r) {
                add(sums.odd, norms.odd, r, q, F::template load_first<S>(rows[r], i, left));
            });
        }
        float total[4], norm[4] = {};
        sums.total(total);
        if constexpr (Op::norms) norms.total(norm);
        unrolled<R>([&](auto r) { out[r] = Op::finish(total[r], q_norm2, norm[r]); });
    }

  private:
    float norm2() const {
        float out;
        FloatDistance<F, Scalar::f32, Dot>(query, dim).template run<1>(&query, &out);
        return out;
    }
};

template <class F, Scalar S, class Op>
void float_rows(const void* query, const void* rows, std::size_t n, std::size_t dim,
                std::size_t stride, float* distances) {
    run_rows(FloatDistance<F, S, Op>(query, dim), rows, n, stride, distances);
}

template <class F, Scalar S, class Op>
void float_gather(const void* query, const void* base, const std::uint32_t* slots, std::size_t n,
                  std::size_t dim, std::size_t stride, float* distances) {
    run_gather(FloatDistance<F, S, Op>(query, dim), base, slots, n, stride, distances);
}

template <class F, Scalar S, class Op>
constexpr void fill_float(Kernels& table, Metric metric) {
    const auto s = static_cast<std::size_t>(S);
    const auto m = static_cast<std::size_t>(metric);
    table.rows[s][m] = float_rows<F, S, Op>;
    table.gather[s][m] = float_gather<F, S, Op>;
}

template <class F, Scalar S>
constexpr void fill_float_metrics(Kernels& table) {
    fill_float<F, S, L2>(table, Metric::l2);
    fill_float<F, S, NegatedDot>(table, Metric::dot);
    fill_float<F, S, Cosine>(table, Metric::cosine);
}

/// Every entry that compares a float32 query with rows.
template <class F>
constexpr void fill_float_distances(Kernels& table) {
    fill_float_metrics<F, Scalar::f32>(table);
    fill_float_metrics<F, Scalar::f16>(table);
    fill_float_metrics<F, Scalar::bf16>(table);
    table.dot_f32_i8_rows = float_rows<F, Scalar::i8, Dot>;
    table.dot_f32_i8_gather = float_gather<F, Scalar::i8, Dot>;
}

}  // namespace
}  // namespace nearfield::kernels
