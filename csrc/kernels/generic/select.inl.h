// Keeping the indices whose value passes a threshold, over a register type F of floats that also
// has broadcast(value), operator *, from_int(ints, i, shift), from_int_first(ints, i, count,
// shift); below(a, b), at_most(a, b): one bit a lane, never set by NaN; append_indices(mask, first,
// out), append(mask, values, out): the chosen lanes, packed; packs: whether it also has
// pack_indices(), which may write beyond them, up to a register.
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

/// select_bound() where rows have errors and bounds are wanted, or neither.
template <class F, bool errors>
std::size_t select_bound_of(const std::int32_t* dots, std::size_t n, const BoundRows& rows,
                            const BoundQuery& query, float threshold, std::uint32_t* out,
                            float* bounds) {
    const F minus_a = F::broadcast(-query.a), b = F::broadcast(query.b), c = F::broadcast(query.c),
            limit = F::broadcast(threshold);
    const auto bytes = [](const float* values) { return reinterpret_cast<const Byte*>(values); };
    // In registers, though what is written might lie where `rows` and `query` do.
    const float *const add = rows.add, *const scale = rows.scale, *const error = rows.error;
    const std::int32_t shift = query.shift;
    std::size_t kept = 0;
    /// `load` takes a register from i on.
    const auto keep = [&](F dot, unsigned valid, std::size_t i, const auto& load) {
        const F estimate = fma(load(scale), dot * minus_a, load(add));
        F off = c;
        if constexpr (errors) off = fma(load(error), b, c);
        const F bound = estimate - off;
        const unsigned mask = at_most(bound, limit) & valid;
        if constexpr (!errors && F::packs) {
            // About a row in a hundred passes: no branch foretells which. At most i were kept, so
            // there is room for a register.
            if (valid == ~0u)
                F::pack_indices(mask, static_cast<std::uint32_t>(i), out + kept);
            else
                F::append_indices(mask, static_cast<std::uint32_t>(i), out + kept);
        } else {
            if (mask == 0) return;
            F::append_indices(mask, static_cast<std::uint32_t>(i), out + kept);
            if constexpr (errors) F::append(mask, bound, bounds + kept);
        }
        kept += static_cast<std::size_t>(__builtin_popcount(mask));
    };
    std::size_t i = 0;
    for (; i + F::lanes <= n; i += F::lanes)
        keep(F::from_int(dots, i, shift), ~0u, i,
             [&](const float* v) { return F::template load<Scalar::f32>(bytes(v), i); });
    if (i < n) {
        const std::size_t left = n - i;
        keep(F::from_int_first(dots, i, left, shift), first_bits(left), i, [&](const float* v) {
            return F::template load_first<Scalar::f32>(bytes(v), i, left);
        });
    }
    return kept;
}

template <class F>
std::size_t select_bound(const std::int32_t* dots, std::size_t n, const BoundRows& rows,
                         const BoundQuery& query, float threshold, std::uint32_t* out,
                         float* bounds) {
    return (rows.error ? select_bound_of<F, true>
                       : select_bound_of<F, false>)(dots, n, rows, query, threshold, out, bounds);
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
