// The walk over rows that every kernel shares: four rows at a time, so that one load of the query
// serves four rows and eight or more independent sums hide the latency of multiply-add.
//
// A kernel is a struct with
//   using Out = ...;                                  // one value a row
//   std::size_t row_bytes() const;                    // how much of a row it reads
//   static constexpr bool prefetch_in_order;          // whether walks in order gain from prefetch
//   template <int R> void run(const Byte* const* rows, Out* out) const;
// and must sum a row in the same order for every R: a distance never depends on its neighbours in
// the batch.
#pragma once

#include "kernels/kernels.h"
#include "kernels/prefetch.inl.h"

namespace nearfield::kernels {
namespace {

using Byte = unsigned char;

/// Compile-time index handed to the bodies of `unrolled`.
template <int I>
struct Constant {
    static constexpr int value = I;
    constexpr operator int() const { return I; }
};

/// body(Constant<0>), ..., body(Constant<N - 1>), always unrolled: accumulators held in arrays
/// become registers in every compiler.
template <int N, int I = 0, class Body>
[[gnu::always_inline]] inline void unrolled(const Body& body) {
    if constexpr (I < N) {
        body(Constant<I>{});
        unrolled<N, I + 1>(body);
    }
}

template <class Kernel>
[[gnu::always_inline]] inline void run_last(const Kernel& kernel, const Byte* const* rows,
                                            std::size_t left, typename Kernel::Out* out) {
    if (left == 3) kernel.template run<3>(rows, out);
    if (left == 2) kernel.template run<2>(rows, out);
    if (left == 1) kernel.template run<1>(rows, out);
}

/// In order, memory is requested 2 KB early: int8 and float16 rows came 15-20 % faster, float32
/// rows, which read whole lines, did not. Rows that fit a cache are left alone.
constexpr std::size_t stream_ahead = 2048;
constexpr std::size_t stream_from = 64 * 1024;

template <class Kernel>
[[gnu::always_inline]] inline void run_rows(const Kernel& kernel, const void* base, std::size_t n,
                                            std::size_t stride, typename Kernel::Out* out) {
    const Byte* row = static_cast<const Byte*>(base);
    const bool streaming = Kernel::prefetch_in_order && n * stride >= stream_from;
    std::size_t i = 0;
    for (; i + 4 <= n; i += 4, row += 4 * stride) {
        if (streaming) prefetch_range(row + stream_ahead, 4 * stride);
        const Byte* const rows[4] = {row, row + stride, row + 2 * stride, row + 3 * stride};
        kernel.template run<4>(rows, out + i);
    }
    const Byte* const rows[3] = {row, row + stride, row + 2 * stride};
    run_last(kernel, rows, n - i, out + i);
}

/// Gathered rows are requested 8 rows early, and only their first 8 lines: the hardware follows the
/// rest by itself, and requests for all 48 lines of a row of 3 KB made it 1.5 times slower than
/// none.
constexpr std::size_t gather_ahead = 8;
constexpr std::size_t gather_bytes = 8 * cache_line;

template <class Kernel>
[[gnu::always_inline]] inline void run_gather(const Kernel& kernel, const void* base,
                                              const std::uint32_t* slots, std::size_t n,
                                              std::size_t stride, typename Kernel::Out* out) {
    const Byte* const first = static_cast<const Byte*>(base);
    const std::size_t row_bytes = kernel.row_bytes();
    const std::size_t bytes = row_bytes < gather_bytes ? row_bytes : gather_bytes;
    const auto row = [&](std::size_t i) { return first + slots[i] * stride; };
    for (std::size_t i = 0; i < n && i < gather_ahead; ++i) prefetch_range(row(i), bytes);
    std::size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        for (std::size_t j = i + gather_ahead; j < n && j < i + gather_ahead + 4; ++j)
            prefetch_range(row(j), bytes);
        const Byte* const rows[4] = {row(i), row(i + 1), row(i + 2), row(i + 3)};
        kernel.template run<4>(rows, out + i);
    }
    const std::size_t left = n - i;
    const Byte* const rows[3] = {left > 0 ? row(i) : first, left > 1 ? row(i + 1) : first,
                                 left > 2 ? row(i + 2) : first};
    run_last(kernel, rows, left, out + i);
}

}  // namespace
}  // namespace nearfield::kernels
