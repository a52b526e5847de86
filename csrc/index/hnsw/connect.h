// Every node can be reached from the seeds: checked, and where it is not so, mended.
#pragma once

#include <vector>

#include "core/bitmap.h"
#include "core/run.h"
#include "core/types.h"
#include "index/hnsw/graph.h"

namespace nearfield {

/// Nodes that a walk from the seeds meets.
Bitmap reachable(const Graph& graph, const Run& run = {});
/// Links every live node that cannot be reached from one near it that can.
void connect(Graph& graph, const Run& run = {});

}  // namespace nearfield
