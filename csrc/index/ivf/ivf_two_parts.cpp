// Codes in two parts: first parts, or their heads alone, rule out most rows; the others are
// completed a round later.
#include <algorithm>
#include <limits>

#include "index/ivf/ivf_search.h"
#include "kernels/prefetch.inl.h"

namespace nearfield {
namespace {

constexpr std::size_t block_rows = BlockCodes::block_rows;
// Heads are looked at in lists of so many rows: a short one is near the query, or in a cache.
constexpr std::size_t least_rows = 4096;
constexpr std::size_t most_pause = 63;  // rounds

}  // namespace

bool IvfIndex::Search::looks_at_heads(Worker& worker, const InvertedList& entries,
                                      const Worker::Visit& visit, float limit) const {
    if (!heads_ || entries.size() < least_rows) return false;
    Worker::Heads& heads = worker.heads[visit.query];
    if (heads.left > 0) --heads.left;
    return heads.left == 0 && limit < std::numeric_limits<float>::infinity();
}

void IvfIndex::Search::select_first(Worker& worker, const Rows& rows, const std::byte* query,
                                    const Worker::Visit& visit, std::int32_t* sums,
                                    float limit) const {
    const float* add = worker.add.data();
    if (!index_.codes_.norms()) {
        for (std::size_t j = 0; j < rows.n; ++j) worker.pulled[j] = -visit.pull * worker.add[j];
        add = worker.pulled.data();
    }
    worker.fresh.list = &rows.entries;
    worker.fresh.visit = visit;
    worker.fresh.n = 0;
    if (!rows.by_head) {
        keep_first(worker, rows, sums, 0, rows.n, add, limit);
        return;
    }
    const BlockCodes& blocks = index_.codes_.blocks();
    const std::size_t bytes = blocks.block_bytes(),
                      n_blocks = (rows.n + block_rows - 1) / block_rows;
    const std::byte* const codes = rows.entries.blocks.data() + rows.first / block_rows * bytes;
    const std::size_t n = select_blocks(worker, rows, query, visit, add, sums, limit);
    Worker::Heads& heads = worker.heads[visit.query];
    heads.pause = 2 * n > n_blocks ? std::min(2 * heads.pause + 1, most_pause) : heads.pause / 2;
    heads.left = 2 * n > n_blocks ? heads.pause : 0;
    worker.spared += (n_blocks - n) * (bytes - blocks.head_dims() / 8 * block_rows);
    std::uint32_t chosen[scan_rows / block_rows];
    std::copy_n(worker.places.data(), n, chosen);
    for (std::size_t j = 0; j < n; j += 2) {  // the look-ups take two blocks at a time
        const std::size_t two = std::min<std::size_t>(2, n - j);
        const std::size_t apart = two == 2 ? chosen[j + 1] - chosen[j] : 0;
        blocks.scan_first(query, {codes + chosen[j] * bytes, two, apart * bytes, false, false},
                          sums);
        for (std::size_t b = 0; b < two; ++b) {
            const std::size_t begin = chosen[j + b] * block_rows;
            keep_first(worker, rows, sums + b * block_rows, begin,
                       std::min(begin + block_rows, rows.n), add, limit);
        }
    }
}

std::size_t IvfIndex::Search::select_blocks(Worker& worker, const Rows& rows,
                                            const std::byte* query, const Worker::Visit& visit,
                                            const float* add, std::int32_t* sums,
                                            float limit) const {
    const BlockCodes& blocks = index_.codes_.blocks();
    const std::size_t bytes = blocks.block_bytes(),
                      n_blocks = (rows.n + block_rows - 1) / block_rows;
    blocks.scan_first(query,
                      {rows.entries.blocks.data() + rows.first / block_rows * bytes, n_blocks,
                       bytes, true, rows.ahead},
                      sums);
    const kernels::BoundRows factors{add, worker.scale.data(), worker.zeros.data()};
    const std::size_t found = kernels::kernels().select_bound(
        sums, rows.n, factors, index_.codes_.head_bound(worker.queries, visit.query, visit.base),
        limit, worker.places.data(), worker.estimates.data());
    std::size_t n = 0;
    for (std::size_t j = 0; j < found; ++j) {
        const auto block = static_cast<std::uint32_t>(worker.places[j] / block_rows);
        if (n == 0 || worker.places[n - 1] != block) worker.places[n++] = block;
    }
    return n;
}

void IvfIndex::Search::keep_first(Worker& worker, const Rows& rows, const std::int32_t* sums,
                                  std::size_t begin, std::size_t end, const float* add,
                                  float limit) const {
    if (!worker.errors_loaded)
        load_factors(rows.entries.first_error, rows.first, rows.n, worker.error);
    worker.errors_loaded = true;
    const ResidualCodes& codes = index_.codes_;
    Worker::Pending& found = worker.fresh;
    const Worker::Visit& visit = found.visit;
    const BlockCodes::Terms& terms = worker.queries.terms[visit.query];
    const kernels::BoundRows factors{add + begin, worker.scale.data() + begin,
                                     worker.error.data() + begin};
    const kernels::BoundQuery bound{
        terms.shift, terms.unit, codes.reach(worker.queries, visit.query, visit.base), -visit.base};
    const std::size_t more = kernels::kernels().select_bound(
        sums, end - begin, factors, bound, limit, &found.places[found.n], worker.estimates.data());
    const std::size_t bytes = codes.blocks().row_bytes();
    const InvertedList& entries = rows.entries;
    for (std::size_t j = found.n; j < found.n + more; ++j) {
        found.sums[j] = sums[found.places[j]];
        const std::size_t place = found.places[j] += static_cast<std::uint32_t>(rows.first + begin);
        kernels::prefetch_range(entries.rows.data() + place * bytes, bytes);
        kernels::prefetch(&entries.add[place]);
        kernels::prefetch(&entries.scale[place]);
    }
    found.n += more;
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
        worker.halves[scan_rows + j] = entries.scale[pending.places[j]];
    }
    const auto convert = kernels::kernels().from_f16;
    convert(worker.halves.data(), pending.n, worker.pulled.data());
    convert(worker.halves.data() + scan_rows, pending.n, worker.estimates.data());
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
