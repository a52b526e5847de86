// What one thread keeps while it searches, lent out by the index.
#pragma once

#include <memory>
#include <vector>

#include "index/ivf/ivf_index.h"
#include "index/ivf/slot_set.h"
#include "quantize/nearest_pool.h"

namespace nearfield {

/// Rows scanned at a time: the sums of many queries with them stay in the second-level cache.
inline constexpr std::size_t scan_rows = 256;
/// The same of heads, of which a row has few bytes and which hardly any pass.
inline constexpr std::size_t head_rows = 2048;
/// Of the queries that meet in a list, so many are multiplied at a time.
inline constexpr std::size_t queries_a_tile = 64;

struct IvfIndex::Worker {
    explicit Worker(const IvfIndex& owner) {
        if (owner.params_.rerank) scorer = owner.vectors_.scorer(owner.space_.metric());
    }

    /// A query that opens a list, and how far the list is from it.
    struct Visit {
        std::uint32_t query;
        float base, pull;
    };

    /// Rows of a list that a query's first parts let through; their second parts are on their way
    /// from memory while the next rows are scanned.
    struct Pending {
        const InvertedList* list = nullptr;
        Visit visit{};
        std::size_t n = 0;
        std::vector<std::uint32_t> places;  // in the list
        std::vector<std::int32_t> sums;     // of the first parts
        std::vector<float> add, scale;      // factors of heads
        std::size_t head = 0;               // whose place among the visits
    };

    std::unique_ptr<Scorer> scorer;
    Pending pending, fresh, likely;  // likely: by heads; their first bits are on their way
    std::vector<ResidualCodes::HeadQuery> heads;  // a visit each
    ResidualCodes::HeadScratch head_scratch;
    ResidualCodes::Queries queries;
    ListFinder::Scratch ranking;
    BlockCodes::Scratch scan;
    std::vector<float> prepared;
    std::vector<std::size_t> wanted;       // of the lists, by query
    std::vector<NearestPool> lists, best;  // a query each
    std::vector<std::size_t> begin;        // visits of each list
    std::vector<Visit> visits;
    Buffer gathered, sums;
    std::vector<float> add, scale, error, zeros, pulled, estimates;
    std::vector<float> products;        // of the codes that were completed
    std::vector<std::uint16_t> halves;  // their factors
    std::vector<std::uint32_t> places;
    std::vector<Slot> slots;
    std::vector<float> distances;
    std::vector<Neighbor> found;
    SlotSet met;
    // Entries scanned, let through by heads, completed; vectors measured; lists.
    std::uint64_t scanned = 0, sifted = 0, completed = 0, measured = 0, opened = 0;
};

}  // namespace nearfield
