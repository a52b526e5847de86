// Codes in two parts: first parts rule out most rows, the others are completed a round later.
// Behind heads there are two steps: a round later the first bits of what is left rule out most
// again.
#include "index/ivf/ivf_search.h"
#include "kernels/prefetch.inl.h"

namespace nearfield {

void IvfIndex::Search::prepare_heads(Worker& worker, Slot list, const Worker::Visit* visits,
                                     std::size_t n) const {
    const float* const centroid = index_.finder_->centroid(list);
    if (worker.heads.size() < n) worker.heads.resize(n);
    for (std::size_t i = 0; i < n; ++i)
        index_.codes_.prepare_head(worker.queries, visits[i].query,
                                   {centroid, visits[i].base, visits[i].pull}, worker.head_scratch,
                                   worker.heads[i]);
}

void IvfIndex::Search::load_first(Worker& worker, const InvertedList& entries, std::size_t first,
                                  std::size_t n) const {
    load_factors(entries.first_scale, first, n, worker.scale);
    if (!headed_) load_factors(entries.first_error, first, n, worker.error);
    if (!headed_ || !index_.codes_.norms()) {
        load_factors(entries.first_add, first, n, worker.add);
        return;
    }
    for (std::size_t j = 0; j < n; ++j) worker.add[j] = worker.scale[j] * worker.scale[j];
}

std::size_t IvfIndex::Search::pass(Worker& worker, const Worker::Visit& visit, std::size_t n,
                                   const std::int32_t* sums, const kernels::BoundQuery& bound,
                                   float limit, std::uint32_t* places) const {
    const float* add = worker.add.data();
    if (!index_.codes_.norms()) {
        for (std::size_t j = 0; j < n; ++j) worker.pulled[j] = -visit.pull * worker.add[j];
        add = worker.pulled.data();
    }
    const float* const error = headed_ ? nullptr : worker.error.data();
    return kernels::kernels().select_bound(sums, n, {add, worker.scale.data(), error}, bound, limit,
                                           places, worker.estimates.data());
}

void IvfIndex::Search::await(const Worker::Pending& found) const {
    const InvertedList& entries = *found.list;
    const std::size_t bytes = index_.codes_.blocks().row_bytes();
    for (std::size_t j = 0; j < found.n; ++j) {
        const std::size_t place = found.places[j];
        kernels::prefetch_range(entries.rows.data() + place * bytes, bytes);
        kernels::prefetch(&entries.add[place]);
        kernels::prefetch(&entries.scale[place]);
    }
}

void IvfIndex::Search::keep_first(Worker& worker, const Rows& rows, const Worker::Visit& visit,
                                  const std::int32_t* sums, float limit) const {
    Worker::Pending& found = worker.fresh;
    found.list = &rows.entries;
    found.visit = visit;
    found.n = pass(worker, visit, rows.n, sums,
                   index_.codes_.first_bound(worker.queries, visit.query, visit.base), limit,
                   found.places.data());
    for (std::size_t j = 0; j < found.n; ++j) {
        found.sums[j] = sums[found.places[j]];
        found.places[j] += static_cast<std::uint32_t>(rows.first);
    }
    await(found);
}

void IvfIndex::Search::keep_likely(Worker& worker, const Rows& rows, std::size_t i,
                                   const Worker::Visit& visit, float limit) const {
    const HeadCodes& heads = headed_->heads();
    const ResidualCodes::HeadQuery& query = worker.heads[i];
    auto* const sums = worker.sums.as<std::int32_t>();
    heads.scan(
        query.tables.data(),
        rows.entries.blocks.data() + rows.first / BlockCodes::block_rows * heads.block_bytes(),
        (rows.n + BlockCodes::block_rows - 1) / BlockCodes::block_rows, i == 0, sums);
    Worker::Pending& found = worker.fresh;
    found.list = &rows.entries;
    found.visit = visit;
    found.head = i;
    found.n = pass(worker, visit, rows.n, sums, query.head, limit, found.places.data());
    const std::size_t bytes = headed_->row_bytes();
    for (std::size_t j = 0; j < found.n; ++j) {
        const std::size_t place = found.places[j] + rows.first;
        found.scale[j] = worker.scale[found.places[j]];
        found.add[j] = worker.add[found.places[j]];
        found.places[j] = static_cast<std::uint32_t>(place);
        kernels::prefetch_range(rows.entries.rows.data() + place * bytes, headed_->first_bytes());
    }
}

void IvfIndex::Search::sift_likely(Worker& worker, float limit) const {
    Worker::Pending& likely = worker.likely;
    Worker::Pending& found = worker.pending;
    found.list = likely.list;
    found.visit = likely.visit;
    const ResidualCodes::HeadQuery& query = worker.heads[likely.head];
    worker.sifted += likely.n;
    headed_->sum_first(query.ints.data(), likely.list->rows.data(), likely.places.data(), likely.n,
                       likely.sums.data());
    std::swap(worker.add, likely.add);
    std::swap(worker.scale, likely.scale);
    found.n = pass(worker, likely.visit, likely.n, likely.sums.data(), query.first, limit,
                   found.places.data());
    std::swap(worker.add, likely.add);
    std::swap(worker.scale, likely.scale);
    for (std::size_t j = 0; j < found.n; ++j) found.places[j] = likely.places[found.places[j]];
    likely.n = 0;
    await(found);
}

std::size_t IvfIndex::Search::complete(Worker& worker, float limit) const {
    const Worker::Pending& pending = worker.pending;
    const ResidualCodes& codes = index_.codes_;
    const BlockCodes& blocks = codes.blocks();
    const InvertedList& entries = *pending.list;
    const Worker::Visit& visit = pending.visit;
    blocks.complete(worker.queries.codes.data() + visit.query * blocks.query_bytes(),
                    worker.queries.terms[visit.query], entries.rows.data(), pending.places.data(),
                    pending.n, pending.sums.data(), worker.scan, worker.products.data());
    worker.completed += pending.n;
    for (std::size_t j = 0; j < pending.n; ++j) {
        worker.halves[j] = entries.add[pending.places[j]];
        worker.halves[head_rows + j] = entries.scale[pending.places[j]];
    }
    const auto convert = kernels::kernels().from_f16;
    convert(worker.halves.data(), pending.n, worker.pulled.data());
    convert(worker.halves.data() + head_rows, pending.n, worker.estimates.data());
    const float pull = codes.norms() ? 1.0f : -visit.pull;
    std::size_t found = 0;
    for (std::size_t j = 0; j < pending.n; ++j) {
        const float estimate =
            visit.base + pull * worker.pulled[j] - worker.estimates[j] * worker.products[j];
        worker.places[found] = pending.places[j];
        worker.estimates[found] = estimate;
        found += estimate <= limit;
    }
    return found;
}

}  // namespace nearfield
