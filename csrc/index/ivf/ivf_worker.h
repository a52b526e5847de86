// What one thread keeps while it searches, lent out by the index.
#pragma once

#include <memory>
#include <vector>

#include "index/ivf/ivf_index.h"
#include "quantize/nearest_pool.h"

namespace nearfield {

/// Rows scanned at a time: the sums of many queries with them stay in the second-level cache.
inline constexpr std::size_t scan_rows = 256;

struct IvfIndex::Worker {
    explicit Worker(const IvfIndex& owner) {
        if (owner.params_.rerank) scorer = owner.vectors_.scorer(owner.space_.metric());
    }

    /// A query that opens a list, and how far the list is from it.
    struct Visit {
        std::uint32_t query;
        float base, pull;
    };

    std::unique_ptr<Scorer> scorer;
    ResidualCodes::Queries queries;
    ListFinder::Scratch ranking;
    BlockCodes::Scratch scan;
    std::vector<float> prepared;
    std::vector<NearestPool> lists, best;      // a query each
    std::vector<std::size_t> begin;     // visits of each list
    std::vector<Visit> visits;
    Buffer gathered, sums;
    std::vector<float> add, scale, zeros, estimates;
    std::vector<std::uint32_t> places;
    std::vector<Slot> slots;
    std::vector<float> distances;
    std::vector<Neighbor> found;
    std::uint64_t scanned = 0, measured = 0, opened = 0;
};

}  // namespace nearfield
