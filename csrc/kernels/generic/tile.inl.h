// Many x many: register-blocked products of left rows with packed panels.
// Both sides are read in units of 4 bytes (one float, two bf16 or four bytes), so one loop serves
// every type. A tile type T has
//   rows, panels: size of the register block; vectors: registers in a row of a panel;
//   Sum, Left, Right; Sum::zero(); load_left(unit), load_right(row of a panel, vector);
//   madd(Sum, Left, Right); store(out, Sum).
#pragma once

#include "kernels/generic/rows.inl.h"

namespace nearfield::kernels {
namespace {

constexpr std::size_t unit_bytes = 4;
constexpr std::size_t panel_line = panel_rows * unit_bytes;

/// Left rows kept in the second-level cache while the panels pass by.
constexpr std::size_t left_block_bytes = 512 * 1024;

inline std::size_t round_up(std::size_t value, std::size_t to) {
    return (value + to - 1) / to * to;
}

struct TileShape {
    std::size_t units;        // of 4 bytes, in a row
    std::size_t left_stride;  // bytes
    std::size_t out_stride;   // elements
};

/// One block of R rows x P panels. Every output is one chain of sums over the units in order, so it
/// does not depend on the block it falls into.
template <class T, int R, int P, class Out>
[[gnu::always_inline]] inline void tile_block(const Byte* left, const Byte* panels,
                                              const TileShape& shape, Out* out) {
    constexpr int V = T::vectors;
    typename T::Sum sums[R][P * V];
    unrolled<R>([&](auto r) { unrolled<P * V>([&](auto c) { sums[r][c] = T::Sum::zero(); }); });
    const std::size_t left_stride = shape.left_stride;
    const std::size_t panel_bytes = shape.units * panel_line;
    for (std::size_t k = 0; k < shape.units; ++k) {
        typename T::Right right[P * V];
        unrolled<P * V>([&](auto c) {
            right[c] = T::load_right(panels + (c / V) * panel_bytes + k * panel_line, c % V);
        });
        unrolled<R>([&](auto r) {
            const auto x = T::load_left(left + r * left_stride + k * unit_bytes);
            unrolled<P * V>([&](auto c) { sums[r][c] = T::madd(sums[r][c], x, right[c]); });
        });
    }
    unrolled<R>([&](auto r) {
        unrolled<P * V>([&](auto c) {
            T::store(out + r * shape.out_stride + c * (panel_rows / V), sums[r][c]);
        });
    });
}

/// `count` rows against P panels: full blocks, then halves.
template <class T, int R, int P, class Out>
[[gnu::always_inline]] inline void tile_column(const Byte* left, std::size_t count,
                                               const Byte* panels, const TileShape& shape,
                                               Out* out) {
    std::size_t i = 0;
    for (; i + R <= count; i += R)
        tile_block<T, R, P>(left + i * shape.left_stride, panels, shape,
                            out + i * shape.out_stride);
    if constexpr (R > 1)
        tile_column<T, R / 2, P>(left + i * shape.left_stride, count - i, panels, shape,
                                 out + i * shape.out_stride);
}

template <class T, int P, class Out>
[[gnu::always_inline]] inline void tile_panels(const Byte* left, std::size_t count,
                                               const Byte* panels, std::size_t n_panels,
                                               const TileShape& shape, Out* out) {
    std::size_t p = 0;
    for (; p + P <= n_panels; p += P)
        tile_column<T, T::rows, P>(left, count, panels + p * shape.units * panel_line, shape,
                                   out + p * panel_rows);
    if constexpr (P > 1)
        tile_panels<T, P - 1>(left, count, panels + p * shape.units * panel_line, n_panels - p,
                              shape, out + p * panel_rows);
}

template <class T, class Out>
inline void tile(const void* a, std::size_t m, const void* panels, std::size_t n,
                 const TileShape& shape, Out* out) {
    const Byte* const left = static_cast<const Byte*>(a);
    const std::size_t fit = left_block_bytes / (shape.units * unit_bytes + 1) + 1;
    const std::size_t block = round_up(fit, static_cast<std::size_t>(T::rows));
    for (std::size_t i = 0; i < m; i += block) {
        const std::size_t count = m - i < block ? m - i : block;
        tile_panels<T, T::panels>(left + i * shape.left_stride, count,
                                  static_cast<const Byte*>(panels), round_up(n, panel_rows) / 16,
                                  shape, out + i * shape.out_stride);
    }
}

template <class T>
void tile_f32(const float* a, std::size_t m, std::size_t a_stride, const float* panels,
              std::size_t n, std::size_t dim, float* out, std::size_t out_stride) {
    tile<T>(a, m, panels, n, {dim, a_stride * 4, out_stride}, out);
}

template <class T>
void tile_bf16(const std::uint16_t* a, std::size_t m, std::size_t a_stride,
               const std::uint16_t* panels, std::size_t n, std::size_t dim, float* out,
               std::size_t out_stride) {
    tile<T>(a, m, panels, n, {round_up(dim, 32) / 2, a_stride * 2, out_stride}, out);
}

template <class T>
void tile_i8(const std::int8_t* a, std::size_t m, std::size_t a_stride, const std::uint8_t* panels,
             std::size_t n, std::size_t dim, std::int32_t* out, std::size_t out_stride) {
    tile<T>(a, m, panels, n, {round_up(dim, 64) / 4, a_stride, out_stride}, out);
}

}  // namespace
}  // namespace nearfield::kernels
