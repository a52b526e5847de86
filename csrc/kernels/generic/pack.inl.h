// Packing rows into panels: a transpose of 16 rows in units of 4 bytes, whatever the type.
// A transposer T has `span` units and transpose(rows, count, bytes, out): reads up to `bytes` bytes
// of each of `count` rows (the rest counts as zero) and writes `span` lines of 16 units.
#pragma once

#include "kernels/generic/tile.inl.h"

namespace nearfield::kernels {
namespace {

template <class T>
inline void pack(const void* rows, std::size_t n, std::size_t row_bytes, std::size_t stride,
                 std::size_t units, void* panels) {
    const Byte* row = static_cast<const Byte*>(rows);
    Byte* out = static_cast<Byte*>(panels);
    for (std::size_t p = 0; p < n; p += panel_rows, row += panel_rows * stride) {
        const std::size_t count = n - p < panel_rows ? n - p : panel_rows;
        for (std::size_t k = 0; k < units; k += T::span) {
            const std::size_t lines = units - k < T::span ? units - k : T::span;
            const std::size_t at = k * unit_bytes;
            const std::size_t left = at < row_bytes ? row_bytes - at : 0;
            T::transpose(row + at, stride, count, left, lines, out);
            out += lines * panel_line;
        }
    }
}

template <class T>
void pack_f32(const void* rows, std::size_t n, std::size_t dim, std::size_t stride, void* panels) {
    pack<T>(rows, n, dim * 4, stride, dim, panels);
}

template <class T>
void pack_bf16(const void* rows, std::size_t n, std::size_t dim, std::size_t stride, void* panels) {
    pack<T>(rows, n, dim * 2, stride, round_up(dim, 32) / 2, panels);
}

template <class T>
void pack_u8(const void* rows, std::size_t n, std::size_t dim, std::size_t stride, void* panels) {
    pack<T>(rows, n, dim, stride, round_up(dim, 64) / 4, panels);
}

template <class T>
constexpr void fill_pack(Kernels& table) {
    table.pack_f32 = pack_f32<T>;
    table.pack_bf16 = pack_bf16<T>;
    table.pack_u8 = pack_u8<T>;
}

}  // namespace
}  // namespace nearfield::kernels
