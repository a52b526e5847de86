// Several indexes asked as one, as a collection asks its segments.
#pragma once

#include <cstddef>
#include <vector>

#include "index/index.h"

namespace nearfield {

struct AskedIndex {
    const Index* index;
    FilterSpec filter;
    float share;  // of the rows
};

/// ids and distances (queries.rows, k): the nearest of what all give, ties going to the smaller id.
/// False, where it should not `wait`, if somebody is changing one of them.
bool search_together(const std::vector<AskedIndex>& asked, const MatrixView& queries, std::size_t k,
                     const Run& run, bool wait, Id* ids, float* distances);

}  // namespace nearfield
