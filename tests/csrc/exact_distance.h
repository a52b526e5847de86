// Distances in float64, to hold estimates and bounds against.
#pragma once

#include <cstddef>
#include <string>

namespace nearfield::check {

inline double product(const float* a, const float* b, std::size_t dim) {
    double sum = 0;
    for (std::size_t d = 0; d < dim; ++d) sum += static_cast<double>(a[d]) * b[d];
    return sum;
}

/// Under cosine of vectors of norm 1.
inline double exact_distance(const std::string& metric, const float* q, const float* x,
                             std::size_t dim) {
    const double both = product(q, x, dim);
    if (metric == "dot") return -both;
    if (metric == "cosine") return 1 - both;
    return product(q, q, dim) + product(x, x, dim) - 2 * both;
}

}  // namespace nearfield::check
