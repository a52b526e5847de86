// A whole graph at once: neighbors within clusters by tile products, pruned, then, where walks go
// astray, one pass of searches on that graph.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

#include "core/run.h"
#include "core/types.h"
#include "index/hnsw/graph.h"
#include "index/hnsw/partition.h"
#include "index/hnsw/prune.h"
#include "index/hnsw/reverse_links.h"

namespace nearfield {

/// Row i of what is to be built from, as Space::prepare gives it; `scratch` (dim,) may be used.
using Source = std::function<const float*(std::size_t i, float* scratch)>;

/// Of n rows those that codes are trained on, (some, dim).
std::vector<float> training_rows(std::size_t n, const Source& source, std::size_t dim);

/// Builds `graph` (empty) from n rows. The graph is the same whatever the number of threads: every
/// stage reads what the stage before left and writes each node's own place.
class BulkBuild {
  public:
    BulkBuild(Graph& graph, const Space& space, const HnswParams& params, const Run& run);
    /// Returns the row of the source at each node.
    std::vector<Slot> run(std::size_t n, const Source& source);

  private:
    void train(std::size_t n, const Source& source);
    void quantize(std::size_t n, const Source& source);
    void encode(const Source& source, const std::vector<Slot>& order);
    void store(const Source& source, const std::vector<Slot>& order);
    void choose_seeds();
    /// False where neighbors were found by too few dimensions: all is to be done again.
    bool fit_codes(const Source& source, const std::vector<Slot>& order, const LinkTable& near);
    LinkTable link_neighbors(const Partition& cut);
    void merge_reverse(const LinkTable& table, const Run& run);
    /// Sets `reached` (n,) by node: whether the search for its vector came near it.
    LinkTable refine(const Source& source, const std::vector<Slot>& order,
                     std::vector<std::uint8_t>& reached);
    void measure_noise();

    /// A share of the whole work, for the progress report.
    Run stage(double from, double to) const;

    Graph& graph_;
    const Space& space_;
    HnswParams params_;
    PruneRule rule_;
    Run run_;
    mutable std::size_t reported_ = 0;
    std::unique_ptr<IntRows> rows_;
    std::vector<float> sample_;  // (n, dim) rows to train codes on
};

}  // namespace nearfield
