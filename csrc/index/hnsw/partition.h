// Cutting a set of rows into small clusters, so that near rows can be compared by the thousand.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/buffer.h"
#include "core/column.h"
#include "core/run.h"
#include "core/types.h"
#include "quantize/int_rows.h"

namespace nearfield {

/// Centroids on the grid of the rows. Results do not depend on the number of threads.
class Centroids {
  public:
    /// Lloyd's k-means on a sample of at most `sample` rows.
    Centroids(const IntRows& rows, std::size_t n, std::size_t sample, std::uint64_t seed,
              const Run& run);

    /// These rows themselves.
    Centroids(const IntRows& rows, std::vector<Slot> which);

    std::size_t size() const { return n_; }
    /// The `per_row` nearest centroids of rows[0, n), nearest first, to out (n, per_row).
    void nearest(const IntRows& rows, const Slot* which, std::size_t n, std::size_t per_row,
                 TileScratch& scratch, std::uint32_t* out) const;
    /// For each centroid the nearest row of the sample it came from, and with `longest` the one of
    /// largest norm too; sorted, each row once.
    std::vector<Slot> medoids(const IntRows& rows, bool longest, const Run& run) const;

  private:
    void take(const IntRows& rows);
    void pack();
    std::vector<std::uint32_t> assign(const IntRows& rows, const Run& run) const;
    void recentre(const IntRows& rows, const std::vector<std::uint32_t>& home, const Run& run);

    std::size_t n_, dim_;
    std::vector<Slot> sample_;
    Buffer values_, panels_;  // (n, dim) as value + 128, and packed
    std::vector<float> terms_;
};

/// Clusters in places one after another.
struct Partition {
    std::vector<Slot> order;         // the row at each place
    std::vector<std::size_t> first;  // (clusters + 1,) where each begins
    Column<std::uint32_t> probes;    // (n, n_probes) clusters near the row at each place
    std::size_t n_probes = 0;

    std::size_t clusters() const { return first.size() - 1; }
};

/// Clusters of about `leaf` rows, and for each row the `n_probes` nearest, its own first.
Partition partition(const IntRows& rows, std::size_t leaf, std::size_t n_probes, std::uint64_t seed,
                    const Run& run);

}  // namespace nearfield
