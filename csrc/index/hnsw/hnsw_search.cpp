#include <algorithm>
#include <array>
#include <cmath>

#include "core/error.h"
#include "core/thread_pool.h"
#include "core/top_k.h"
#include "index/hnsw/hnsw_query.h"
#include "kernels/prefetch.inl.h"

namespace nearfield {
namespace {

constexpr std::size_t rows_a_block = 256;
// How much noise the vectors to measure allow for: 3 standard deviations cost 0.0003 of recall@10,
// 2 cost 0.002, and measure 13 vectors instead of 20 (README.md).
constexpr float deviations = 3;
// The hardware follows a longer row by itself.
constexpr std::size_t fetched_bytes = 1024;

void write(std::vector<Neighbor>& found, std::size_t k, Neighbor* out) {
    const std::size_t n = std::min(k, found.size());
    std::partial_sort(found.begin(), found.begin() + static_cast<std::ptrdiff_t>(n), found.end());
    std::copy_n(found.begin(), n, out);
    std::fill(out + n, out + k, Neighbor{});
}

/// Of several graphs searched together each gives a share of the answer, and less width does for
/// it: with this rule they find no less than one graph of all rows (python/nearfield/collection).
std::size_t beam_width(std::size_t ef_search, std::size_t k, float share) {
    const std::size_t whole = std::max(ef_search, k + k / 2);
    return std::max(
        k, static_cast<std::size_t>(std::ceil(static_cast<float>(whole) * std::cbrt(share))));
}

}  // namespace

HnswIndex::Query::Query(const HnswIndex& index, const SearchParams& params, const Filter& filter)
    : index_(index),
      allowed_(filter.allowed == &index.ids_map().live() ? nullptr : filter.allowed),
      count_(filter.count),
      counters_(params.counters) {
    const std::size_t k = k_ = params.k;
    ef_ = params.ef_search != 0 ? params.ef_search
                                : beam_width(index.params_.ef_search, k, params.share);
    require(ef_ >= k, "ef_search must be at least k (", k, "), got ", ef_);
    // Codes rank well, not perfectly: as many more than asked for are measured as their noise may
    // have put behind, or a few where it is not known.
    known_ = std::isfinite(index.graph_.noise) && !allowed_;
    limit_ = known_ ? ef_ : k + std::max<std::size_t>(10, ef_ / 4);
    enough_ = std::min({limit_, std::max(k, ef_ / 2), count_});
    if (!allowed_) enough_ = std::min(k, count_);
    // The beam is widened until it holds as many allowed nodes as it would hold nodes.
    const std::size_t met = index.live_nodes() + index.graph_.dead;
    if (allowed_ || index.graph_.dead > 0) {
        patient_ = true;
        const auto share = static_cast<double>(count_) / static_cast<double>(met);
        ef_ = static_cast<std::size_t>(std::ceil(static_cast<double>(ef_) / std::max(share, 1e-9)));
    }
    scan_ = !index.graph_.linked || few(count_, ef_);
}

float HnswIndex::Query::last(const Beam& beam, std::size_t i, float length) const {
    const float estimate = beam.distance(i);
    return known_ ? estimate + index_.graph_.margin(beam.query(), length, estimate, deviations)
                  : infinity;
}

void HnswIndex::Query::collect(const Beam& beam, std::vector<Slot>& nodes) const {
    nodes.clear();
    float most = infinity;
    for (std::size_t i = 0; i < beam.size() && nodes.size() < limit_; ++i) {
        if (beam.distance(i) > most) break;
        if (!allows(beam.node(i))) continue;
        nodes.push_back(beam.node(i));
        if (nodes.size() == k_)
            most = last(beam, i, ScalarCodes::length(index_.graph_.factors[beam.node(i)]));
    }
}

void HnswIndex::Query::fetch(const Beam& beam) const {
    const Graph& graph = index_.graph_;
    if (graph.coded) return;  // codes were read a moment ago
    const std::size_t bytes = std::min(graph.vectors.stride(), fetched_bytes);
    const std::size_t n = std::min(beam.size(), limit_);
    float most = infinity;
    if (n > k_) {  // The k-th is about as long as the query; its own length is not in a cache yet.
        kernels::prefetch(&graph.factors[beam.node(k_ - 1)]);
        most = last(beam, k_ - 1, std::sqrt(beam.query().codes.terms.square));
    }
    for (std::size_t i = 0; i < n && beam.distance(i) <= most; ++i) {
        const Slot node = beam.node(i);
        kernels::prefetch(&graph.slots[node]);
        kernels::prefetch_range(graph.vectors.row(node), bytes);
    }
}

const std::vector<Slot>& HnswIndex::Query::all() const {
    std::call_once(listed_, [&] {
        for (const Slot node : index_.node_of_)
            if (node < index_.graph_.size() && allows(node)) all_.push_back(node);
    });
    return all_;
}

void HnswIndex::Query::scan(Worker& worker, const float* query, std::size_t k,
                            Neighbor* out) const {
    const std::vector<Slot>& nodes = all();
    worker.scorer->set_query(query);
    worker.distances.resize(rows_a_block);
    TopK best(k);
    for (std::size_t i = 0; i < nodes.size(); i += rows_a_block) {
        const std::size_t n = std::min(rows_a_block, nodes.size() - i);
        worker.scorer->score(&nodes[i], n, worker.distances.data());
        for (std::size_t j = 0; j < n; ++j)
            best.offer({worker.distances[j], index_.graph_.slots[nodes[i + j]]});
    }
    const auto& found = best.finish();
    std::copy(found.begin(), found.end(), out);
    std::fill(out + found.size(), out + k, Neighbor{});
    if (counters_)
        counters_->add(nodes.size(), nodes.size(), 0,
                       nodes.size() * index_.graph_.measured_bytes());
}

void HnswIndex::Query::rank(Worker& worker, const Beam& beam, const float* query, std::size_t k,
                            Neighbor* out) const {
    const Graph& graph = index_.graph_;
    const auto report = [&](const Beam& walked) {
        if (counters_)
            counters_->add(
                walked.distances(), 0, walked.hops(),
                walked.distances() * graph.walked().bytes + walked.hops() * graph.link_bytes());
    };
    collect(beam, worker.nodes);
    report(beam);
    // A filter, or those removed, may keep out all that lies near the query.
    for (std::size_t ef = 4 * ef_; worker.nodes.size() < enough_; ef *= 4) {
        if (few(count_, ef)) {
            scan(worker, query, k, out);
            return;
        }
        walk_one(graph, worker.wide, {ScalarCodes::Order::metric, ef}, query);
        collect(worker.wide, worker.nodes);
        report(worker.wide);
    }
    const std::size_t n = worker.nodes.size();
    if (counters_) counters_->add(n, n, 0, n * graph.measured_bytes());
    worker.distances.resize(n);
    worker.scorer->set_query(query);
    worker.scorer->score(worker.nodes.data(), n, worker.distances.data());
    worker.found.clear();
    for (std::size_t i = 0; i < n; ++i)
        worker.found.push_back({worker.distances[i], graph.slots[worker.nodes[i]]});
    write(worker.found, k, out);
}

void HnswIndex::search_rows(const MatrixView& queries, const SearchParams& params,
                            const Filter& filter, Neighbor* out, const Run& run) const {
    const Query query(*this, params, filter);
    const std::size_t k = params.k, dim = space_.dim();
    if (queries.rows == 1 && !query.scan()) {
        auto worker = workers_.borrow(*this);
        worker->prepared.resize(dim);
        const float* const ready = space_.prepare(queries.row(0), worker->prepared.data());
        Beam& beam = worker->beams[0];
        walk_one(graph_, beam, query.walk(), ready);
        query.fetch(beam);
        query.rank(*worker, beam, ready, k, out);
        return;
    }
    if (!query.scan()) {
        walk_rows(queries, query, out, run);
        return;
    }
    parallel_for(run, queries.rows, 1, [&](std::size_t begin, std::size_t end, std::size_t) {
        auto worker = workers_.borrow(*this);
        worker->prepared.resize(dim);
        for (std::size_t i = begin; i < end; ++i)
            query.scan(*worker, space_.prepare(queries.row(i), worker->prepared.data()), k,
                       out + i * k);
    });
}

void HnswIndex::range_rows(const MatrixView& queries, float radius, const SearchParams& params,
                           const Filter& filter, std::vector<std::vector<Neighbor>>& out,
                           const Run& run) const {
    const Query query(*this, params, filter);
    const std::size_t dim = space_.dim();
    parallel_for(run, queries.rows, 1, [&](std::size_t begin, std::size_t end, std::size_t) {
        auto worker = workers_.borrow(*this);
        worker->prepared.resize(dim);
        for (std::size_t i = begin; i < end; ++i) {
            const float* const ready = space_.prepare(queries.row(i), worker->prepared.data());
            worker->scorer->set_query(ready);
            // Returns how many of these lie within the radius, results or not.
            const auto measure = [&](const std::vector<Slot>& nodes) {
                worker->distances.resize(nodes.size());
                worker->scorer->score(nodes.data(), nodes.size(), worker->distances.data());
                out[i].clear();
                std::size_t within = 0;
                for (std::size_t j = 0; j < nodes.size(); ++j) {
                    if (!(worker->distances[j] <= radius)) continue;
                    ++within;
                    if (query.allows(nodes[j]))
                        out[i].push_back({worker->distances[j], graph_.slots[nodes[j]]});
                }
                return within;
            };
            // The beam is widened until most of what it holds lies outside the radius. What a
            // filter keeps out counts too: all that it lets in may lie beyond.
            bool complete = false;
            const Beam& beam = worker->beams[0];
            for (std::size_t ef = query.ef(); !query.scan() && !complete; ef *= 4) {
                if (few(query.count(), ef)) break;
                walk_one(graph_, worker->beams[0], {ScalarCodes::Order::metric, ef}, ready);
                worker->nodes.resize(beam.size());
                for (std::size_t j = 0; j < beam.size(); ++j) worker->nodes[j] = beam.node(j);
                complete = 2 * measure(worker->nodes) <= beam.size();
            }
            if (!complete) measure(query.all());
            std::sort(out[i].begin(), out[i].end());
        }
    });
}

}  // namespace nearfield
