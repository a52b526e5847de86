#include "quantize/panel_codes.h"

#include <cmath>
#include <cstring>

#include "core/error.h"
#include "quantize/grid.h"

namespace nearfield {
namespace {

// From so many queries on a product of matrices pays for unpacking.
constexpr std::size_t matrix_from = 3;

}  // namespace

PanelCodes::PanelCodes(std::size_t dim, int bits)
    : dim_(dim),
      bits_(bits),
      log_parts_(bits == 1   ? 3
                 : bits == 2 ? 2
                 : bits == 4 ? 1
                             : 0),
      width_(kernels::panel_dim(kernels::Scalar::u8, dim)),
      lines_(0) {
    require(bits == 1 || bits == 2 || bits == 4 || bits == 8,
            "bits must be 1, 2, 3, 4, 5 or 8 for rabitq codes, got ", bits);
    // Codes of whole bytes are multiplied as they lie.
    const std::size_t values = 32 / static_cast<std::size_t>(bits);
    lines_ = bits == 8 ? width_ / 4 : kernels::padded(dim, values) / values;
}

void PanelCodes::encode(const float* vector, std::uint8_t* code) const {
    fit_grid(vector, dim_, bits_, code);
}

void PanelCodes::decode(const std::uint8_t* code, float* y) const {
    const float half = static_cast<float>((1 << bits_) - 1) / 2;
    for (std::size_t i = 0; i < dim_; ++i) y[i] = static_cast<float>(code[i]) - half;
}

PanelCodes::Place PanelCodes::place(std::size_t i, std::size_t lane) const {
    const std::size_t unit = i / 4, part = unit & ((std::size_t{1} << log_parts_) - 1);
    const std::size_t panel = lane / kernels::panel_rows, row = lane % kernels::panel_rows;
    return {panel * panel_bytes() + (unit >> log_parts_) * 64 + row * 4 + i % 4,
            static_cast<int>(part) * bits_};
}

void PanelCodes::pack(const std::uint8_t* code, std::size_t lane, std::byte* block) const {
    auto* const bytes = reinterpret_cast<std::uint8_t*>(block);
    const unsigned mask = (1u << bits_) - 1;
    for (std::size_t i = 0; i < dim_; ++i) {
        const Place at = place(i, lane);
        bytes[at.byte] = static_cast<std::uint8_t>((bytes[at.byte] & ~(mask << at.shift)) |
                                                   static_cast<unsigned>(code[i]) << at.shift);
    }
}

void PanelCodes::unpack(const std::byte* block, std::size_t lane, std::uint8_t* code) const {
    const auto* const bytes = reinterpret_cast<const std::uint8_t*>(block);
    const int mask = (1 << bits_) - 1;
    for (std::size_t i = 0; i < dim_; ++i) {
        const Place at = place(i, lane);
        code[i] = static_cast<std::uint8_t>(bytes[at.byte] >> at.shift & mask);
    }
}

BlockCodes::Terms PanelCodes::prepare(const Query& query, std::byte* out) const {
    std::memcpy(out, query.ints, width_);
    const double half = static_cast<double>((1 << bits_) - 1) / 2;
    return {query.int_unit, static_cast<std::int32_t>(std::lrint(half * query.int_sum)), 0, 0};
}

void PanelCodes::scan(const std::byte* queries, std::size_t m, const std::byte* blocks,
                      std::size_t n, std::int32_t* sums, std::size_t stride,
                      Scratch& scratch) const {
    const kernels::Kernels& table = kernels::kernels();
    const std::size_t index = kernels::bits_index(bits_), panels = 2 * n;
    const auto* const codes = reinterpret_cast<const std::uint8_t*>(blocks);
    const auto* const left = reinterpret_cast<const std::int8_t*>(queries);
    if (m < matrix_from) {
        for (std::size_t i = 0; i < m; ++i)
            table.panel_dots[index](left + i * width_, codes, panels, lines_, sums + i * stride);
        return;
    }
    const std::uint8_t* right = codes;
    if (bits_ < 8) {
        const std::size_t bytes = panels * kernels::panel_rows * width_;
        if (scratch.panels.size() < bytes) scratch.panels.resize(bytes);
        table.panel_unpack[index](codes, panels, lines_, width_ / 4,
                                  scratch.panels.as<std::uint8_t>());
        right = scratch.panels.as<std::uint8_t>();
    }
    table.tile_i8(left, m, width_, right, panels * kernels::panel_rows, dim_, sums, stride);
}

}  // namespace nearfield
