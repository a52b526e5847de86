#include "index/hnsw/neighbors.h"

#include <algorithm>

#include "core/thread_pool.h"

namespace nearfield {
namespace {

constexpr std::size_t rows_a_tile = 32;
constexpr std::size_t columns_a_tile = 2048;
// Of a cluster, so that what is found for them stays in the second-level cache.
constexpr std::size_t rows_at_once = 512;

}  // namespace

NearRows::NearRows(const IntRows& rows, const Partition& cut, std::size_t k, const Run& run)
    : rows_(rows), cut_(cut), k_(k) {
    panel_first_.resize(cut.clusters() + 1, 0);
    for (std::size_t c = 0; c < cut.clusters(); ++c) {
        const std::size_t n = cut.first[c + 1] - cut.first[c];
        panel_first_[c + 1] =
            panel_first_[c] + kernels::padded(n, kernels::panel_rows) * rows.dim();
    }
    panels_.resize(panel_first_.back() + 64);
    parallel_for(run, cut.clusters(), 1, [&](std::size_t begin, std::size_t end, std::size_t) {
        for (std::size_t c = begin; c < end; ++c)
            kernels::kernels().pack_u8(rows.row(cut.first[c]), cut.first[c + 1] - cut.first[c],
                                       rows.dim(), rows.dim(), panels_.data() + panel_first_[c]);
    });
    ones_.assign(columns_a_tile, 1.0f);
    zeros_.assign(columns_a_tile, 0.0f);
}

void NearRows::for_each(std::size_t cluster, Scratch& scratch,
                        const std::function<void(Slot, const Near&)>& visit) const {
    const std::size_t last = cut_.first[cluster + 1];
    for (std::size_t begin = cut_.first[cluster]; begin < last; begin += rows_at_once) {
        const std::size_t end = std::min(last, begin + rows_at_once);
        find(cluster, static_cast<Slot>(begin), static_cast<Slot>(end), scratch);
        for (std::size_t row = begin; row < end; ++row) {
            Found& found = scratch.found_[row - begin];
            for (std::size_t j = 0; j < found.n; ++j) {
                found.nodes[j] /= 2;
                found.distances[j] += rows_.term(row);
            }
            visit(static_cast<Slot>(row), {found.nodes, found.distances, found.n});
        }
    }
}

/// Rows [begin, end) by the cluster they probe, their own first: it brings the thresholds down.
void NearRows::find(std::size_t cluster, Slot begin, Slot end, Scratch& scratch) const {
    auto& visits = scratch.visits_;
    const std::size_t stride = k_ + kernels::pool_slack;
    scratch.distances_.resize(rows_at_once * stride);
    scratch.nodes_.resize(rows_at_once * stride);
    scratch.found_.clear();
    visits.clear();
    for (Slot row = begin; row < end; ++row) {
        const std::size_t at = (row - begin) * stride;
        scratch.found_.push_back({&scratch.distances_[at], &scratch.nodes_[at], 0, 0});
        for (std::size_t p = 0; p < cut_.n_probes; ++p)
            visits.emplace_back(cut_.probes[row * cut_.n_probes + p], row);
    }
    const auto own = static_cast<std::uint32_t>(cluster);
    std::sort(visits.begin(), visits.end(), [own](const auto& a, const auto& b) {
        const bool a_own = a.first == own, b_own = b.first == own;
        return a_own != b_own ? a_own : a < b;
    });
    for (std::size_t v = 0; v < visits.size();) {
        const std::uint32_t probed = visits[v].first;
        scratch.rows_.clear();
        for (; v < visits.size() && visits[v].first == probed; ++v)
            scratch.rows_.push_back(visits[v].second);
        probe(probed, scratch.rows_, probed == own, scratch.found_.data() - begin, scratch.tiles_);
    }
}

/// Of its own cluster a row sees those after it first and then those before it, so that copies of
/// one vector find one another in a ring, not all the same few.
void NearRows::probe(std::size_t cluster, const std::vector<Slot>& rows, bool own, Found* found,
                     TileScratch& scratch) const {
    const std::size_t dim = rows_.dim();
    const std::size_t begin = cut_.first[cluster], size = cut_.first[cluster + 1] - begin;
    const std::size_t parts = (size + columns_a_tile - 1) / columns_a_tile;
    for (std::size_t r = 0; r < rows.size(); r += rows_a_tile) {
        const std::size_t m = std::min(rows_a_tile, rows.size() - r);
        std::int8_t* const left = scratch.left(rows_a_tile, dim);
        for (std::size_t i = 0; i < m; ++i) rows_.copy_left(rows[r + i], left + i * dim);
        const std::size_t at = own ? (rows[r] - begin) / columns_a_tile : 0;
        for (std::size_t p = 0; p < parts; ++p) {
            const std::size_t first = (at + p) % parts * columns_a_tile;
            const std::size_t columns = std::min(columns_a_tile, size - first);
            const auto* const panels =
                panels_.as<std::uint8_t>() + panel_first_[cluster] + first * dim;
            const std::size_t stride = kernels::padded(columns, kernels::panel_rows);
            std::int32_t* const dots = scratch.out(rows_a_tile, columns_a_tile);
            kernels::kernels().tile_i8(left, m, dim, panels, columns, dim, dots, stride);
            for (std::size_t i = 0; i < m; ++i) {
                const Slot row = rows[r + i];
                const std::int32_t* const of_row = dots + i * stride;
                const std::size_t self = row - begin - first;  // large where it is not here
                if (!own || self >= columns) {
                    offer(row, of_row, begin + first, columns, found[row]);
                    continue;
                }
                offer(row, of_row + self + 1, begin + first + self + 1, columns - self - 1,
                      found[row]);
                offer(row, of_row, begin + first, self, found[row]);
            }
        }
    }
}

/// Offers rows [first, first + n) by their products with `row`.
void NearRows::offer(Slot row, const std::int32_t* dots, std::size_t first, std::size_t n,
                     Found& found) const {
    using kernels::pool_batch;
    std::uint32_t chosen[columns_a_tile];
    float distances[columns_a_tile];
    const kernels::BoundQuery query{rows_.excess(row), 2.0f, 0.0f, 0.0f};
    const kernels::Pool pool{found.distances, found.nodes};
    // As many at a time as were seen before: thresholds are stale for few.
    for (std::size_t i = 0, step; i < n; i += step) {
        step = std::min(n - i, std::max(pool_batch, found.seen));
        const kernels::BoundRows bound{rows_.terms() + first + i, ones_.data(), zeros_.data()};
        const float threshold = found.n == k_ ? found.distances[k_ - 1] : infinity;
        const std::size_t near = kernels::kernels().select_bound(dots + i, step, bound, query,
                                                                 threshold, chosen, distances);
        for (std::size_t j = 0; j < near; ++j) chosen[j] += static_cast<Slot>(first + i);
        for (std::size_t j = 0; j < near; j += pool_batch)
            kernels::kernels().pool_insert(pool, &found.n, k_, distances + j, chosen + j,
                                           std::min(pool_batch, near - j));
        found.seen += step;
    }
}

}  // namespace nearfield
