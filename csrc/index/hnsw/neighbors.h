// Near neighbors of all rows: each row against the clusters nearest to it.
#pragma once

#include <cstddef>
#include <functional>
#include <vector>

#include "core/buffer.h"
#include "core/types.h"
#include "index/hnsw/partition.h"
#include "quantize/int_rows.h"

namespace nearfield {

/// Rows are in the order of the partition's places. Threads: for_each of different clusters may run
/// at once.
class NearRows {
  public:
    /// Neighbors found for a row.
    static constexpr std::size_t k = 64;

    NearRows(const IntRows& rows, const Partition& cut, const Run& run);
    /// Calls visit(row, neighbors) for each row of the cluster; neighbors in no order, distances up
    /// to a constant.
    void for_each(std::size_t cluster,
                  const std::function<void(Slot, const std::vector<Neighbor>&)>& visit) const;

  private:
    struct Found;
    void probe(std::size_t cluster, const std::vector<Slot>& rows, Found* found,
               TileScratch& scratch) const;

    const IntRows& rows_;
    const Partition& cut_;
    std::vector<std::size_t> panel_first_;  // in bytes, by cluster
    Buffer panels_;
    std::vector<float> ones_, zeros_;
};

}  // namespace nearfield
