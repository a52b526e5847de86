#include "index/ivf/ivf_search.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/error.h"
#include "core/thread_pool.h"
#include "kernels/prefetch.inl.h"

namespace nearfield {
namespace {

// Queries that go through the lists together; the more, the more of them meet in a list.
constexpr std::size_t queries_at_once = 1024;
// Lists that every query opens first, so that the others find a tight threshold.
constexpr std::size_t lists_first = 1;
// From so many dimensions on, codes of 4 bits a dimension err too little for many to be measured.
constexpr std::size_t many_dims = 100;
// Reading a vector at random takes as long as estimating so many in order.
constexpr double estimates_a_vector = 12;

/// Vectors measured for k results: the coarser the codes, the more.
std::size_t default_candidates(std::size_t k, int bits, CodeKind kind, std::size_t dim) {
    if (kind == CodeKind::product) return bits == 4 ? 6 * k + 40 : 8 * k + 60;
    if (bits == 8) return k + 6;
    if (bits == 5) return k + k / 4 + 10;
    if (bits == 4) return dim < many_dims ? k + k / 2 + 15 : k + 2 * k / 5 + 10;
    if (bits == 3) return 2 * k + 20;
    if (bits == 2) return 4 * k + 30;
    return 12 * k + 60;
}

}  // namespace

IvfIndex::Search::Search(const IvfIndex& index, const SearchParams& params, const Filter& filter)
    : index_(index),
      filter_(filter),
      counters_(params.counters),
      k_(params.k),
      two_parts_(index.codes_.blocks().row_bytes() > 0),
      headed_(index.codes_.blocks().headed()) {
    const std::size_t nlist = index.finder_->size();
    nprobe_ = params.nprobe != 0 ? params.nprobe : std::min(nlist, index.params_.nprobe);
    require(nprobe_ <= nlist, "nprobe must be at most nlist (", nlist, "), got ", nprobe_);
    const ResidualParams& codes = index.params_.codes;
    const std::size_t usual = default_candidates(k_, codes.bits, codes.kind, index.space_.dim());
    candidates_ = std::max(k_, index.params_.candidates != 0 ? index.params_.candidates : usual);
    if (!index.params_.rerank) candidates_ = k_;
    candidates_ = std::min(candidates_, std::max<std::size_t>(filter.count, 1));
    kept_ = candidates_ * index.copies();
    // Allowed vectors are spread over as many more lists as there are fewer of them.
    const auto all = static_cast<double>(index.ids_map().size());
    const double share = static_cast<double>(filter.count) / std::max(all, 1.0);
    const double wanted = std::ceil(static_cast<double>(nprobe_) / std::max(share, 1e-9));
    nprobe_ = wanted >= static_cast<double>(nlist) ? nlist : static_cast<std::size_t>(wanted);
    limit_ = index.limit(nprobe_);
    const double entries = all * static_cast<double>(index.copies());
    const double estimated = entries * static_cast<double>(nprobe_) / static_cast<double>(nlist);
    listed_ = index.params_.rerank && filter.allowed &&
              static_cast<double>(filter.count) * estimates_a_vector <= estimated;
}

void IvfIndex::Search::load_factors(const Column<std::uint16_t>& factors, std::size_t first,
                                    std::size_t n, std::vector<float>& out) const {
    const std::uint16_t* const at = factors.data() + first;
    kernels::kernels().from_f16(at, n, out.data());
    // Those of the next rows: too few at a time for the CPU to see a stream.
    if (first + n < factors.size()) kernels::prefetch_range(at + n, n * sizeof(*at));
}

std::size_t IvfIndex::Search::select(Worker& worker, std::size_t n, std::size_t i,
                                     const Worker::Visit& visit, float limit) const {
    const float* const zeros = worker.zeros.data();
    const bool norms = index_.codes_.norms();
    const kernels::BoundRows factors{norms ? worker.add.data() : zeros, worker.scale.data(),
                                     norms ? zeros : worker.add.data()};
    const BlockCodes::Terms& terms = worker.queries.terms[visit.query];
    const kernels::BoundQuery bound{terms.shift, terms.unit, visit.pull, -visit.base};
    return kernels::kernels().select_bound(worker.sums.as<std::int32_t>() + i * scan_rows, n,
                                           factors, bound, limit, worker.places.data(),
                                           worker.estimates.data());
}

std::size_t IvfIndex::Search::keep_enough(Worker& worker, std::size_t n, std::size_t k) const {
    const float limit = enough_below(worker.estimates.data(), n, k);
    std::size_t kept = 0;
    for (std::size_t j = 0; j < n; ++j) {
        worker.places[kept] = worker.places[j];
        worker.estimates[kept] = worker.estimates[j];
        kept += worker.estimates[j] <= limit;
    }
    return kept;
}

/// Keeps the best of each query by estimate.
void IvfIndex::Search::scan(Worker& worker, Slot list, const Worker::Visit* visits,
                            std::size_t n) const {
    scan(
        worker, list, visits, n, kept_,
        [&](std::uint32_t query) { return worker.best[query].threshold(); },
        [&](std::uint32_t query, float estimate, Slot slot) {
            worker.best[query].offer({estimate, slot});
        });
}

void IvfIndex::Search::settle(Worker& worker) const {
    settle(
        worker, [&](std::uint32_t query) { return worker.best[query].threshold(); },
        [&](std::uint32_t query, float estimate, Slot slot) {
            worker.best[query].offer({estimate, slot});
        });
}

void IvfIndex::Search::open_one(Worker& worker, std::uint32_t query, const Neighbor& list) const {
    const float pull = index_.codes_.pull(worker.queries, query, list.slot, list.distance);
    const Worker::Visit visit{query, list.distance, pull};
    scan(worker, list.slot, &visit, 1);
}

std::size_t IvfIndex::Search::wanted(const Worker& worker, std::size_t i) const {
    const NearestPool& lists = worker.lists[i];
    const float norm = index_.codes_.norms() ? 1.0f : std::sqrt(worker.queries.int_terms[i].norm2);
    std::size_t n = std::min<std::size_t>(1, lists.size());
    while (n < lists.size() && lists[n].distance - lists[0].distance <= limit_ * norm) ++n;
    return n;
}

/// Opens lists first, ..., last - 1 of each of m queries, in the order of the lists.
void IvfIndex::Search::open(Worker& worker, std::size_t m, std::size_t first,
                            std::size_t last) const {
    const std::size_t nlist = index_.finder_->size();
    worker.begin.assign(nlist + 1, 0);
    const auto visit = [&](const auto& work) {
        for (std::size_t i = 0; i < m; ++i) {
            const std::size_t end = std::min(last, worker.wanted[i]);
            for (std::size_t j = first; j < end; ++j)
                work(static_cast<std::uint32_t>(i), worker.lists[i][j]);
        }
    };
    visit([&](std::uint32_t, const Neighbor& list) { ++worker.begin[list.slot + 1]; });
    std::partial_sum(worker.begin.begin(), worker.begin.end(), worker.begin.begin());
    worker.visits.resize(worker.begin.back());
    visit([&](std::uint32_t query, const Neighbor& list) {
        worker.visits[worker.begin[list.slot]++] = {
            query, list.distance,
            index_.codes_.pull(worker.queries, query, list.slot, list.distance)};
    });
    std::size_t from = 0;
    for (std::size_t list = 0; list < nlist; ++list) {
        const std::size_t to = worker.begin[list];
        for (; from < to; from = std::min(to, from + queries_a_tile))
            scan(worker, static_cast<Slot>(list), &worker.visits[from],
                 std::min(to - from, queries_a_tile));
    }
}

void IvfIndex::Search::write(std::vector<Neighbor>& found, Neighbor* out) const {
    const std::size_t n = std::min(k_, found.size());
    std::partial_sort(found.begin(), found.begin() + static_cast<std::ptrdiff_t>(n), found.end());
    std::copy_n(found.begin(), n, out);
    std::fill(out + n, out + k_, Neighbor{});
}

void IvfIndex::Search::take_best(Worker& worker, std::size_t i) const {
    NearestPool& best = worker.best[i];
    best.merge();
    worker.found.clear();
    const bool twice = kept_ > candidates_;
    if (twice) worker.met.reset(best.size());
    for (std::size_t j = 0; j < best.size() && worker.found.size() < candidates_; ++j)
        if (const Neighbor found = best[j]; !twice || worker.met.insert(found.slot))
            worker.found.push_back(found);
}

/// Ranks the best of a query by estimate by the vectors themselves.
void IvfIndex::Search::finish(Worker& worker, const float* query, std::size_t i,
                              Neighbor* out) const {
    const std::size_t n = worker.found.size();
    if (!worker.scorer) {
        for (Neighbor& found : worker.found)
            found.distance = index_.codes_.distance(worker.queries, i, found.distance);
        write(worker.found, out);
        return;
    }
    worker.slots.resize(n);
    worker.distances.resize(n);
    for (std::size_t j = 0; j < n; ++j) worker.slots[j] = worker.found[j].slot;
    worker.scorer->set_query(query);
    worker.scorer->score(worker.slots.data(), n, worker.distances.data());
    for (std::size_t j = 0; j < n; ++j) worker.found[j].distance = worker.distances[j];
    worker.measured += n;
    write(worker.found, out);
}

void IvfIndex::Search::keep_within(Worker& worker, const float* query, float radius,
                                   std::vector<Neighbor>& inside) const {
    const std::size_t n = worker.found.size();
    worker.slots.resize(n);
    worker.distances.resize(n);
    for (std::size_t j = 0; j < n; ++j) {
        worker.slots[j] = worker.found[j].slot;
        worker.distances[j] = index_.codes_.distance(worker.queries, 0, worker.found[j].distance);
    }
    if (worker.scorer) {
        worker.scorer->set_query(query);
        worker.scorer->score(worker.slots.data(), n, worker.distances.data());
        worker.measured += n;
    }
    for (std::size_t j = 0; j < n; ++j)
        if (worker.distances[j] <= radius) inside.push_back({worker.distances[j], worker.slots[j]});
    worker.found.clear();
}

void IvfIndex::Search::reserve(Worker& worker, std::size_t m) const {
    const std::size_t tile = std::min(m, queries_a_tile);
    const auto grow = [](Buffer& buffer, std::size_t bytes) {
        if (buffer.size() < bytes) buffer.resize(bytes);
    };
    grow(worker.gathered, tile * index_.codes_.blocks().query_bytes());
    grow(worker.sums, std::max(tile * scan_rows, head_rows) * sizeof(std::int32_t));
    for (auto* values : {&worker.add, &worker.scale, &worker.error, &worker.zeros, &worker.pulled,
                         &worker.estimates, &worker.products})
        values->resize(head_rows);
    worker.halves.resize(2 * head_rows);
    for (auto* pending : {&worker.pending, &worker.fresh, &worker.likely}) {
        pending->n = 0;  // an interrupted search may have left some
        pending->places.resize(head_rows);
        pending->sums.resize(head_rows + 16);
        pending->add.resize(head_rows);
        pending->scale.resize(head_rows);
    }
    worker.places.resize(head_rows);
    const auto clear = [&](std::vector<NearestPool>& kept, std::size_t k) {
        if (!kept.empty() && kept[0].k() != k) kept.clear();
        for (std::size_t i = 0; i < std::min(m, kept.size()); ++i) kept[i].clear();
        while (kept.size() < m) kept.emplace_back(k);
    };
    clear(worker.lists, nprobe_);
    clear(worker.best, kept_);
}

void IvfIndex::Search::run(Worker& worker, const MatrixView& queries, Neighbor* out) const {
    const std::size_t m = queries.rows, nlist = index_.finder_->size();
    reserve(worker, m);
    const ListFinder& finder = *index_.finder_;
    index_.codes_.prepare(queries, finder, worker.queries);
    const auto* const ints = worker.queries.ints.as<std::int8_t>();
    finder.rank(ints, worker.queries.int_terms.data(), m, worker.lists.data(), worker.ranking);
    worker.wanted.resize(m);
    for (std::size_t i = 0; i < m; ++i) worker.wanted[i] = wanted(worker, i);
    if (m > 1) {
        open(worker, m, 0, lists_first);
        open(worker, m, lists_first, nprobe_);
    } else {
        for (std::size_t j = 0; j < worker.wanted[0]; ++j) open_one(worker, 0, worker.lists[0][j]);
    }
    settle(worker);
    for (std::size_t i = 0; i < m; ++i) {
        // The lists may hold too few that are allowed: then the others are opened too.
        take_best(worker, i);
        if (worker.found.size() < std::min(k_, filter_.count) && nprobe_ < nlist) {
            NearestPool every(nlist);
            finder.rank(ints + i * finder.query_width(), &worker.queries.int_terms[i], 1, &every,
                        worker.ranking);
            worker.best[i].clear();
            for (std::size_t j = 0; j < nlist; ++j)
                open_one(worker, static_cast<std::uint32_t>(i), every[j]);
            settle(worker);
            take_best(worker, i);
        }
        finish(worker, queries.row(i), i, out + i * k_);
    }
    report(worker);
}

void IvfIndex::Search::run_listed(Worker& worker, const MatrixView& queries, Neighbor* out) const {
    std::vector<Slot> all;
    all.reserve(filter_.count);
    filter_.allowed->for_each([&](std::size_t slot) { all.push_back(static_cast<Slot>(slot)); });
    worker.distances.resize(all.size());
    for (std::size_t i = 0; i < queries.rows; ++i) {
        worker.scorer->set_query(queries.row(i));
        worker.scorer->score(all.data(), all.size(), worker.distances.data());
        worker.found.clear();
        for (std::size_t j = 0; j < all.size(); ++j)
            worker.found.push_back({worker.distances[j], all[j]});
        worker.measured += all.size();
        write(worker.found, out + i * k_);
    }
    report(worker);
}

void IvfIndex::Search::report(Worker& worker) const {
    const BlockCodes& blocks = index_.codes_.blocks();
    // What begins a row has been read by the time that it is completed.
    const std::size_t first_bytes = headed_ ? headed_->first_bytes() : 0;
    if (counters_)
        counters_->add(worker.scanned + worker.measured, worker.measured, worker.opened,
                       worker.scanned * blocks.block_bytes() / BlockCodes::block_rows +
                           worker.sifted * first_bytes +
                           worker.completed * (blocks.row_bytes() - first_bytes) +
                           worker.measured * index_.vectors_.stride());
    worker.scanned = worker.sifted = worker.completed = worker.measured = worker.opened = 0;
}

void IvfIndex::search_rows(const MatrixView& queries, const SearchParams& params,
                           const Filter& filter, Neighbor* out, const Run& run) const {
    require_trained("search()");
    const Search search(*this, params, filter);
    const auto threads = static_cast<std::size_t>(resolve_threads(run.threads));
    const std::size_t piece =
        std::clamp<std::size_t>((queries.rows + threads - 1) / threads, 1, queries_at_once);
    parallel_for(run, queries.rows, piece, [&](std::size_t begin, std::size_t end, std::size_t) {
        auto worker = workers_.borrow(*this);
        const MatrixView ready = space_.prepare(queries.slice(begin, end), worker->prepared);
        if (search.listed())
            search.run_listed(*worker, ready, out + begin * params.k);
        else
            search.run(*worker, ready, out + begin * params.k);
    });
}

}  // namespace nearfield
