// How well codes tell near vectors from nearer ones.
#pragma once

#include <functional>
#include <span>

#include "index/hnsw/bulk_build.h"

namespace nearfield {

/// Of the nearest 10 among those that a vector's links and theirs lead to, how many are among the
/// first 24 by estimate; a mean over some of n nodes. `source` gives the vector of a node.
using Links = std::function<std::span<const Slot>(Slot)>;
double local_share(const Graph& graph, const Source& source, std::size_t n, const Links& links,
                   const Run& run);
/// What is enough (README.md).
inline constexpr double enough_share = 0.97;
/// Whether codes no longer tell near vectors apart that others, made for what is there now, would:
/// after much was added far from what they were made for. Every node is in use.
bool codes_are_stale(const Graph& graph, const Space& space, const HnswParams& params,
                     const Run& run);

}  // namespace nearfield
