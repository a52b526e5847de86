// How a call is answered: how many lists are opened, how many vectors measured, who may be a
// result.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <utility>
#include <vector>

#include "index/ivf/ivf_worker.h"

namespace nearfield {

class IvfIndex::Search {
  public:
    Search(const IvfIndex& index, const SearchParams& params, const Filter& filter);

    /// Whether it is quicker to measure every allowed vector.
    bool listed() const { return listed_; }
    std::size_t nprobe() const { return nprobe_; }
    bool allows(Slot slot) const { return !filter_.allowed || filter_.allowed->test(slot); }
    std::size_t allowed() const { return filter_.count; }

    /// Answers queries (n, dim), as the metric takes them, into out (n, k).
    void run(Worker& worker, const MatrixView& queries, Neighbor* out) const;
    /// Measures every allowed vector.
    void run_listed(Worker& worker, const MatrixView& queries, Neighbor* out) const;

    /// Makes room for m queries.
    void reserve(Worker& worker, std::size_t m) const;
    /// Opens a list for n queries: sink(query, estimate, slot) for every allowed vector whose
    /// estimate is at most threshold(query); of those that come first perhaps only such as may be
    /// among `enough` nearest, where that is not 0.
    template <class Threshold, class Sink>
    void scan(Worker& worker, Slot list, const Worker::Visit* visits, std::size_t n,
              std::size_t enough, const Threshold& threshold, const Sink& sink) const;
    /// After the last scan: sinks what is still on its way.
    template <class Threshold, class Sink>
    void settle(Worker& worker, const Threshold& threshold, const Sink& sink) const;
    /// The found ones within the radius, into `inside`; empties worker.found.
    void keep_within(Worker& worker, const float* query, float radius,
                     std::vector<Neighbor>& inside) const;
    void report(Worker& worker) const;

  private:
    /// Factors of entries [first, first + n).
    void load_factors(const Column<std::uint16_t>& factors, std::size_t first, std::size_t n,
                      std::vector<float>& out) const;
    /// Places and estimates of the rows scanned, for the i-th visit, that are at most `limit` away;
    /// returns how many.
    std::size_t select(Worker& worker, std::size_t n, std::size_t i, const Worker::Visit& visit,
                       float limit) const;
    /// Leaves aside those of n places that are not among the k nearest of them.
    std::size_t keep_enough(Worker& worker, std::size_t n, std::size_t k) const;
    /// Factors of the first parts of entries [first, first + n).
    void load_first(Worker& worker, const InvertedList& entries, std::size_t first,
                    std::size_t n) const;
    /// Those of n rows, whose factors are loaded, that may be at most `limit` away, into places;
    /// returns how many.
    std::size_t pass(Worker& worker, const Worker::Visit& visit, std::size_t n,
                     const std::int32_t* sums, const kernels::BoundQuery& bound, float limit,
                     std::uint32_t* places) const;
    /// Asks for the second parts of rows.
    void await(const Worker::Pending& found) const;
    /// Entries [first, first + n) of a list.
    struct Rows {
        const InvertedList& entries;
        std::size_t first, n;
    };
    /// Those that may be at most `limit` away, by the sums of their first bits, into worker.fresh.
    void keep_first(Worker& worker, const Rows& rows, const Worker::Visit& visit,
                    const std::int32_t* sums, float limit) const;
    template <class Threshold, class Sink>
    void scan_first(Worker& worker, const Rows& rows, const Worker::Visit* visits, std::size_t n,
                    const std::byte* queries, const Threshold& threshold, const Sink& sink) const;
    /// Makes visits of a list ready to look at heads.
    void prepare_heads(Worker& worker, Slot list, const Worker::Visit* visits, std::size_t n) const;
    /// Those that may be at most `limit` away by their heads, for the i-th visit, into
    /// worker.fresh.
    void keep_likely(Worker& worker, const Rows& rows, std::size_t i, const Worker::Visit& visit,
                     float limit) const;
    /// Of worker.likely, those that may be at most `limit` away by first bits into worker.pending.
    void sift_likely(Worker& worker, float limit) const;
    template <class Threshold, class Sink>
    void scan_heads(Worker& worker, const InvertedList& entries, const Worker::Visit* visits,
                    std::size_t n, const Threshold& threshold, const Sink& sink) const;
    /// Places and estimates of the pending rows that are at most `limit` away.
    std::size_t complete(Worker& worker, float limit) const;
    template <class Sink>
    void give(const Worker& worker, const InvertedList& entries, std::uint32_t query, std::size_t n,
              const Sink& sink) const;
    void settle(Worker& worker) const;
    /// How many of the lists nearest to the i-th query it opens.
    std::size_t wanted(const Worker& worker, std::size_t i) const;
    void open_one(Worker& worker, std::uint32_t query, const Neighbor& list) const;
    void scan(Worker& worker, Slot list, const Worker::Visit* visits, std::size_t n) const;
    void open(Worker& worker, std::size_t m, std::size_t first, std::size_t last) const;
    /// Puts the best of a query by estimate into worker.found, every vector once.
    void take_best(Worker& worker, std::size_t i) const;
    void finish(Worker& worker, const float* query, std::size_t i, Neighbor* out) const;
    void write(std::vector<Neighbor>& found, Neighbor* out) const;

    const IvfIndex& index_;
    const Filter& filter_;
    Counters* counters_;
    std::size_t k_, nprobe_, candidates_;
    std::size_t kept_;  // entries of a query: those of as many vectors as there are candidates
    float limit_;       // how much farther than the nearest a list may be
    bool listed_ = false;
    bool two_parts_;
    const HeadedCodes* headed_;  // where first parts are heads
};

template <class Threshold, class Sink>
void IvfIndex::Search::scan(Worker& worker, Slot list, const Worker::Visit* visits, std::size_t n,
                            std::size_t enough, const Threshold& threshold,
                            const Sink& sink) const {
    const InvertedList& entries = index_.lists_[list];
    if (entries.size() == 0) return;
    const BlockCodes& blocks = index_.codes_.blocks();
    const std::size_t bytes = blocks.query_bytes();
    const std::byte* const codes = worker.queries.codes.data();
    const std::byte* queries = n == 1 ? codes + visits[0].query * bytes : worker.gathered.data();
    for (std::size_t i = 0; n > 1 && i < n; ++i)
        std::memcpy(worker.gathered.data() + i * bytes, codes + visits[i].query * bytes, bytes);
    worker.scanned += n * entries.size();
    worker.opened += n;
    if (headed_) {
        prepare_heads(worker, list, visits, n);
        scan_heads(worker, entries, visits, n, threshold, sink);
        return;
    }
    for (std::size_t first = 0; first < entries.size(); first += scan_rows) {
        const std::size_t rows = std::min(scan_rows, entries.size() - first);
        if (two_parts_) {
            scan_first(worker, {entries, first, rows}, visits, n, queries, threshold, sink);
            continue;
        }
        load_factors(entries.add, first, rows, worker.add);
        load_factors(entries.scale, first, rows, worker.scale);
        const std::size_t n_blocks = (rows + BlockCodes::block_rows - 1) / BlockCodes::block_rows;
        const std::byte* const at =
            entries.blocks.data() + first / BlockCodes::block_rows * blocks.block_bytes();
        auto* const sums = worker.sums.as<std::int32_t>();
        blocks.scan(queries, n, at, n_blocks, sums, scan_rows, worker.scan);
        for (std::size_t i = 0; i < n; ++i) {
            const std::uint32_t query = visits[i].query;
            const float limit = threshold(query);
            std::size_t found = select(worker, rows, i, visits[i], limit);
            if (limit == infinity && enough > 0 && !filter_.allowed)
                found = keep_enough(worker, found, enough);
            for (std::size_t j = 0; j < found; ++j)
                worker.places[j] += static_cast<std::uint32_t>(first);
            give(worker, entries, query, found, sink);
        }
    }
}

template <class Threshold, class Sink>
void IvfIndex::Search::scan_first(Worker& worker, const Rows& rows, const Worker::Visit* visits,
                                  std::size_t n, const std::byte* queries,
                                  const Threshold& threshold, const Sink& sink) const {
    const BlockCodes& blocks = index_.codes_.blocks();
    const std::size_t n_blocks = (rows.n + BlockCodes::block_rows - 1) / BlockCodes::block_rows;
    auto* const sums = worker.sums.as<std::int32_t>();
    load_first(worker, rows.entries, rows.first, rows.n);
    // All at once, while the blocks are near.
    blocks.scan(
        queries, n,
        rows.entries.blocks.data() + rows.first / BlockCodes::block_rows * blocks.block_bytes(),
        n_blocks, sums, scan_rows, worker.scan);
    for (std::size_t i = 0; i < n; ++i) {
        keep_first(worker, rows, visits[i], sums + i * scan_rows, threshold(visits[i].query));
        settle(worker, threshold, sink);
        std::swap(worker.pending, worker.fresh);
    }
}

template <class Threshold, class Sink>
void IvfIndex::Search::scan_heads(Worker& worker, const InvertedList& entries,
                                  const Worker::Visit* visits, std::size_t n,
                                  const Threshold& threshold, const Sink& sink) const {
    const auto next_round = [&] {
        settle(worker, threshold, sink);
        if (worker.likely.n > 0) sift_likely(worker, threshold(worker.likely.visit.query));
    };
    for (std::size_t first = 0, rows = 0; first < entries.size(); first += rows) {
        // Before there is a limit every row passes.
        const bool limited = threshold(visits[0].query) < infinity;
        rows = std::min(limited ? head_rows : scan_rows, entries.size() - first);
        load_first(worker, entries, first, rows);
        for (std::size_t i = 0; i < n; ++i) {
            keep_likely(worker, {entries, first, rows}, i, visits[i], threshold(visits[i].query));
            next_round();
            std::swap(worker.likely, worker.fresh);
        }
    }
    next_round();  // the next list has other heads
}

template <class Threshold, class Sink>
void IvfIndex::Search::settle(Worker& worker, const Threshold& threshold, const Sink& sink) const {
    Worker::Pending& pending = worker.pending;
    if (pending.n == 0) return;
    const std::uint32_t query = pending.visit.query;
    give(worker, *pending.list, query, complete(worker, threshold(query)), sink);
    pending.n = 0;
}

template <class Sink>
void IvfIndex::Search::give(const Worker& worker, const InvertedList& entries, std::uint32_t query,
                            std::size_t n, const Sink& sink) const {
    const std::size_t slots = index_.ids_map().slots();
    for (std::size_t j = 0; j < n; ++j) {
        const Slot slot = entries.slots[worker.places[j]];
        // A mapped file may say anything at any time.
        if (slot < slots && allows(slot)) sink(query, worker.estimates[j], slot);
    }
}

}  // namespace nearfield
