#include "store/space.h"

#include <algorithm>
#include <cmath>
#include <string_view>

#include "core/error.h"
#include "core/thread_pool.h"
#include "kernels/kernels.h"

namespace nearfield {
namespace {

/// Sum of squares in double: 1e-30 and 1e+30 have a norm too.
double squared_norm(const float* row, std::size_t dim) {
    return kernels::kernels().squares(row, dim);
}

const kernels::MetricInfo* find_metric(std::string_view name) {
    for (const auto& metric : kernels::metric_table)
        if (name == metric.name) return &metric;
    std::string known;
    for (const auto& metric : kernels::metric_table)
        known += (known.empty() ? "'" : ", '") + std::string(metric.name) + "'";
    throw std::invalid_argument(text("metric must be one of ", known, ", got '", name, "'"));
}

}  // namespace

Space::Space(std::size_t dim, const char* metric_name)
    : dim_(dim), metric_(find_metric(metric_name)) {
    require(dim >= 1 && dim <= max_dim, "dim must be in 1..", max_dim, ", got ", dim);
}

const kernels::MetricInfo& Space::geometry() const {
    const bool own = metric_->unit_vectors || metric_->needs_norm;
    return own ? *metric_ : kernels::info(kernels::Metric::l2);
}

void Space::check(const char* name, const MatrixView& vectors, const Run& run,
                  std::size_t first_row) const {
    require(vectors.dim == dim_, name, " must have shape (n, ", dim_, "), got (", vectors.rows,
            ", ", vectors.dim, ")");
    resolve_threads(run.threads);  // throws where there can be no such number
    if (vectors.rows == 1 && plain(vectors.row(0))) return;
    const std::size_t grain = std::max<std::size_t>(1, (std::size_t{1} << 20) / dim_);
    // The row with the smallest number is named, whatever thread finds it.
    std::vector<std::size_t> first_bad((vectors.rows + grain - 1) / grain, vectors.rows);
    parallel_for(run, vectors.rows, grain, [&](std::size_t begin, std::size_t end, std::size_t) {
        for (std::size_t i = begin; i < end; ++i) {
            if (plain(vectors.row(i))) continue;
            const double norm = squared_norm(vectors.row(i), dim_);
            const bool measurable = norm > 0 || !metric_->unit_vectors;
            const bool fits =
                metric_->unit_vectors || (norm <= 3e38 && within_limit(vectors.row(i)));
            if (std::isfinite(norm) && measurable && fits) continue;
            first_bad[begin / grain] = i;
            return;
        }
    });
    for (const std::size_t i : first_bad) {
        if (i == vectors.rows) continue;
        const float* row = vectors.row(i);
        const std::size_t at = first_row + i;
        for (std::size_t j = 0; j < dim_; ++j)
            require(std::isfinite(row[j]), name, " must be finite, got ", row[j], " at row ", at,
                    ", column ", j);
        require(squared_norm(row, dim_) > 0, name, " must not have norm 0 under ", metric_->name,
                ", got a zero vector at row ", at);
        for (std::size_t j = 0; j < dim_; ++j)
            require(std::abs(row[j]) <= limit_, name, " must be within +-", limit_,
                    " for this dtype, got ", row[j], " at row ", at, ", column ", j);
        throw std::invalid_argument(text(name, " must have a squared norm below 3e38, got ",
                                         squared_norm(row, dim_), " at row ", at));
    }
}

bool Space::plain(const float* row) const {
    const auto scalar = static_cast<std::size_t>(kernels::Scalar::f32);
    const auto dot = static_cast<std::size_t>(kernels::Metric::dot);
    float negated;
    kernels::kernels().rows[scalar][dot](row, row, 1, dim_, dim_ * sizeof(float), &negated);
    // No entry is larger than the root of the sum; NaN and infinity fail both comparisons.
    const float most = std::min(1e37f, 0.99f * limit_ * limit_);
    return -negated > 1e-30f && -negated < most;
}

bool Space::within_limit(const float* row) const {
    return limit_ == infinity ||
           std::all_of(row, row + dim_, [this](float value) { return std::abs(value) <= limit_; });
}

double Space::factor(const float* row) const {
    if (!metric_->unit_vectors) return 1;
    const double norm = squared_norm(row, dim_);
    // Already unit to float precision: keep the bits, so that what is stored is what was given.
    return std::abs(norm - 1.0) < 1e-7 ? 1 : 1.0 / std::sqrt(norm);
}

const float* Space::prepare(const float* row, double factor, float* scratch) const {
    if (factor == 1) return row;
    for (std::size_t j = 0; j < dim_; ++j) scratch[j] = static_cast<float>(row[j] * factor);
    return scratch;
}

MatrixView Space::prepare(const MatrixView& vectors, std::vector<float>& scratch) const {
    if (!metric_->unit_vectors) return vectors;
    scratch.resize(vectors.rows * dim_);
    for (std::size_t i = 0; i < vectors.rows; ++i) {
        float* out = scratch.data() + i * dim_;
        const float* row = prepare(vectors.row(i), out);
        if (row != out) std::copy_n(row, dim_, out);
    }
    return {scratch.data(), vectors.rows, dim_};
}

}  // namespace nearfield
