// Neighbors page by page, for as long as someone asks: a walk that stops and goes on.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "index/hnsw/hnsw_index.h"

namespace nearfield {

/// Best-first search without end (Hjaltason & Samet, TODS 1999, on a graph). Every node met is
/// kept: a page costs only the nodes that it makes the walk expand. Every vector comes once; those
/// that no link leads to come last.
class HnswIndex::Pages {
  public:
    /// `query` (dim,) as the user gave it; `ef` as for a search. The index must outlive this.
    Pages(const HnswIndex& index, const float* query, const FilterSpec& filter, std::size_t ef);

    struct Page {
        std::vector<Id> ids;
        std::vector<float> distances;
    };
    /// The next k, fewer at the end. Throws std::runtime_error once the index has changed.
    Page next(std::size_t k, const Run& run);

  private:
    struct Entry {
        float estimate;
        Slot node;
        float distance = -infinity;  // -infinity: not measured
    };
    static bool nearer(const Entry& a, const Entry& b) { return a.estimate < b.estimate; }
    static bool farther(const Entry& a, const Entry& b) { return a.estimate > b.estimate; }

    void begin();
    bool allows(Slot node) const;
    void expand();
    /// Estimates nodes and puts them where they wait.
    void meet(const Slot* nodes, const std::uint32_t* factors, std::size_t n);
    void wait(Entry entry);
    /// Nodes that the walk cannot reach.
    void meet_rest();
    void measure();

    const HnswIndex& index_;
    std::uint64_t changes_;
    std::mutex mutex_;
    std::vector<float> query_;
    Graph::Query ready_;
    std::unique_ptr<Scorer> scorer_;
    Bitmap allowed_;
    bool filtered_;
    std::size_t ef_, width_, left_;
    bool walks_, begun_ = false, swept_ = false;
    std::vector<std::uint64_t> visited_;
    std::vector<Entry> frontier_;  // heap, nearest first: met, not expanded
    std::vector<Entry> near_;      // heap, farthest first: the `width_` nearest not given yet
    std::vector<Entry> rest_;      // heap, nearest first: the others
    std::vector<Slot> nodes_;
    std::vector<std::uint32_t> factors_;
    std::vector<float> distances_;
};

}  // namespace nearfield
