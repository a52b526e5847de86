// How a call is answered: by walking the graph with a beam of some width, or by measuring all.
#pragma once

#include <cstddef>
#include <mutex>
#include <vector>

#include "index/hnsw/hnsw_worker.h"

namespace nearfield {

/// Whether measuring `count` vectors takes no longer than a walk: a hop scores some 16 codes and
/// merges them, a row is four times as long as a code but read in order.
inline constexpr double rows_a_hop = 20;
inline bool few(std::size_t count, std::size_t ef) {
    return static_cast<double>(count) <= static_cast<double>(ef) * rows_a_hop;
}

/// Who may be a result, in terms of nodes, and what that means for the search.
class HnswIndex::Query {
  public:
    Query(const HnswIndex& index, const SearchParams& params, const Filter& filter);

    bool scan() const { return scan_; }
    std::size_t k() const { return k_; }
    std::size_t ef() const { return ef_; }
    /// Where some nodes may be no results, the k nearest nodes say little of the k nearest results.
    Walk walk() const { return {ScalarCodes::Order::metric, ef_, patient_ ? 0 : k_}; }
    std::size_t count() const { return count_; }
    bool allows(Slot node) const {
        const Slot slot = index_.graph_.slots[node];
        // no_slot where dead; anything in a file that changed while it was mapped.
        return slot < index_.ids_map().slots() && (!allowed_ || allowed_->test(slot));
    }
    /// The allowed nodes a beam found that are to be measured, nearest first by estimate.
    void collect(const Beam& beam, std::vector<Slot>& nodes) const;
    /// Starts fetching what rank() will read.
    void fetch(const Beam& beam) const;
    /// All allowed nodes.
    const std::vector<Slot>& all() const;
    /// Measures all allowed nodes; threads: each its own worker.
    void scan(Worker& worker, const float* query, std::size_t k, Neighbor* out) const;
    /// Ranks what the beam found by the stored vectors; measures all where too little was found.
    void rank(Worker& worker, const Beam& beam, const float* query, std::size_t k,
              Neighbor* out) const;

  private:
    /// The largest estimate of a node to be measured, where the k-th is in place i of the beam and
    /// its vector of that length.
    float last(const Beam& beam, std::size_t i, float length) const;

    const HnswIndex& index_;
    const Bitmap* allowed_;  // by slot; null when every live node is allowed
    std::size_t count_;
    Counters* counters_;
    std::size_t k_;
    bool patient_ = false;
    bool known_;                  // how far off estimates are
    std::size_t ef_, limit_ = 0;  // width of the beam; how many of it are measured
    std::size_t enough_ = 0;      // fewer allowed nodes in the beam mean that it missed some
    bool scan_;
    mutable std::once_flag listed_;
    mutable std::vector<Slot> all_;
};

}  // namespace nearfield
