#include "quantize/float_bounds.h"

#include <algorithm>
#include <cmath>
#include <cstring>

namespace nearfield {
namespace {

constexpr double float_unit = 0x1.0p-23;
// Beyond this a sum could leave the range of floats, and a bound would mean nothing.
constexpr double largest_square = 1e38;

double squared_norm(const float* values, std::size_t n) {
    double sum = 0;
    for (std::size_t i = 0; i < n; ++i) sum += static_cast<double>(values[i]) * values[i];
    return sum;
}

}  // namespace

FloatBounds::FloatBounds(std::size_t dim, const kernels::MetricInfo& metric)
    : dim_(dim), width_(dim + (metric.needs_norm ? 1 : 0)), metric_(metric) {}

void FloatBounds::load(const MatrixView& rows) {
    rows_ = rows;
    norms_.resize(rows.rows);
    double largest = 0;
    for (std::size_t i = 0; i < rows.rows; ++i) {
        const double norm = squared_norm(rows.row(i), dim_);
        norms_[i] = static_cast<float>(norm);
        largest = std::max(largest, norm);
    }
    max_length_ = static_cast<float>(std::sqrt(largest) * 1.000001);
}

void FloatBounds::prepare(const MatrixView& queries, QueryBlock& block) const {
    block.n = queries.rows;
    block.left.resize(queries.rows * width_ * sizeof(float));
    block.offsets.resize(queries.rows);
    block.lengths.resize(queries.rows);
    const float factor = metric_.needs_norm ? -2.0f : -1.0f;
    for (std::size_t i = 0; i < queries.rows; ++i) {
        float* left = block.left.as<float>() + i * width_;
        for (std::size_t j = 0; j < dim_; ++j) left[j] = factor * queries.row(i)[j];
        if (metric_.needs_norm) left[dim_] = 1;
        const double norm = squared_norm(queries.row(i), dim_);
        block.offsets[i] = metric_.needs_norm ? static_cast<float>(norm) : metric_.offset;
        block.lengths[i] = static_cast<float>(std::sqrt(norm) * 1.000001);
    }
}

void FloatBounds::scan(const QueryBlock& block, Slot first, std::size_t n, Scratch& scratch) const {
    const kernels::Kernels& table = kernels::kernels();
    const std::size_t stride = width_ * sizeof(float);
    const void* rows = rows_.row(first);
    if (metric_.needs_norm) {
        scratch.rows.resize(max_scan * stride);
        for (std::size_t i = 0; i < n; ++i) {
            float* row = scratch.rows.as<float>() + i * width_;
            std::memcpy(row, rows_.row(first + i), dim_ * sizeof(float));
            row[dim_] = norms_[first + i];
        }
        rows = scratch.rows.data();
    }
    scratch.panels.resize(kernels::panel_elements(kernels::Scalar::f32, max_scan, width_) *
                          sizeof(float));
    scratch.bounds.resize(block.n * max_scan * sizeof(float));
    table.pack_f32(rows, n, width_, stride, scratch.panels.data());
    table.tile_f32(block.left.as<float>(), block.n, width_, scratch.panels.as<float>(), n, width_,
                   scratch.bounds.as<float>(), max_scan);
}

std::size_t FloatBounds::select(const QueryBlock& block, const Scratch& scratch, std::size_t i,
                                Slot first, std::size_t n, float threshold, Slot* slots) const {
    const double lengths = static_cast<double>(block.lengths[i]) + max_length_;
    // Covers the tile's rounding and that of the kernel which measures the candidates.
    const double rounding = (static_cast<double>(dim_) + 32) * float_unit *
                            (lengths * lengths + std::abs(block.offsets[i]));
    const double limit = static_cast<double>(threshold) - block.offsets[i] + rounding;
    if (lengths * lengths > largest_square || limit > largest_square) {
        for (std::size_t j = 0; j < n; ++j) slots[j] = first + static_cast<Slot>(j);
        return n;
    }
    const float below = std::nextafter(static_cast<float>(limit), infinity);
    const std::size_t found =
        kernels::kernels().select_below(scratch.bounds.as<float>() + i * max_scan, n, below, slots);
    for (std::size_t j = 0; j < found; ++j) slots[j] += first;
    return found;
}

}  // namespace nearfield
