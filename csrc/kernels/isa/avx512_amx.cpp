// AMX INT8 and BF16: products of whole tiles. A panel of 16 rows is, 64 bytes deep, exactly a right
// tile. Tile registers: 0-3 hold 32 x 32 sums, 4 and 5 left rows, 6 and 7 panels, so four products
// follow four loads.
#include <immintrin.h>

#include "kernels/generic/tile.inl.h"

namespace nearfield::kernels {
namespace {

constexpr std::size_t tile_rows = 16;
constexpr std::size_t tile_bytes = 64;  // of a row of a tile

struct alignas(64) TileConfig {
    std::uint8_t palette = 1;
    std::uint8_t start_row = 0;
    std::uint8_t reserved[14] = {};
    std::uint16_t bytes[16] = {};
    std::uint8_t rows[16] = {};
};

/// Shapes the registers for left tiles of `first` and `second` rows.
void configure(std::size_t first, std::size_t second) {
    TileConfig config;
    const std::size_t rows[8] = {first, first, second, second, first, second, 16, 16};
    for (int t = 0; t < 8; ++t) {
        config.rows[t] = static_cast<std::uint8_t>(rows[t]);
        config.bytes[t] = rows[t] != 0 ? tile_bytes : 0;
    }
    // GCC's _tile_loadconfig claims to read 8 bytes only; this makes the others count.
    asm volatile("" : : "r"(&config) : "memory");
    _tile_loadconfig(&config);
}

struct ProductI8 {
    using Out = std::int32_t;
    template <bool second_rows, bool second_panel>
    [[gnu::always_inline]] static void add() {
        _tile_dpbsud(0, 4, 6);
        if constexpr (second_panel) _tile_dpbsud(1, 4, 7);
        if constexpr (second_rows) _tile_dpbsud(2, 5, 6);
        if constexpr (second_rows && second_panel) _tile_dpbsud(3, 5, 7);
    }
};

struct ProductBf16 {
    using Out = float;
    template <bool second_rows, bool second_panel>
    [[gnu::always_inline]] static void add() {
        _tile_dpbf16ps(0, 4, 6);
        if constexpr (second_panel) _tile_dpbf16ps(1, 4, 7);
        if constexpr (second_rows) _tile_dpbf16ps(2, 5, 6);
        if constexpr (second_rows && second_panel) _tile_dpbf16ps(3, 5, 7);
    }
};

/// One or two left tiles against one or two panels.
template <class Product, bool second_rows, bool second_panel>
void block(const Byte* left, const Byte* panels, const TileShape& shape,
           typename Product::Out* out) {
    const std::size_t row_bytes = shape.units * unit_bytes;
    const Byte* const lower = left + tile_rows * shape.left_stride;
    const Byte* const next = panels + shape.units * panel_line;
    _tile_zero(0);
    if constexpr (second_panel) _tile_zero(1);
    if constexpr (second_rows) _tile_zero(2);
    if constexpr (second_rows && second_panel) _tile_zero(3);
    for (std::size_t k = 0; k < row_bytes; k += tile_bytes) {
        _tile_loadd(6, panels + k * 16, tile_bytes);
        _tile_loadd(4, left + k, shape.left_stride);
        if constexpr (second_panel) _tile_loadd(7, next + k * 16, tile_bytes);
        if constexpr (second_rows) _tile_loadd(5, lower + k, shape.left_stride);
        Product::template add<second_rows, second_panel>();
    }
    typename Product::Out* const below = out + tile_rows * shape.out_stride;
    const std::size_t out_bytes = shape.out_stride * unit_bytes;
    _tile_stored(0, out, out_bytes);
    if constexpr (second_panel) _tile_stored(1, out + panel_rows, out_bytes);
    if constexpr (second_rows) _tile_stored(2, below, out_bytes);
    if constexpr (second_rows && second_panel) _tile_stored(3, below + panel_rows, out_bytes);
}

/// Left blocks of equal height against all panels; the panels stay in the first-level cache.
template <class Product, bool second_rows>
void blocks(const Byte* left, std::size_t count, std::size_t height, const Byte* panels,
            std::size_t n_panels, const TileShape& shape, typename Product::Out* out) {
    const std::size_t panel_bytes = shape.units * panel_line;
    for (std::size_t p = 0; p < n_panels; p += 2) {
        for (std::size_t i = 0; i < count; i += height) {
            const Byte* const rows = left + i * shape.left_stride;
            auto* const to = out + i * shape.out_stride + p * panel_rows;
            if (p + 1 < n_panels)
                block<Product, second_rows, true>(rows, panels + p * panel_bytes, shape, to);
            else
                block<Product, second_rows, false>(rows, panels + p * panel_bytes, shape, to);
        }
    }
}

template <class Product>
void tile(const void* a, std::size_t m, const void* right, std::size_t n, const TileShape& shape,
          typename Product::Out* out) {
    const Byte* const panels = static_cast<const Byte*>(right);
    const std::size_t n_panels = round_up(n, panel_rows) / panel_rows;
    const std::size_t fit = left_block_bytes / (shape.units * unit_bytes + 1) + 1;
    const std::size_t height = 2 * tile_rows;
    const std::size_t block_rows = round_up(fit, height);
    const Byte* left = static_cast<const Byte*>(a);
    configure(tile_rows, tile_rows);
    while (m >= height) {
        const std::size_t count = m < block_rows ? m / height * height : block_rows;
        blocks<Product, true>(left, count, height, panels, n_panels, shape, out);
        left += count * shape.left_stride;
        out += count * shape.out_stride;
        m -= count;
    }
    if (m > tile_rows) {
        configure(tile_rows, m - tile_rows);
        blocks<Product, true>(left, m, m, panels, n_panels, shape, out);
    } else if (m > 0) {
        configure(m, 0);
        blocks<Product, false>(left, m, m, panels, n_panels, shape, out);
    }
    _tile_release();
}

void amx_bf16(const std::uint16_t* a, std::size_t m, std::size_t a_stride,
              const std::uint16_t* panels, std::size_t n, std::size_t dim, float* out,
              std::size_t out_stride) {
    tile<ProductBf16>(a, m, panels, n, {round_up(dim, 32) / 2, a_stride * 2, out_stride}, out);
}

void amx_i8(const std::int8_t* a, std::size_t m, std::size_t a_stride, const std::uint8_t* panels,
            std::size_t n, std::size_t dim, std::int32_t* out, std::size_t out_stride) {
    tile<ProductI8>(a, m, panels, n, {round_up(dim, 64) / 4, a_stride, out_stride}, out);
}

constexpr Kernels avx512_amx_table() {
    Kernels table{};
    table.tile_bf16 = amx_bf16;
    table.tile_i8 = amx_i8;
    return table;
}

}  // namespace

extern const Kernels avx512_amx_kernels;
constinit const Kernels avx512_amx_kernels = avx512_amx_table();

}  // namespace nearfield::kernels
