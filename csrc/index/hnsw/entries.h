// Entry points where searches need them: the truth is asked of searches for the vectors themselves.
#pragma once

#include <functional>
#include <vector>

#include "core/run.h"
#include "core/types.h"
#include "index/hnsw/graph.h"

namespace nearfield {

/// A node's vector; `scratch` (dim,) may be used.
using VectorOf = std::function<const float*(Slot node, float* scratch)>;
/// Whether searches for the vectors of some nodes come near them less often than they should.
bool go_astray(const Graph& graph, const VectorOf& vector_of, const Run& run);
/// Searches for the vectors of some nodes, those not `reached` (by node, if known) before among
/// them, and gives the groups of near ones that were not reached an entry point each, until all
/// are; for all nodes, where many were not. Clusters that no links join are walked only from an
/// entry of their own. Whether many walks go astray nevertheless.
bool cover(Graph& graph, const std::vector<std::uint8_t>& reached, const Run& run);
/// Makes entry points of new nodes that lie outside all that was there, one where several are near
/// each other: a cluster that comes later would not be met else.
void enter_at(Graph& graph, const std::vector<Slot>& nodes);

}  // namespace nearfield
