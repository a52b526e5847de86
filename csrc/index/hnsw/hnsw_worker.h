// What one thread keeps while it searches, lent out by the index.
#pragma once

#include <memory>
#include <vector>

#include "index/hnsw/hnsw_index.h"

namespace nearfield {

struct HnswIndex::Worker {
    explicit Worker(const HnswIndex& owner) : scorer(owner.graph_.scorer(owner.space_.metric())) {}

    Beams beams;
    Beam wide;  // for another try, while the others are under way
    std::unique_ptr<Scorer> scorer;
    std::vector<float> prepared;
    Graph::Query asked;
    ScalarCodes::Scratch scratch;
    std::vector<Slot> nodes;
    std::vector<float> distances;
    std::vector<Neighbor> found;
};

}  // namespace nearfield
