// How well codes tell near vectors from nearer ones.
#pragma once

#include <vector>

#include "index/hnsw/bulk_build.h"

namespace nearfield {

/// Of the nearest 10 among those that a vector's links and theirs lead to, how many are among the
/// first 24 by estimate; a mean over some vectors. `order`: the row of the source at each node.
double local_share(const Graph& graph, const Source& source, const std::vector<Slot>& order,
                   const LinkTable& near, const Run& run);
/// What is enough (README.md).
inline constexpr double enough_share = 0.97;

}  // namespace nearfield
