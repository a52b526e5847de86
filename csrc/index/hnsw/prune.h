// Which of a node's candidates become its links.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <vector>

#include "core/scorer.h"
#include "core/types.h"
#include "index/hnsw/graph.h"
#include "quantize/int_rows.h"

namespace nearfield {

/// Links chosen for one node: the first `kept` survived the rule, the rest fill the row.
struct Chosen {
    std::vector<Slot> links;
    std::size_t kept = 0;
};

struct PruneRule {
    std::size_t degree;
    /// A candidate t is dropped for a kept s when slack * d(s, t) < d(node, t). 1 keeps the
    /// sparsest rows; the fill makes up for it.
    float slack;
};
/// 1.05 on distances, squared: 1.0 and 1.1 need more distances at recall 0.99 (README.md).
PruneRule prune_rule(const Graph& graph);

/// Candidates of a node and their distances to it; at most `most` are looked at.
class Candidates {
  public:
    static constexpr std::size_t most = 160;

    struct Entry {
        float distance;
        Slot node;
        bool twin;  // holds the same bytes as the node itself
    };
    void clear() { entries.clear(); }
    /// Nearest first; equals in a ring that begins after the node, so that the copies of one vector
    /// link to one another and not all to the same few.
    void sort(Slot node);

    std::vector<Entry> entries;
};

/// Robust prune (Subramanya et al., NeurIPS 2019) with rows filled up by the nearest of those
/// dropped: filled rows search faster than sparse ones at any recall. `measure(s, rest, n, out)`
/// gives distances from entry s to entries rest[0, n). Twins never drop others and only a few are
/// kept, or thousands of copies of a vector would link to nothing but themselves.
template <class Measure>
void robust_prune(const Candidates& candidates, const PruneRule& rule, Measure&& measure,
                  Chosen& chosen) {
    constexpr std::size_t most_twins = 4;
    const auto& entries = candidates.entries;
    std::uint32_t open[Candidates::most], dropped[Candidates::most];
    float distances[Candidates::most];
    std::size_t n_open = 0, n_dropped = 0, twins = 0;
    for (std::size_t i = 0; i < entries.size(); ++i)
        if (!entries[i].twin || twins++ < most_twins)
            open[n_open++] = static_cast<std::uint32_t>(i);
    chosen.links.clear();
    while (n_open > 0 && chosen.links.size() < rule.degree) {
        const std::uint32_t s = open[0];
        chosen.links.push_back(entries[s].node);
        --n_open;
        std::copy(open + 1, open + 1 + n_open, open);
        if (entries[s].twin) continue;
        measure(s, open, n_open, distances);
        std::size_t left = 0;
        for (std::size_t i = 0; i < n_open; ++i) {
            const bool drop = rule.slack * distances[i] < entries[open[i]].distance;
            dropped[n_dropped] = open[i];
            open[left] = open[i];
            n_dropped += drop;
            left += !drop;
        }
        n_open = left;
    }
    chosen.kept = chosen.links.size();
    const std::size_t room = std::min(rule.degree - chosen.kept, n_dropped);
    std::partial_sort(dropped, dropped + room, dropped + n_dropped);
    for (std::size_t i = 0; i < room; ++i) chosen.links.push_back(entries[dropped[i]].node);
}

/// Prunes on 8-bit rows: all distances between the candidates by one tile product.
class TilePruner {
  public:
    TilePruner(const IntRows& rows, const PruneRule& rule) : rows_(rows), rule_(rule) {}
    /// `nodes` may repeat and hold the node itself; it is sorted on the way.
    const Chosen& run(Slot node, std::vector<Slot>& nodes);

  private:
    const IntRows& rows_;
    PruneRule rule_;
    TileScratch scratch_;
    Candidates candidates_;
    std::vector<std::int32_t> dots_;
    Chosen chosen_;
};

/// Prunes on stored vectors, for a few nodes at a time. Where closeness in the metric is not
/// nearness (a dot product), a quarter of the links go to what is near and the others to what is
/// close, which is where searches go: those t that no chosen s is closer to (ip-NSW: Morozov &
/// Babenko, NeurIPS 2018).
class VectorPruner {
  public:
    explicit VectorPruner(const Graph& graph);
    const Chosen& run(Slot node, std::vector<Slot>& nodes);

  private:
    void add_close(Slot node);

    const Graph& graph_;
    PruneRule rule_;
    std::unique_ptr<Scorer> scorer_, closeness_;
    std::vector<float> vector_, distances_;
    std::vector<Slot> rest_;
    std::vector<Neighbor> by_closeness_;
    Candidates candidates_;
    Chosen chosen_;
};

}  // namespace nearfield
