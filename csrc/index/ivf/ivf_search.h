// How a call is answered: how many lists are opened, how many vectors measured, who may be a result.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
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
    /// Opens a list for n queries: sink(query, estimate, slot) for every allowed vector whose estimate
    /// is at most threshold(query).
    template <class Threshold, class Sink>
    void scan(Worker& worker, Slot list, const Worker::Visit* visits, std::size_t n,
              const Threshold& threshold, const Sink& sink) const;
    /// The found ones within the radius, into `inside`; empties worker.found.
    void keep_within(Worker& worker, const float* query, float radius,
                     std::vector<Neighbor>& inside) const;
    void report(Worker& worker) const;

  private:
    void open_one(Worker& worker, std::uint32_t query, const Neighbor& list) const;
    void scan(Worker& worker, Slot list, const Worker::Visit* visits, std::size_t n) const;
    void open(Worker& worker, std::size_t m, std::size_t first, std::size_t last) const;
    void finish(Worker& worker, const float* query, std::size_t i, Neighbor* out) const;
    void write(std::vector<Neighbor>& found, Neighbor* out) const;

    const IvfIndex& index_;
    const Filter& filter_;
    Counters* counters_;
    std::size_t k_, nprobe_, candidates_;
    bool listed_ = false;
};

template <class Threshold, class Sink>
void IvfIndex::Search::scan(Worker& worker, Slot list, const Worker::Visit* visits, std::size_t n,
                            const Threshold& threshold, const Sink& sink) const {
    const InvertedList& entries = index_.lists_[list];
    if (entries.size() == 0) return;
    const BlockCodes& blocks = index_.codes_.blocks();
    const kernels::Kernels& table = kernels::kernels();
    const std::size_t bytes = blocks.query_bytes();
    auto* const sums = worker.sums.as<std::int32_t>();
    const std::size_t slots = index_.ids_map().slots();
    for (std::size_t i = 0; i < n; ++i)
        std::memcpy(worker.gathered.data() + i * bytes,
                    worker.queries.codes.data() + visits[i].query * bytes, bytes);
    for (std::size_t first = 0; first < entries.size(); first += scan_rows) {
        const std::size_t rows = std::min(scan_rows, entries.size() - first);
        const std::size_t n_blocks = (rows + BlockCodes::block_rows - 1) / BlockCodes::block_rows;
        table.from_f16(entries.add.data() + first, rows, worker.add.data());
        table.from_f16(entries.scale.data() + first, rows, worker.scale.data());
        blocks.scan(worker.gathered.data(), n,
                    entries.blocks.data() + first / BlockCodes::block_rows * blocks.block_bytes(),
                    n_blocks, sums, scan_rows, worker.scan);
        const float* const zeros = worker.zeros.data();
        const bool norms = index_.codes_.norms();
        const kernels::BoundRows factors{norms ? worker.add.data() : zeros, worker.scale.data(),
                                         norms ? zeros : worker.add.data()};
        for (std::size_t i = 0; i < n; ++i) {
            const std::uint32_t query = visits[i].query;
            const BlockCodes::Terms& terms = worker.queries.terms[query];
            const kernels::BoundQuery bound{terms.shift, terms.unit, visits[i].pull,
                                            -visits[i].base};
            const std::size_t found =
                table.select_bound(sums + i * scan_rows, rows, factors, bound, threshold(query),
                                   worker.places.data(), worker.estimates.data());
            for (std::size_t j = 0; j < found; ++j) {
                const Slot slot = entries.slots[first + worker.places[j]];
                // A mapped file may say anything at any time.
                if (slot < slots && allows(slot)) sink(query, worker.estimates[j], slot);
            }
        }
    }
    worker.scanned += n * entries.size();
    worker.opened += n;
}

}  // namespace nearfield
