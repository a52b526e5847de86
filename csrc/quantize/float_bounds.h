// Lower bounds from float products: a matrix product finds every row that could be among the
// nearest, whatever the order in which it adds.
#pragma once

#include <cstddef>
#include <vector>

#include "core/buffer.h"
#include "core/types.h"
#include "kernels/kernels.h"

namespace nearfield {

/// As BoundCodes, but of the rows themselves: nothing is encoded, at four times the arithmetic. A
/// product p of the tile kernel is within (dim + 32) * 2^-23 * |q| |x| of the exact one, so
/// |x|^2 - 2 p (or -p) less that much never exceeds what decides the distance.
class FloatBounds {
  public:
    FloatBounds(std::size_t dim, const kernels::MetricInfo& metric);

    /// Rows (n, dim), which must outlive their use; replaces those before.
    void load(const MatrixView& rows);

    struct QueryBlock {
        std::size_t n = 0;
        Buffer left;                 // (n, width) floats
        std::vector<float> offsets;  // what the metric adds to a bound
        std::vector<float> lengths;
    };
    void prepare(const MatrixView& queries, QueryBlock& block) const;

    struct Scratch {
        Buffer rows, panels, bounds;
    };
    /// Bounds of every query of the block on rows [first, first + n), n <= max_scan, for select().
    void scan(const QueryBlock& block, Slot first, std::size_t n, Scratch& scratch) const;
    /// Slots whose bound for query i is <= threshold, ascending; returns how many.
    std::size_t select(const QueryBlock& block, const Scratch& scratch, std::size_t i, Slot first,
                       std::size_t n, float threshold, Slot* slots) const;

    static constexpr std::size_t max_scan = 256;

  private:
    std::size_t dim_, width_;  // width_: dim_ and, where norms count, one more
    const kernels::MetricInfo& metric_;
    MatrixView rows_;
    std::vector<float> norms_;
    float max_length_ = 0;
};

}  // namespace nearfield
