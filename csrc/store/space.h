// What a vector must be before it may enter: its dim, its metric, and the checks that go with them.
#pragma once

#include <cstddef>
#include <vector>

#include "core/run.h"
#include "core/types.h"
#include "kernels/metric.h"

namespace nearfield {

class Space {
  public:
    /// Throws std::invalid_argument unless dim is in 1..max_dim and the metric is known.
    Space(std::size_t dim, const char* metric_name);

    static constexpr std::size_t max_dim = 65'536;

    std::size_t dim() const { return dim_; }
    const kernels::MetricInfo& metric() const { return *metric_; }
    /// The metric in which a vector is near itself: what a graph over the vectors is made by.
    const kernels::MetricInfo& geometry() const;

    /// Values beyond +-limit cannot be stored; checked unless vectors are scaled to norm 1.
    void set_limit(float limit) { limit_ = limit; }

    /// Throws std::invalid_argument naming row and column of the first NaN or infinity, a row that
    /// the metric cannot measure (norm 0 under cosine), or one whose squared norm overflows a
    /// float. Row 0 is called `first_row`.
    void check(const char* name, const MatrixView& vectors, const Run& run,
               std::size_t first_row = 0) const;
    /// The row as it is stored or searched: itself, or scaled to norm 1 in `scratch` (dim,).
    const float* prepare(const float* row, float* scratch) const {
        return prepare(row, factor(row), scratch);
    }
    /// What scales the row; 1 where it is to stay as it is.
    double factor(const float* row) const;
    /// As prepare() of one row, of which the factor is known.
    const float* prepare(const float* row, double factor, float* scratch) const;
    /// All rows prepared; `scratch` keeps the copy where one is needed.
    MatrixView prepare(const MatrixView& vectors, std::vector<float>& scratch) const;

  private:
    bool within_limit(const float* row) const;
    /// Whether one float sum of squares shows that nothing is wrong with the row; most rows pass.
    bool plain(const float* row) const;

    std::size_t dim_;
    const kernels::MetricInfo* metric_;
    float limit_ = infinity;
};

}  // namespace nearfield
