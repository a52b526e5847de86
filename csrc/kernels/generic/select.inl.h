// Keeping the indices whose value passes a threshold, over a register type F of floats that also
// has broadcast(value), operator *, from_int(ints, i, shift), from_int_first(ints, i, count,
// shift); below(a, b), at_most(a, b): one bit a lane, never set by NaN; append_indices(mask, first,
// out), append(mask, values, out): the chosen lanes, packed.
#pragma once

#include "kernels/generic/half.inl.h"

namespace nearfield::kernels {
namespace {

inline unsigned first_bits(std::size_t count) { return (1u << count) - 1; }

template <class F>
std::size_t select_below(const float* values, std::size_t n, float threshold, std::uint32_t* out) {
    const Byte* const row = reinterpret_cast<const Byte*>(values);
    const F limit = F::broadcast(threshold);
    std::size_t kept = 0;
    const auto keep = [&](unsigned mask, std::size_t i) {
        if (mask == 0) return;
        F::append_indices(mask, static_cast<std::uint32_t>(i), out + kept);
        kept += static_cast<std::size_t>(__builtin_popcount(mask));
    };
    std::size_t i = 0;
    for (; i + F::lanes <= n; i += F::lanes)
        keep(below(F::template load<Scalar::f32>(row, i), limit), i);
    if (i < n) {
        const F last = F::template load_first<Scalar::f32>(row, i, n - i);
        keep(below(last, limit) & first_bits(n - i), i);
    }
    return kept;
}

/// The four inputs of one register of bounds.
template <class F>
struct BoundInputs {
    F dot, add, scale, error;
};

template <class F>
struct BoundFormula {
    F minus_a, b, c;
    [[gnu::always_inline]] F operator()(const BoundInputs<F>& x) const {
        return fma(x.scale, x.dot * minus_a, x.add) - fma(x.error, b, c);
    }
};

template <class F>
std::size_t select_bound(const std::int32_t* dots, std::size_t n, const BoundRows& rows,
                         const BoundQuery& query, float threshold, std::uint32_t* out,
                         float* bounds) {
    const BoundFormula<F> formula{F::broadcast(-query.a), F::broadcast(query.b),
                                  F::broadcast(query.c)};
    const F limit = F::broadcast(threshold);
    const auto bytes = [](const float* values) { return reinterpret_cast<const Byte*>(values); };
    std::size_t kept = 0;
    const auto keep = [&](F bound, unsigned valid, std::size_t i) {
        const unsigned mask = at_most(bound, limit) & valid;
        if (mask == 0) return;
        F::append_indices(mask, static_cast<std::uint32_t>(i), out + kept);
        F::append(mask, bound, bounds + kept);
        kept += static_cast<std::size_t>(__builtin_popcount(mask));
    };
    std::size_t i = 0;
    for (; i + F::lanes <= n; i += F::lanes) {
        const auto load = [&](const float* v) {
            return F::template load<Scalar::f32>(bytes(v), i);
        };
        const F dot = F::from_int(dots, i, query.shift);
        keep(formula({dot, load(rows.add), load(rows.scale), load(rows.error)}), ~0u, i);
    }
    if (i < n) {
        const std::size_t left = n - i;
        const auto load = [&](const float* v) {
            return F::template load_first<Scalar::f32>(bytes(v), i, left);
        };
        const F dot = F::from_int_first(dots, i, left, query.shift);
        keep(formula({dot, load(rows.add), load(rows.scale), load(rows.error)}), first_bits(left),
             i);
    }
    return kept;
}

/// Marks beyond n in the last word say nothing.
template <class F>
void mark_closer(const std::int32_t* dots, const float* terms, const float* limits, std::size_t n,
                 const CloserQuery& query, std::uint64_t* marks) {
    const F term = F::broadcast(query.term), slack = F::broadcast(query.slack);
    const F two = F::broadcast(2.0f);
    const auto load = [](const float* values, std::size_t i) {
        return F::template load<Scalar::f32>(reinterpret_cast<const Byte*>(values), i);
    };
    for (std::size_t i = 0; i < n; i += 64) {
        const std::size_t end = n - i < 64 ? n : i + 64;
        std::uint64_t word = 0;
        for (std::size_t j = i; j < end; j += F::lanes) {
            const F dot = F::from_int(dots, j, query.shift);
            const F distance = (term + load(terms, j)) - two * dot;
            word |= std::uint64_t{below(slack * distance, load(limits, j))} << (j - i);
        }
        marks[i / 64] = word;
    }
}

template <class F>
constexpr void fill_select(Kernels& table) {
    table.select_below = select_below<F>;
    table.select_bound = select_bound<F>;
    table.mark_closer = mark_closer<F>;
}

}  // namespace
}  // namespace nearfield::kernels
