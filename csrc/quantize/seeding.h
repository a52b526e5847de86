// First centroids for k-means.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/random.h"
#include "quantize/nearest_centroid.h"
#include "quantize/progress.h"

namespace nearfield {

/// `count` distinct numbers below n, ascending, each subset equally likely.
std::vector<Slot> sample_slots(std::size_t n, std::size_t count, Random& random);

/// Rows that greedy k-means++ looks at to place k centroids among n rows: at most n, at least k.
std::size_t seeding_rows(std::size_t n, std::size_t k);

/// Greedy k-means++ (Arthur & Vassilvitskii, SODA 2007, section 5): each new centroid is the best
/// of 2 + ln k rows drawn with probability proportional to their squared distance from those
/// chosen. Costs about k * rows.size distances, so give it seeding_rows. `unit` measures rows
/// scaled to norm 1. Returns k distinct row numbers below rows.size.
std::vector<std::size_t> plus_plus(const RowSet& rows, std::size_t k, bool unit, Random& random,
                                   Progress& progress, double share);

}  // namespace nearfield
