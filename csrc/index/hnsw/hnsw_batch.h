// Many queries of one call, made ready and put in order.
#pragma once

#include <cstdint>
#include <vector>

#include "core/buffer.h"
#include "index/hnsw/hnsw_query.h"

namespace nearfield {

struct HnswIndex::Batch {
    /// Room for n queries on a graph.
    void resize(const Graph& graph, std::size_t n);
    /// Puts those that begin near the same seeds after each other: by the nearest, then the second.
    void sort();

    std::size_t n = 0, n_seeds = 0, code_dim = 0;
    std::vector<double> factors;                // what Space::prepare scales them by
    Buffer codes;                               // code_dim a query, where codes are walked on
    std::vector<kernels::EstimateQuery> terms;  // which point to them
    std::size_t stride = 0;
    std::vector<float> starts;                   // distances to the seeds, `stride` a query
    std::vector<std::uint32_t> nearest, second;  // seeds
    std::vector<std::uint32_t> order, by_second, places;
};

}  // namespace nearfield
