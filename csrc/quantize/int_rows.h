// 8-bit rows on one grid for all: what a graph is built from, by the thousand at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/buffer.h"
#include "core/column.h"
#include "core/run.h"
#include "core/types.h"
#include "kernels/kernels.h"
#include "quantize/scalar_codes.h"

namespace nearfield {

/// Rows are the rotated vectors of a ScalarCodes rounded to a common step, stored as value + 128 so
/// that they can be packed into the panels of tile_i8. The squared distance of two rows, in steps,
/// is term_i + term_j - 2 (r_i . r_j) with term = |r|^2.
class IntRows {
  public:
    /// `sample`: (n, rotated_dim) rotated vectors, from which the step is taken.
    IntRows(const ScalarCodes& codes, const std::vector<float>& sample);

    void resize(std::size_t rows);
    std::size_t size() const { return terms_.size(); }
    std::size_t dim() const { return dim_; }  // a multiple of 64
    void put(std::size_t i, const float* rotated);

    const std::uint8_t* row(std::size_t i) const { return rows_.as<std::uint8_t>() + i * dim_; }
    float term(std::size_t i) const { return terms_[i]; }
    const float* terms() const { return terms_.data(); }
    /// What tile_i8 gives too much: 128 times the sum of the left row.
    std::int32_t excess(std::size_t i) const { return excess_[i]; }
    /// The row as a left row of tile_i8, into (dim,).
    void copy_left(std::size_t i, std::int8_t* out) const;
    /// Takes rows order[i] to place i.
    void reorder(const std::vector<Slot>& order, const Run& run);

  private:
    explicit IntRows(std::size_t dim) : dim_(dim) {}

    std::size_t dim_;
    float inverse_step_ = 1;
    Buffer rows_;
    Column<float> terms_;
    Column<std::int32_t> excess_;
};

/// Rows copied, packed and multiplied with one another or with prepared panels, on one thread.
class TileScratch {
  public:
    /// Left rows, (n, rows.dim()).
    std::int8_t* left(std::size_t n, std::size_t dim);
    std::uint8_t* right(std::size_t n, std::size_t dim);
    std::uint8_t* panels(std::size_t n, std::size_t dim);
    std::int32_t* out(std::size_t m, std::size_t n);

  private:
    Buffer left_, right_, panels_, out_;
};

}  // namespace nearfield
