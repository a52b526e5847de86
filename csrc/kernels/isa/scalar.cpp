// The baseline of every CPU: the same algorithms over registers of one element.
#include "kernels/generic/bytes.inl.h"
#include "kernels/generic/convert.inl.h"
#include "kernels/generic/graph.inl.h"
#include "kernels/generic/hadamard.inl.h"
#include "kernels/generic/lookup.inl.h"
#include "kernels/generic/pack.inl.h"
#include "kernels/generic/panels.inl.h"
#include "kernels/generic/rotate.inl.h"
#include "kernels/generic/select.inl.h"

namespace nearfield::kernels {
namespace {

struct F32x1 {
    static constexpr std::size_t lanes = 1;
    float v;

    static F32x1 zero() { return {0.0f}; }
    static F32x1 broadcast(float value) { return {value}; }
    template <Scalar S>
    static F32x1 load(const Byte* row, std::size_t i) {
        if constexpr (S == Scalar::f32) return {read<float>(row, i)};
        if constexpr (S == Scalar::f16) return {half_to_float(read<std::uint16_t>(row, i))};
        if constexpr (S == Scalar::bf16) return {bfloat_to_float(read<std::uint16_t>(row, i))};
        if constexpr (S == Scalar::i8) return {static_cast<float>(read<std::int8_t>(row, i))};
    }
    template <Scalar S>
    static F32x1 load_first(const Byte* row, std::size_t i, std::size_t) {
        return load<S>(row, i);
    }
    template <Scalar S>
    void store(Byte* row, std::size_t i) const {
        if constexpr (S == Scalar::f32) write(row, i, v);
        if constexpr (S == Scalar::f16) write(row, i, float_to_half(v));
        if constexpr (S == Scalar::bf16) write(row, i, float_to_bfloat(v));
        if constexpr (S == Scalar::i8) write(row, i, float_to_int8(v));
    }
    template <Scalar S>
    void store_first(Byte* row, std::size_t i, std::size_t) const {
        store<S>(row, i);
    }
    static F32x1 from_int(const std::int32_t* ints, std::size_t i, std::int32_t shift) {
        return {static_cast<float>(ints[i] - shift)};
    }
    static F32x1 from_int_first(const std::int32_t* ints, std::size_t i, std::size_t,
                                std::int32_t shift) {
        return from_int(ints, i, shift);
    }
    static constexpr bool packs = false;
    static void append_indices(unsigned, std::uint32_t first, std::uint32_t* out) { *out = first; }
    static void append(unsigned, F32x1 value, float* out) { *out = value.v; }
    static void sum4(F32x1 a, F32x1 b, F32x1 c, F32x1 d, float* out) {
        out[0] = a.v, out[1] = b.v, out[2] = c.v, out[3] = d.v;
    }
    friend F32x1 operator+(F32x1 a, F32x1 b) { return {a.v + b.v}; }
    friend F32x1 operator-(F32x1 a, F32x1 b) { return {a.v - b.v}; }
    friend F32x1 operator*(F32x1 a, F32x1 b) { return {a.v * b.v}; }
    friend F32x1 fma(F32x1 a, F32x1 b, F32x1 c) { return {a.v * b.v + c.v}; }
    friend F32x1 larger(F32x1 so_far, F32x1 x) {
        const float size = x.v < 0 ? -x.v : x.v;
        return {size > so_far.v ? size : so_far.v};
    }
    friend F32x1 reversed(F32x1 x) { return x; }
    static float largest_lane(F32x1 x) { return x.v; }
    friend unsigned below(F32x1 a, F32x1 b) { return a.v < b.v; }
    friend unsigned at_most(F32x1 a, F32x1 b) { return a.v <= b.v; }
};

struct I32x1 {
    std::int32_t v;
    static I32x1 zero() { return {0}; }
    static void sum4(I32x1 a, I32x1 b, I32x1 c, I32x1 d, std::int32_t* out) {
        out[0] = a.v, out[1] = b.v, out[2] = c.v, out[3] = d.v;
    }
    friend I32x1 operator+(I32x1 a, I32x1 b) { return {a.v + b.v}; }
    friend I32x1 operator-(I32x1 a, I32x1 b) { return {a.v - b.v}; }
};

struct U8x1 {
    static constexpr std::size_t width = 1;
    static constexpr int rows_at_once = 4;
    static constexpr bool fixed_lengths = false;
    static constexpr std::int32_t u8_offset = 0;
    using Register = U8x1;
    using Sum = I32x1;
    using Wide = I32x1;
    Byte v;

    static U8x1 load(const Byte* row, std::size_t i) { return {row[i]}; }
    static U8x1 load_first(const Byte* row, std::size_t i, std::size_t) { return {row[i]}; }
    template <Scalar S>
    static Wide widen(U8x1 x) {
        return {S == Scalar::i8 ? static_cast<std::int8_t>(x.v) : x.v};
    }
    static Sum madd(Sum sum, Wide a, Wide b) { return {sum.v + a.v * b.v}; }
    template <int bits>
    static Sum dot(Sum sum, U8x1 codes, const U8x1* query) {
        for (int p = 0; p < 8 / bits; ++p) {
            const int code = codes.v >> (p * bits) & ((1 << bits) - 1);
            sum.v += code * static_cast<std::int8_t>(query[p].v);
        }
        return sum;
    }
};

/// Eight bytes, for counting bits.
struct U64x1 {
    static constexpr std::size_t width = 8;
    static constexpr int rows_at_once = 4;
    static constexpr bool fixed_lengths = false;
    using Register = U64x1;
    using Sum = I32x1;
    std::uint64_t v;

    static U64x1 load(const Byte* row, std::size_t i) { return {read<std::uint64_t>(row + i, 0)}; }
    static U64x1 load_first(const Byte* row, std::size_t i, std::size_t count) {
        U64x1 x{0};
        __builtin_memcpy(&x.v, row + i, count);
        return x;
    }
    static Sum popcount(Sum sum, U64x1 x) { return {sum.v + __builtin_popcountll(x.v)}; }
    friend U64x1 operator^(U64x1 a, U64x1 b) { return {a.v ^ b.v}; }
};

/// One register of a tile: the compiler may widen a panel row to whatever the baseline has.
template <class Element>
struct Cell {
    Element v;
    static Cell zero() { return {}; }
};

struct TileF32 {
    static constexpr int rows = 1, panels = 1, vectors = 16;
    using Sum = Cell<float>;
    using Right = float;
    static float load_left(const Byte* unit) { return read<float>(unit, 0); }
    static Right load_right(const Byte* line, int i) {
        return read<float>(line, static_cast<std::size_t>(i));
    }
    static Sum madd(Sum sum, float x, Right y) { return {sum.v + x * y}; }
    static void store(float* out, Sum sum) { *out = sum.v; }
};

struct TileBf16 {
    static constexpr int rows = 1, panels = 1, vectors = 16;
    using Sum = Cell<float>;
    struct Pair {
        float low, high;
    };
    using Right = Pair;
    static Pair load_left(const Byte* unit) {
        return {bfloat_to_float(read<std::uint16_t>(unit, 0)),
                bfloat_to_float(read<std::uint16_t>(unit, 1))};
    }
    static Pair load_right(const Byte* line, int i) { return load_left(line + unit_bytes * i); }
    static Sum madd(Sum sum, Pair x, Pair y) { return {sum.v + x.low * y.low + x.high * y.high}; }
    static void store(float* out, Sum sum) { *out = sum.v; }
};

struct TileI8 {
    static constexpr int rows = 1, panels = 1, vectors = 16;
    using Sum = Cell<std::int32_t>;
    struct Quad {
        int v[4];
    };
    using Right = Quad;
    static Quad load_left(const Byte* unit) {
        Quad x;
        unrolled<4>([&](auto i) { x.v[i] = static_cast<std::int8_t>(unit[i]); });
        return x;
    }
    static Quad load_right(const Byte* line, int i) {
        Quad y;
        unrolled<4>([&](auto j) { y.v[j] = line[unit_bytes * i + j]; });
        return y;
    }
    static Sum madd(Sum sum, const Quad& x, const Quad& y) {
        unrolled<4>([&](auto i) { sum.v += x.v[i] * y.v[i]; });
        return sum;
    }
    static void store(std::int32_t* out, Sum sum) { *out = sum.v; }
};

struct Transpose1 {
    static constexpr std::size_t span = 1;
    static void transpose(const Byte* rows, std::size_t stride, std::size_t count,
                          std::size_t bytes, std::size_t, Byte* out) {
        __builtin_memset(out, 0, panel_line);
        const std::size_t take = bytes < unit_bytes ? bytes : unit_bytes;
        for (std::size_t r = 0; r < count; ++r)
            __builtin_memcpy(out + r * unit_bytes, rows + r * stride, take);
    }
};

/// One unit of a line at a time.
struct PanelScalar {
    static constexpr int registers = 16, at_once = 1;
    struct Line {
        Byte v[4];
    };
    using Unit = Line;
    using Sum = I32x1;

    static Line load(const Byte* at, int h) {
        Line x;
        __builtin_memcpy(x.v, at + unit_bytes * static_cast<std::size_t>(h), unit_bytes);
        return x;
    }
    static void store(Byte* at, int h, Line x) {
        __builtin_memcpy(at + unit_bytes * static_cast<std::size_t>(h), x.v, unit_bytes);
    }
    static Unit unit(const Byte* at) { return load(at, 0); }
    template <int bits, int p>
    static Line part(Line x) {
        unrolled<4>(
            [&](auto j) { x.v[j] = static_cast<Byte>(x.v[j] >> (p * bits) & ((1 << bits) - 1)); });
        return x;
    }
    template <int bits, int p>
    static Sum dot(Sum sum, Line x, Unit unit) {
        const Line codes = part<bits, p>(x);
        unrolled<4>([&](auto j) { sum.v += codes.v[j] * static_cast<std::int8_t>(unit.v[j]); });
        return sum;
    }
    template <int bits>
    static Sum finish(const Sum* sums) {
        return bits == 8 ? sums[0] : sums[0] + sums[bits == 8 ? 0 : 1];
    }
    static void store(std::int32_t* out, Sum sum) { *out = sum.v; }
};

struct LookupScalar {
    static constexpr std::size_t pairs = 1;
    using Tables = const Byte*;
    struct Sums {
        std::uint16_t rows[lookup_rows];
        static Sums zero() { return {}; }
    };
    static Tables load(const Byte* tables) { return tables; }
    static Sums add(Sums sums, const Byte* codes, Tables tables) {
        for (std::size_t r = 0; r < lookup_rows; ++r)
            sums.rows[r] = static_cast<std::uint16_t>(sums.rows[r] + tables[codes[r] & 15] +
                                                      tables[16 + (codes[r] >> 4)]);
        return sums;
    }
    static void flush(const Sums& sums, std::int32_t* out) {
        for (std::size_t r = 0; r < lookup_rows; ++r) out[r] += sums.rows[r];
    }
};

constexpr Kernels scalar_table() {
    Kernels table{};
    fill_float_distances<F32x1>(table);
    fill_byte_distances<U8x1>(table);
    fill_codes<U8x1>(table);
    fill_hamming<U64x1>(table);
    fill_pack<Transpose1>(table);
    fill_panels<PanelScalar>(table);
    table.lookup_sums = lookup_sums<LookupScalar>;
    table.tile_f32 = tile_f32<TileF32>;
    table.tile_bf16 = tile_bf16<TileBf16>;
    table.tile_i8 = tile_i8<TileI8>;
    fill_select<F32x1>(table);
    fill_graph(table);
    fill_estimates<U8x1, FinishScalar>(table);
    fill_conversions<F32x1>(table);
    fill_hadamard<F32x1>(table);
    fill_rotation<F32x1>(table);
    return table;
}

}  // namespace

extern const Kernels scalar_kernels;
constinit const Kernels scalar_kernels = scalar_table();

}  // namespace nearfield::kernels
