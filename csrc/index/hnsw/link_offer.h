// One more link for a node that has some already.
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "core/scorer.h"
#include "core/types.h"
#include "index/hnsw/graph.h"
#include "index/hnsw/prune.h"

namespace nearfield {

/// Decides on one new link by the distances of the node and of the newcomer to the others, where
/// the whole rule needs those of all pairs. For a metric in which closeness is nearness.
class LinkOffer {
  public:
    explicit LinkOffer(const Graph& graph);
    /// Gives `node` a link to `fresh` if the rule keeps it or it is near enough to fill the row.
    void run(Graph& graph, Slot node, Slot fresh);

  private:
    struct Link {
        float distance, to_fresh;  // of the node, and of the newcomer
        Slot slot;
    };
    void measure(const Graph& graph, Slot node, Slot fresh);

    PruneRule rule_;
    std::unique_ptr<Scorer> scorer_;
    std::vector<float> node_vector_, fresh_vector_, distances_, to_fresh_;
    std::vector<Slot> nodes_;
    std::vector<Link> kept_, fill_;  // nearest first
    Slot held_ = no_slot;            // whose vector fresh_vector_ is
};

}  // namespace nearfield
