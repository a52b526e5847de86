// What one thread keeps while it scans.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "core/top_k.h"
#include "index/flat/flat_index.h"

namespace nearfield {

/// Rows scanned at a time: their distances and bounds stay in the first-level cache.
inline constexpr std::size_t scan_rows = BoundCodes::max_scan;
/// Rows that memory is asked for before any is measured: a miss each, one after another, took as
/// long as a quarter of the scan.
inline constexpr std::size_t most_waiting = 32;

struct FlatIndex::Worker {
    Worker(const FlatIndex& owner, std::size_t k)
        : index(owner), best(k), scorer(owner.store_.scorer(owner.space_.metric())) {}

    /// Drops those of slots[0, n) that the filter keeps out; returns how many stay.
    std::size_t admit(std::size_t n, const Filter& filter);
    /// Distances of slots[0, n), into `distances`.
    void measure(std::size_t n);
    /// Distances of rows [first, first + n); leaves those <= threshold that the filter lets in, in
    /// `slots` and `distances`, and returns how many.
    std::size_t measure_rows(Slot first, std::size_t n, float threshold, const Filter& filter);
    void offer(std::size_t n, TopK& top) const {
        for (std::size_t i = 0; i < n; ++i) top.offer({distances[i], slots[i]});
    }
    /// Looks at rows [first, first + n) by their signs: false where these leave too many. What they
    /// leave waits in `slots` until there are enough, or until it is settled.
    bool glance(const BoundCodes::QueryBlock& block, Slot first, std::size_t n,
                const Filter& filter);
    void settle(const BoundCodes::QueryBlock& block, const Filter& filter);
    /// Adds the work done since the last report.
    void report(Counters* counters);

    const FlatIndex& index;
    TopK best;
    std::unique_ptr<Scorer> scorer;
    BoundCodes::Scratch scratch;
    std::uint64_t coded = 0, exact = 0;
    std::size_t waiting = 0;  // of slots, for settle()
    Slot slots[scan_rows + most_waiting];
    float distances[scan_rows];
};

}  // namespace nearfield
