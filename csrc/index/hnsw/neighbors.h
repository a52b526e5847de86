// Near neighbors of all rows: each row against the clusters nearest to it.
#pragma once

#include <cstddef>
#include <functional>
#include <utility>
#include <vector>

#include "core/buffer.h"
#include "core/types.h"
#include "index/hnsw/partition.h"
#include "quantize/int_rows.h"

namespace nearfield {

/// Neighbors of a row, nearest first.
struct Near {
    const Slot* rows;
    const float* distances;
    std::size_t n;
};

/// Rows are in the order of the partition's places. Threads: for_each of different clusters may run
/// at once.
class NearRows {
  public:
    /// Finds k neighbors for a row.
    NearRows(const IntRows& rows, const Partition& cut, std::size_t k, const Run& run);
    /// What one thread keeps.
    class Scratch;
    /// Calls visit(row, neighbors) for each row of the cluster.
    void for_each(std::size_t cluster, Scratch& scratch,
                  const std::function<void(Slot, const Near&)>& visit) const;

  private:
    struct Found;
    void find(std::size_t cluster, Slot begin, Slot end, Scratch& scratch) const;
    void probe(std::size_t cluster, const std::vector<Slot>& rows, bool own, Found* found,
               TileScratch& scratch) const;
    void offer(Slot row, const std::int32_t* dots, std::size_t first, std::size_t n,
               Found& found) const;

    const IntRows& rows_;
    const Partition& cut_;
    std::size_t k_;
    std::vector<std::size_t> panel_first_;  // in bytes, by cluster
    Buffer panels_;
    std::vector<float> ones_, zeros_;
};

/// The nearest so far, of equals those that came first.
struct NearRows::Found {
    float* distances;
    std::uint32_t* nodes;  // twice the row
    std::size_t n, seen;
};

class NearRows::Scratch {
    friend NearRows;
    std::vector<float> distances_;
    std::vector<std::uint32_t> nodes_;
    std::vector<Found> found_;
    std::vector<std::pair<std::uint32_t, Slot>> visits_;
    std::vector<Slot> rows_;
    TileScratch tiles_;
};

}  // namespace nearfield
