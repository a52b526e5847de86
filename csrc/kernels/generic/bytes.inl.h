// Exact integer kernels, over the byte operations B of a CPU:
//   Register, with operator ^; width in bytes; load(row, i); load_first(row, i, count) fills the
//   rest
//     with zero;
//   Sum: 32-bit sums with zero() and operator +; sum4(a, b, c, d, out) adds up the lanes of four;
//   rows_at_once: how many rows its products are taken of together, 4 or, where Sum::sum8 is, 8;
//   fixed_lengths: whether codes of common lengths get kernels of their own; then dot_parts<bits,
//     n>(), as dot() for the first n parts, and for rows of half a register load_halves(lower,
//     upper) and load_nibbles(row), the row and again the upper four bits of its bytes;
//   Wide: the same bytes as 16-bit values, with operator -; widen<S>(bytes); madd(Sum, Wide, Wide);
//   dot<bits>(Sum, codes, query): adds the products of the 8 / bits parts of `codes`, lowest bits
//     first, with query[0], query[1], ...; u8_offset is what it takes from each 8-bit code on CPUs
//     that have no product of mixed signs;
//   where it has byte products: dot_i8(Sum, rows, query), which adds to each row value -i8_offset;
//   sum_i8(Sum, bytes) adds the signed bytes;
//   popcount(Sum, bytes): adds the number of set bits.
#pragma once

#include "kernels/generic/distance.inl.h"

namespace nearfield::kernels {
namespace {

/// Writes the R totals; there is room for four, or eight where R is eight.
template <int R, class Sum>
[[gnu::always_inline]] inline void add_lanes(const Sum* sums, std::int32_t* out) {
    if constexpr (R == 8) {
        Sum::sum8(sums, out);
    } else {
        Sum::sum4(sums[0], sums[1 < R ? 1 : 0], sums[2 < R ? 2 : 0], sums[3 < R ? 3 : 0], out);
    }
}

template <class B, int R>
struct IntegerSums {
    using Sum = typename B::Sum;
    Sum even[R], odd[R];
    [[gnu::always_inline]] IntegerSums() {
        unrolled<R>([&](auto r) { even[r] = odd[r] = Sum::zero(); });
    }
    [[gnu::always_inline]] void total(std::int32_t* out) const {
        Sum s[R];
        unrolled<R>([&](auto r) { s[r] = even[r] + odd[r]; });
        add_lanes<R>(s, out);
    }
};

/// Distances of int8 to int8 or uint8 to uint8. The sums are exact for dim <= 32768, since
/// 32768 * 255^2 < 2^31.
template <class B, Scalar S, class Op>
struct ByteDistance {
    using Out = float;
    static constexpr int rows_at_once = 4;
    const Byte* query;
    std::size_t dim;
    float q_norm2;

    ByteDistance(const void* q, std::size_t d)
        : query(static_cast<const Byte*>(q)), dim(d), q_norm2(Op::norms ? norm2() : 0.0f) {}

    std::size_t row_bytes() const { return dim; }
    static constexpr bool one_long_row = false;
    static std::size_t stream_ahead() { return 2048; }

    template <int R>
    [[gnu::always_inline]] void run(const Byte* const* rows, float* out) const {
        IntegerSums<B, R> sums, norms;
        const auto add = [&](auto r, auto q, auto x) {
            sums.even[r] = step(Op{}, sums.even[r], q, x);
            if constexpr (Op::norms) norms.even[r] = B::madd(norms.even[r], x, x);
        };
        std::size_t i = 0;
        for (; i + B::width <= dim; i += B::width) {
            const auto q = B::template widen<S>(B::load(query, i));
            unrolled<R>([&](auto r) { add(r, q, B::template widen<S>(B::load(rows[r], i))); });
        }
        if (i < dim) {
            const std::size_t left = dim - i;
            const auto q = B::template widen<S>(B::load_first(query, i, left));
            unrolled<R>(
                [&](auto r) { add(r, q, B::template widen<S>(B::load_first(rows[r], i, left))); });
        }
        std::int32_t total[4], norm[4] = {};
        sums.total(total);
        if constexpr (Op::norms) norms.total(norm);
        unrolled<R>([&](auto r) {
            out[r] = Op::finish(static_cast<float>(total[r]), q_norm2, static_cast<float>(norm[r]));
        });
    }

  private:
    template <class Sum, class Wide>
    [[gnu::always_inline]] static Sum step(L2, Sum sum, Wide q, Wide x) {
        const auto d = q - x;
        return B::madd(sum, d, d);
    }
    template <class Sum, class Wide>
    [[gnu::always_inline]] static Sum step(Dot, Sum sum, Wide q, Wide x) {
        return B::madd(sum, q, x);
    }
    float norm2() const {
        float out;
        ByteDistance<B, S, Dot>(query, dim).template run<1>(&query, &out);
        return out;
    }
};

/// Codes of `bits` bits: the dot product itself.
template <class B, int bits>
struct CodeProduct {
    using Out = std::int32_t;
    static constexpr int parts = 8 / bits;
    static constexpr std::int32_t offset = bits == 8 ? B::u8_offset : 0;
    static constexpr std::size_t multiple = 32;  // codes have a multiple of so many bytes
    static auto add(typename B::Sum sum, typename B::Register x, const typename B::Register* q) {
        return B::template dot<bits>(sum, x, q);
    }
    static Out finish(std::int32_t sum) { return sum; }
};

/// int8 rows on a CPU with byte products: the distance.
template <class B>
struct SignedProduct {
    using Out = float;
    static constexpr int parts = 1;
    static constexpr std::int32_t offset = B::i8_offset;
    static constexpr std::size_t multiple = 1;
    static auto add(typename B::Sum sum, typename B::Register x, const typename B::Register* q) {
        return B::dot_i8(sum, x, *q);
    }
    static Out finish(std::int32_t sum) { return -static_cast<float>(sum); }
};

/// Integer dot products with an int8 query. Exact for up to 8192 bytes: 8192 * 255 * 128 < 2^31.
template <class B, class Product>
struct IntegerDot {
    using Out = typename Product::Out;
    static constexpr int parts = Product::parts;
    static constexpr int rows_at_once = B::rows_at_once;
    const Byte* query;
    std::size_t bytes;
    std::int32_t correction;

    IntegerDot(const void* q, std::size_t b)
        : query(static_cast<const Byte*>(q)), bytes(b), correction(0) {
        if constexpr (Product::offset != 0) correction = Product::offset * query_total();
    }

    std::size_t row_bytes() const { return bytes; }
    static constexpr bool one_long_row = false;
    static std::size_t stream_ahead() { return 2048; }

    template <int R>
    [[gnu::always_inline]] void run(const Byte* const* rows, Out* out) const {
        run_registers<R, 0>(rows, out);
    }

    /// Rows of `registers` registers, or of any length where that is 0. One chain of products a
    /// row: eight rows cover their latency, and one sum is less to add up than two.
    template <int R, int registers>
    [[gnu::always_inline]] void run_registers(const Byte* const* rows, Out* out) const {
        constexpr std::size_t w = B::width;
        typename B::Sum sums[R];
        unrolled<R>([&](auto r) { sums[r] = B::Sum::zero(); });
        // GCC leaves `sums` in memory wherever it does not inline one of these.
        const auto step = [&](std::size_t i) __attribute__((always_inline)) {
            typename B::Register q[parts];
            unrolled<parts>([&](auto p) __attribute__((always_inline)) {
                q[p] = B::load(query + p * (registers > 0 ? registers * w : bytes), i);
            });
            unrolled<R>([&](auto r) __attribute__((always_inline)) {
                sums[r] = Product::add(sums[r], B::load(rows[r], i), q);
            });
        };
        if constexpr (registers > 0) {
            unrolled<registers>([&](auto i) __attribute__((always_inline)) { step(i * w); });
        } else {
            std::size_t i = 0;
            for (; i + 2 * w <= bytes; i += 2 * w) {
                step(i);
                step(i + w);
            }
            if (i + w <= bytes) {
                step(i);
                i += w;
            }
            if (w > Product::multiple && i < bytes) {
                const std::size_t left = bytes - i;
                typename B::Register q[parts];
                unrolled<parts>([&](auto p) { q[p] = B::load_first(query + p * bytes, i, left); });
                unrolled<R>([&](auto r) {
                    sums[r] = Product::add(sums[r], B::load_first(rows[r], i, left), q);
                });
            }
        }
        std::int32_t total[R < 4 ? 4 : R];
        add_lanes<R>(sums, total);
        if constexpr (Product::offset == 0) {
            for (int r = 0; r < R; ++r) out[r] = Product::finish(total[r]);
        } else {
            for (int r = 0; r < R; ++r) out[r] = Product::finish(total[r] + correction);
        }
    }

  private:
    std::int32_t query_total() const {
        using Sum = typename B::Sum;
        Sum sum = Sum::zero();
        std::size_t i = 0;
        for (; i + B::width <= bytes; i += B::width) sum = B::sum_i8(sum, B::load(query, i));
        if (i < bytes) sum = B::sum_i8(sum, B::load_first(query, i, bytes - i));
        std::int32_t total[4];
        Sum::sum4(sum, sum, sum, sum, total);
        return total[0];
    }
};

/// The same for rows of one length: without a loop, short rows take 0.6-0.9 of the time.
template <class B, class Product, int n_registers>
struct FixedDot : IntegerDot<B, Product> {
    static constexpr int registers = n_registers;
    using Any = IntegerDot<B, Product>;
    using Any::Any;
    static constexpr std::size_t row_bytes() { return registers * B::width; }
    const Any& any_length() const { return *this; }

    template <int R>
    [[gnu::always_inline]] void run(const Byte* const* rows, typename Any::Out* out) const {
        this->template run_registers<R, registers>(rows, out);
    }
};

/// Codes whose rows fill half a register: the lower half is compared with the parts of the query
/// in the lower bits of its bytes, the upper half, the same bytes, with the others.
template <class B, int bits>
struct HalfDot {
    using Out = std::int32_t;
    static constexpr int rows_at_once = B::rows_at_once;
    static constexpr bool one_long_row = false;
    static constexpr int parts = 4 / bits;
    static constexpr std::size_t bytes = B::width / 2;
    typename B::Register q[parts];

    explicit HalfDot(const Byte* query) {
        unrolled<parts>(
            [&](auto p) { q[p] = B::load_halves(query + p * bytes, query + (p + parts) * bytes); });
    }
    static constexpr std::size_t row_bytes() { return bytes; }
    static std::size_t stream_ahead() { return 2048; }

    template <int R>
    [[gnu::always_inline]] void run(const Byte* const* rows, Out* out) const {
        typename B::Sum sums[R];
        unrolled<R>([&](auto r) __attribute__((always_inline)) {
            sums[r] =
                B::template dot_parts<bits, parts>(B::Sum::zero(), B::load_nibbles(rows[r]), q);
        });
        std::int32_t total[R < 4 ? 4 : R];
        add_lanes<R>(sums, total);
        for (int r = 0; r < R; ++r) out[r] = total[r];
    }
};

template <class B>
struct Hamming {
    using Out = std::uint32_t;
    static constexpr int rows_at_once = 4;
    const Byte* query;
    std::size_t bytes;

    std::size_t row_bytes() const { return bytes; }
    static constexpr bool one_long_row = false;
    static std::size_t stream_ahead() { return 2048; }

    template <int R>
    [[gnu::always_inline]] void run(const Byte* const* rows, std::uint32_t* out) const {
        IntegerSums<B, R> sums;
        std::size_t i = 0;
        for (; i + B::width <= bytes; i += B::width) {
            const auto q = B::load(query, i);
            unrolled<R>(
                [&](auto r) { sums.even[r] = B::popcount(sums.even[r], q ^ B::load(rows[r], i)); });
        }
        if (i < bytes) {
            const std::size_t left = bytes - i;
            const auto q = B::load_first(query, i, left);
            unrolled<R>([&](auto r) {
                sums.odd[r] = B::popcount(sums.odd[r], q ^ B::load_first(rows[r], i, left));
            });
        }
        std::int32_t total[4];
        sums.total(total);
        unrolled<R>([&](auto r) { out[r] = static_cast<std::uint32_t>(total[r]); });
    }
};

template <class B, Scalar S, class Op>
void byte_rows(const void* query, const void* rows, std::size_t n, std::size_t dim,
               std::size_t stride, float* distances) {
    run_rows(ByteDistance<B, S, Op>(query, dim), rows, n, stride, distances);
}

template <class B, Scalar S, class Op>
void byte_gather(const void* query, const void* base, const std::uint32_t* slots, std::size_t n,
                 std::size_t dim, std::size_t stride, float* distances) {
    run_gather(ByteDistance<B, S, Op>(query, dim), base, slots, n, stride, distances);
}

/// body(kernel) with the kernel for rows of that length. Rows of 8 and 4 bits have their own where
/// a vector of 128, 256, 384, 512, 768 or 1536 dims fills whole registers.
template <class B, class Product, class Body>
[[gnu::always_inline]] inline void with_length(const void* query, std::size_t bytes,
                                               const Body& body) {
    if constexpr (B::fixed_lengths && Product::parts <= 2) {
        switch (bytes) {
            case 1 * B::width:
                return body(FixedDot<B, Product, 1>(query, bytes));
            case 2 * B::width:
                return body(FixedDot<B, Product, 2>(query, bytes));
            case 3 * B::width:
                return body(FixedDot<B, Product, 3>(query, bytes));
            case 4 * B::width:
                return body(FixedDot<B, Product, 4>(query, bytes));
            case 6 * B::width:
                return body(FixedDot<B, Product, 6>(query, bytes));
            case 12 * B::width:
                return body(FixedDot<B, Product, 12>(query, bytes));
            default:
                break;
        }
    }
    body(IntegerDot<B, Product>(query, bytes));
}

template <class B, int bits>
void code_rows(const std::int8_t* query, const std::uint8_t* codes, std::size_t n,
               std::size_t bytes, std::size_t stride, std::int32_t* dots) {
    with_length<B, CodeProduct<B, bits>>(
        query, bytes, [&](const auto& kernel) { run_rows(kernel, codes, n, stride, dots); });
}

template <class B, int bits>
void code_gather(const std::int8_t* query, const std::uint8_t* base, const std::uint32_t* slots,
                 std::size_t n, std::size_t bytes, std::size_t stride, std::int32_t* dots) {
    if constexpr (B::fixed_lengths && bits < 4) {
        if (2 * bytes == B::width) {
            run_gather(HalfDot<B, bits>(reinterpret_cast<const Byte*>(query)), base, slots, n,
                       stride, dots);
            return;
        }
    }
    with_length<B, CodeProduct<B, bits>>(query, bytes, [&](const auto& kernel) {
        run_gather(kernel, base, slots, n, stride, dots);
    });
}

template <class B>
void signed_rows(const void* query, const void* rows, std::size_t n, std::size_t dim,
                 std::size_t stride, float* distances) {
    with_length<B, SignedProduct<B>>(
        query, dim, [&](const auto& kernel) { run_rows(kernel, rows, n, stride, distances); });
}

template <class B>
void signed_gather(const void* query, const void* base, const std::uint32_t* slots, std::size_t n,
                   std::size_t dim, std::size_t stride, float* distances) {
    with_length<B, SignedProduct<B>>(query, dim, [&](const auto& kernel) {
        run_gather(kernel, base, slots, n, stride, distances);
    });
}

template <class B>
void count_rows(const std::uint8_t* query, const std::uint8_t* rows, std::size_t n,
                std::size_t bytes, std::size_t stride, std::uint32_t* counts) {
    run_rows(Hamming<B>{query, bytes}, rows, n, stride, counts);
}

template <class B>
void count_gather(const std::uint8_t* query, const std::uint8_t* base, const std::uint32_t* slots,
                  std::size_t n, std::size_t bytes, std::size_t stride, std::uint32_t* counts) {
    run_gather(Hamming<B>{query, bytes}, base, slots, n, stride, counts);
}

template <class B, Scalar S, class Op>
constexpr void fill_byte(Kernels& table, Metric metric) {
    const auto s = static_cast<std::size_t>(S);
    const auto m = static_cast<std::size_t>(metric);
    table.rows[s][m] = byte_rows<B, S, Op>;
    table.gather[s][m] = byte_gather<B, S, Op>;
}

/// int8 and uint8 rows under every metric.
template <class B>
constexpr void fill_byte_distances(Kernels& table) {
    fill_byte<B, Scalar::i8, L2>(table, Metric::l2);
    fill_byte<B, Scalar::i8, NegatedDot>(table, Metric::dot);
    fill_byte<B, Scalar::i8, Cosine>(table, Metric::cosine);
    fill_byte<B, Scalar::u8, L2>(table, Metric::l2);
    fill_byte<B, Scalar::u8, NegatedDot>(table, Metric::dot);
    fill_byte<B, Scalar::u8, Cosine>(table, Metric::cosine);
}

/// int8 rows under "dot" by products of bytes rather than words.
template <class B>
constexpr void fill_signed_dot(Kernels& table) {
    const auto s = static_cast<std::size_t>(Scalar::i8);
    const auto m = static_cast<std::size_t>(Metric::dot);
    table.rows[s][m] = signed_rows<B>;
    table.gather[s][m] = signed_gather<B>;
}

/// Codes of 8, 4, 2 and 1 bits.
template <class B>
constexpr void fill_codes(Kernels& table) {
    table.dot_u8_rows = code_rows<B, 8>;
    table.dot_u4_rows = code_rows<B, 4>;
    table.dot_u2_rows = code_rows<B, 2>;
    table.dot_u1_rows = code_rows<B, 1>;
    table.dot_u8_gather = code_gather<B, 8>;
    table.dot_u4_gather = code_gather<B, 4>;
    table.dot_u2_gather = code_gather<B, 2>;
    table.dot_u1_gather = code_gather<B, 1>;
}

template <class B>
constexpr void fill_hamming(Kernels& table) {
    table.hamming_rows = count_rows<B>;
    table.hamming_gather = count_gather<B>;
}

}  // namespace
}  // namespace nearfield::kernels
