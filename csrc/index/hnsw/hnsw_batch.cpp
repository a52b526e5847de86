// Many queries in one call. Those that begin near the same seeds follow each other: what one walk
// has read is then still in a cache for the next.
#include "index/hnsw/hnsw_batch.h"

#include <algorithm>
#include <array>
#include <numeric>
#include <utility>

#include "core/thread_pool.h"
#include "kernels/prefetch.inl.h"

namespace nearfield {
namespace {

constexpr std::size_t queries_a_piece = 64;  // as many are projected together at most
// Queries put in order together: fewer where there are many seeds, so that the distances to them
// take little room.
constexpr std::size_t most_queries = 4096;
constexpr std::size_t most_starts = std::size_t{1} << 18;

/// Numbers in the order of their keys, equals as they come in `numbers`.
void sort_by(const std::vector<std::uint32_t>& keys, std::size_t n_keys,
             const std::vector<std::uint32_t>& numbers, std::size_t n,
             std::vector<std::uint32_t>& places, std::vector<std::uint32_t>& sorted) {
    places.assign(n_keys + 1, 0);
    for (std::size_t i = 0; i < n; ++i) ++places[keys[i] + 1];
    for (std::size_t key = 0; key < n_keys; ++key) places[key + 1] += places[key];
    for (std::size_t i = 0; i < n; ++i) sorted[places[keys[numbers[i]]]++] = numbers[i];
}

/// The two smallest of n values; of one value twice that.
std::array<std::uint32_t, 2> two_smallest(const float* values, std::size_t n) {
    std::size_t first = 0, second = n > 1 ? 1 : 0;
    if (values[second] < values[first]) std::swap(first, second);
    for (std::size_t i = 2; i < n; ++i) {
        if (!(values[i] < values[second])) continue;
        second = i;
        if (values[second] < values[first]) std::swap(first, second);
    }
    return {static_cast<std::uint32_t>(first), static_cast<std::uint32_t>(second)};
}

}  // namespace

void HnswIndex::Batch::resize(const Graph& graph, std::size_t rows) {
    n = rows;
    n_seeds = graph.seeds.size();
    stride = kernels::padded(n_seeds, 16) + 16;
    code_dim = graph.walks_rows ? 0 : graph.codes.code_dim();
    if (codes.size() < n * code_dim) codes.resize(n * code_dim);
    if (starts.size() < n * stride) starts.resize(n * stride);
    if (factors.size() >= n) return;
    terms.resize(n);
    for (auto* numbers : {&nearest, &second, &order, &by_second}) numbers->resize(n);
    factors.resize(n);  // last: its size says that all the others have theirs
}

void HnswIndex::Batch::sort() {
    std::iota(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(n), 0u);
    sort_by(second, n_seeds, order, n, places, by_second);
    sort_by(nearest, n_seeds, by_second, n, places, order);
}

void HnswIndex::make_ready(const MatrixView& queries, const Query& query, Batch& batch,
                           const Run& run) const {
    batch.resize(graph_, queries.rows);
    const auto order = query.walk().order;
    parallel_for(
        run, batch.n, queries_a_piece, [&](std::size_t begin, std::size_t end, std::size_t) {
            auto worker = workers_.borrow(*this);
            worker->prepared.resize(beams_at_once * space_.dim());
            const auto ready = [&](std::size_t i) {
                const float* const row = queries.row(begin + i);
                batch.factors[begin + i] = space_.factor(row);
                return space_.prepare(row, batch.factors[begin + i], worker->prepared.data());
            };
            if (!graph_.walks_rows)
                graph_.codes.prepare(end - begin, ready, order, worker->scratch,
                                     batch.codes.as<std::int8_t>() + begin * batch.code_dim,
                                     &batch.terms[begin]);
            for (std::size_t i = begin; i < end; ++i) {
                if (graph_.walks_rows)
                    graph_.prepare(ready(i - begin), order, worker->asked);
                else
                    worker->asked.codes.terms = batch.terms[i];
                float* const starts = &batch.starts[i * batch.stride];
                graph_.estimate_seeds(worker->asked, graph_.seeds, 0, batch.n_seeds, starts);
                const auto near = two_smallest(starts, batch.n_seeds);
                batch.nearest[i] = near[0];
                batch.second[i] = near[1];
            }
        });
    batch.sort();
}

void HnswIndex::walk_ordered(const MatrixView& queries, const Query& query, const Batch& batch,
                             Neighbor* out, const Run& run) const {
    const std::size_t dim = space_.dim(), k = query.k();
    const auto threads = static_cast<std::size_t>(resolve_threads(run.threads));
    const std::size_t piece = std::clamp(batch.n / threads / 4, beams_at_once, queries_a_piece);
    parallel_for(run, batch.n, piece, [&](std::size_t begin, std::size_t end, std::size_t) {
        auto worker = workers_.borrow(*this);
        worker->prepared.resize(beams_at_once * dim);
        std::array<const float*, beams_at_once> asked{};
        walk_many(
            graph_, worker->beams, query.walk(), begin, end,
            [&](std::size_t at, std::size_t b) {
                const std::size_t i = batch.order[at];
                if (at + 1 < batch.n) {
                    const std::size_t next = batch.order[at + 1];
                    kernels::prefetch_range(queries.row(next), dim * sizeof(float));
                    kernels::prefetch_range(batch.terms[next].codes, batch.code_dim);
                }
                asked[b] =
                    space_.prepare(queries.row(i), batch.factors[i], &worker->prepared[b * dim]);
                return Asked{asked[b], batch.terms[i], &batch.starts[i * batch.stride]};
            },
            [&](const Beam& beam) { query.fetch(beam); },
            [&](std::size_t at, std::size_t b, const Beam& beam) {
                query.rank(*worker, beam, asked[b], k, out + batch.order[at] * k);
            });
    });
}

void HnswIndex::walk_rows(const MatrixView& queries, const Query& query, Neighbor* out,
                          const Run& run) const {
    auto batch = batches_.borrow();
    const std::size_t most =
        std::clamp(most_starts / graph_.seeds.size(), queries_a_piece, most_queries);
    for (std::size_t first = 0; first < queries.rows; first += most) {
        const MatrixView part = queries.slice(first, std::min(first + most, queries.rows));
        make_ready(part, query, *batch, run);
        walk_ordered(part, query, *batch, out + first * query.k(), run);
    }
}

}  // namespace nearfield
