// Links to what is close in the metric, where that is not what is near: for a dot product.
#pragma once

#include <cstddef>

#include "core/run.h"
#include "index/hnsw/graph.h"

namespace nearfield {

/// Candidates kept by a search for what is close to a node.
inline constexpr std::size_t ef_close = 64;

/// Gives three quarters of each node's row to what is close to it (VectorPruner); nothing where
/// close is near. The graph is whole but for that.
void link_close(Graph& graph, const Run& run);

}  // namespace nearfield
