#include "index/hnsw/neighbors.h"

#include <algorithm>

#include "core/thread_pool.h"

namespace nearfield {
namespace {

constexpr std::size_t rows_a_tile = 32;
constexpr std::size_t columns_a_tile = 2048;

}  // namespace

/// The nearest so far: cut back to k whenever 2 k have come. Slots are counted from the row itself
/// round the end, so that copies of one vector find one another in a ring, not all the same few.
struct NearRows::Found {
    std::vector<Neighbor> kept;
    float threshold = infinity;

    void offer(Neighbor found) {
        kept.push_back(found);
        if (kept.size() < 2 * k) return;
        cut();
        threshold = kept[k - 1].distance;
    }
    void cut() {
        if (kept.size() <= k) return;
        std::nth_element(kept.begin(), kept.begin() + (k - 1), kept.end());
        kept.resize(k);
    }
};

NearRows::NearRows(const IntRows& rows, const Partition& cut, const Run& run)
    : rows_(rows), cut_(cut) {
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

void NearRows::for_each(
    std::size_t cluster,
    const std::function<void(Slot, const std::vector<Neighbor>&)>& visit) const {
    const std::size_t begin = cut_.first[cluster], n = cut_.first[cluster + 1] - begin;
    std::vector<Found> found(n);
    // Rows by the cluster they probe, their own first: it brings the thresholds down.
    std::vector<std::pair<std::uint32_t, Slot>> visits;
    for (std::size_t i = 0; i < n; ++i)
        for (std::size_t p = 0; p < cut_.n_probes; ++p)
            visits.emplace_back(cut_.probes[(begin + i) * cut_.n_probes + p],
                                static_cast<Slot>(begin + i));
    const auto own = static_cast<std::uint32_t>(cluster);
    std::sort(visits.begin(), visits.end(), [own](const auto& a, const auto& b) {
        const bool a_own = a.first == own, b_own = b.first == own;
        return a_own != b_own ? a_own : a < b;
    });
    TileScratch scratch;
    std::vector<Slot> rows;
    for (std::size_t v = 0; v < visits.size();) {
        const std::uint32_t probed = visits[v].first;
        rows.clear();
        for (; v < visits.size() && visits[v].first == probed; ++v)
            rows.push_back(visits[v].second);
        probe(probed, rows, found.data() - begin, scratch);
    }
    for (std::size_t i = 0; i < n; ++i) {
        found[i].cut();
        const auto row = static_cast<Slot>(begin + i);
        for (Neighbor& neighbor : found[i].kept) neighbor.slot += row;
        visit(row, found[i].kept);
    }
}

void NearRows::probe(std::size_t cluster, const std::vector<Slot>& rows, Found* found,
                     TileScratch& scratch) const {
    const std::size_t dim = rows_.dim();
    std::uint32_t chosen[columns_a_tile];
    float distances[columns_a_tile];
    for (std::size_t first = cut_.first[cluster]; first < cut_.first[cluster + 1];
         first += columns_a_tile) {
        const std::size_t columns = std::min(columns_a_tile, cut_.first[cluster + 1] - first);
        const auto* const panels = panels_.as<std::uint8_t>() + panel_first_[cluster] +
                                   (first - cut_.first[cluster]) * dim;
        const std::size_t stride = kernels::padded(columns, kernels::panel_rows);
        const kernels::BoundRows bound{rows_.terms() + first, ones_.data(), zeros_.data()};
        for (std::size_t r = 0; r < rows.size(); r += rows_a_tile) {
            const std::size_t m = std::min(rows_a_tile, rows.size() - r);
            std::int8_t* const left = scratch.left(rows_a_tile, dim);
            for (std::size_t i = 0; i < m; ++i) rows_.copy_left(rows[r + i], left + i * dim);
            std::int32_t* const dots = scratch.out(rows_a_tile, columns_a_tile);
            kernels::kernels().tile_i8(left, m, dim, panels, columns, dim, dots, stride);
            for (std::size_t i = 0; i < m; ++i) {
                const Slot row = rows[r + i];
                const kernels::BoundQuery query{rows_.excess(row), 2.0f, 0.0f, 0.0f};
                const std::size_t n =
                    kernels::kernels().select_bound(dots + i * stride, columns, bound, query,
                                                    found[row].threshold, chosen, distances);
                for (std::size_t j = 0; j < n; ++j)
                    if (first + chosen[j] != row && distances[j] <= found[row].threshold)
                        found[row].offer(
                            {distances[j], static_cast<Slot>(first + chosen[j]) - row});
            }
        }
    }
}

}  // namespace nearfield
