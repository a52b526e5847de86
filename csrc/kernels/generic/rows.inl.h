// The walk over rows that every kernel shares: several rows at a time, so that one load of the
// query serves them all and eight or more independent sums hide the latency of multiply-add.
//
// A kernel is a struct with
//   using Out = ...;                                  // one value a row
//   std::size_t row_bytes() const;                    // how much of a row it reads
//   static constexpr bool one_long_row;               // whether one is read faster than four
//   std::size_t stream_ahead() const;                 // in order, how far to prefetch; or 0
//   static constexpr int rows_at_once;                // 4 or 8
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

/// Runs R rows, which row(i), row(i + 1), ... find, and moves i past them.
template <int R, class Kernel, class Row>
[[gnu::always_inline]] inline void run_group(const Kernel& kernel, const Row& row, std::size_t& i,
                                             typename Kernel::Out* out) {
    const Byte* rows[R];
    unrolled<R>([&](auto r) { rows[r] = row(i + r); });
    kernel.template run<R>(rows, out + i);
    i += R;
}

/// Runs the rows that are left, fewer than Kernel::rows_at_once.
template <class Kernel, class Row>
[[gnu::always_inline]] inline void run_last(const Kernel& kernel, const Row& row, std::size_t i,
                                            std::size_t n, typename Kernel::Out* out) {
    if constexpr (Kernel::rows_at_once > 4) {
        if (n - i >= 4) run_group<4>(kernel, row, i, out);
    }
    if (n - i == 3) {
        run_group<3>(kernel, row, i, out);
    } else if (n - i == 2) {
        run_group<2>(kernel, row, i, out);
    } else if (n - i == 1) {
        run_group<1>(kernel, row, i, out);
    }
}

/// A kernel for rows of one length may name the one for any length, which runs the last few rows:
/// it is not worth a copy of its own for each length and number of rows.
template <class Kernel>
[[gnu::always_inline]] inline const auto& any_length(const Kernel& kernel) {
    if constexpr (requires { kernel.any_length(); }) {
        return kernel.any_length();
    } else {
        return kernel;
    }
}

/// In order, memory is requested early: int8 and float16 rows came 15-20 % faster for 2 KB, short
/// float32 rows 10-15 % under dot and cosine for 1 KB; long ones lost 10 %. Rows that fit a cache
/// are left alone.
constexpr std::size_t long_row = 1024;

template <class Kernel>
[[gnu::always_inline]] inline void run_rows(const Kernel& kernel, const void* base, std::size_t n,
                                            std::size_t stride, typename Kernel::Out* out) {
    constexpr int group = Kernel::rows_at_once;
    const Byte* const first = static_cast<const Byte*>(base);
    const auto row = [&](std::size_t i) { return first + i * stride; };
    const bool streaming = n * stride >= streamed_bytes;
    const std::size_t ahead = streaming ? kernel.stream_ahead() : 0;
    std::size_t i = 0;
    if constexpr (Kernel::one_long_row) {
        if (streaming && kernel.row_bytes() > long_row)
            while (i < n) run_group<1>(kernel, row, i, out);
    }
    while (i + group <= n) {
        if (ahead > 0) prefetch_range(row(i) + ahead, group * stride);
        run_group<group>(kernel, row, i, out);
    }
    run_last(any_length(kernel), row, i, n, out);
}

/// Gathered rows are requested 8 rows early, and only their first 8 lines: the hardware follows the
/// rest by itself, and requests for all 48 lines of a row of 3 KB made it 1.5 times slower than
/// none.
constexpr std::size_t gather_ahead = 8;
constexpr std::size_t gather_bytes = 8 * cache_line;

template <class Kernel>
[[gnu::always_inline]] inline void request(const Kernel& kernel, const Byte* row) {
    if constexpr (requires { Kernel::registers; }) {
        constexpr std::size_t bytes = Kernel::row_bytes();
        constexpr std::size_t lines = (bytes < gather_bytes ? bytes : gather_bytes) / cache_line;
        unrolled<lines>([&](auto i) { prefetch(row + i * cache_line); });
    } else {
        const std::size_t bytes = kernel.row_bytes();
        prefetch_range(row, bytes < gather_bytes ? bytes : gather_bytes);
    }
}

template <class Kernel>
[[gnu::always_inline]] inline void run_gather(const Kernel& kernel, const void* base,
                                              const std::uint32_t* slots, std::size_t n,
                                              std::size_t stride, typename Kernel::Out* out) {
    constexpr int group = Kernel::rows_at_once;
    const Byte* const first = static_cast<const Byte*>(base);
    const auto row = [&](std::size_t i) { return first + slots[i] * stride; };
    for (std::size_t j = 0; j < n && j < gather_ahead; ++j) request(kernel, row(j));
    std::size_t i = 0;
    for (; i + gather_ahead + group <= n;) {
        unrolled<group>([&](auto r) { request(kernel, row(i + gather_ahead + r)); });
        run_group<group>(kernel, row, i, out);
    }
    for (std::size_t j = i + gather_ahead; j < n; ++j) request(kernel, row(j));
    while (i + group <= n) run_group<group>(kernel, row, i, out);
    run_last(any_length(kernel), row, i, n, out);
}

/// Rows that were requested before. The last call repeats a row rather than branch on how many are
/// left, which no predictor knows; `out` has room for n + 3.
template <class Kernel>
[[gnu::always_inline]] inline void run_fetched(const Kernel& kernel, const void* base,
                                               const std::uint32_t* slots, std::size_t n,
                                               std::size_t stride, typename Kernel::Out* out) {
    const Byte* const first = static_cast<const Byte*>(base);
    const auto row = [&](std::size_t i) { return first + slots[i < n ? i : n - 1] * stride; };
    for (std::size_t i = 0; i < n; i += 4) {
        const Byte* const rows[4] = {row(i), row(i + 1), row(i + 2), row(i + 3)};
        kernel.template run<4>(rows, out + i);
    }
}

}  // namespace
}  // namespace nearfield::kernels
