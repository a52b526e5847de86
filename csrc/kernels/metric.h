// The metrics, one row each. Smaller is nearer, always.
#pragma once

#include <cstddef>
#include <cstdint>

namespace nearfield::kernels {

enum class Metric : std::uint8_t { l2, dot, cosine };
inline constexpr std::size_t n_metrics = 3;

struct MetricInfo {
    Metric metric;
    const char* name;   // what users write
    bool unit_vectors;  // stored vectors and queries are scaled to norm 1 first
    bool needs_norm;    // distance = |q|^2 + |x|^2 - 2 q.x rather than constant - q.x
    float offset;       // distance = offset - q.x when needs_norm is false
};

inline constexpr MetricInfo metric_table[n_metrics] = {
    {Metric::l2, "l2", false, true, 0.0f},
    {Metric::dot, "dot", false, false, 0.0f},
    {Metric::cosine, "cosine", true, false, 1.0f},
};

constexpr const MetricInfo& info(Metric metric) {
    return metric_table[static_cast<std::size_t>(metric)];
}

}  // namespace nearfield::kernels
