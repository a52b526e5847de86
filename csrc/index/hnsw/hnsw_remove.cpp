#include <algorithm>
#include <functional>
#include <new>
#include <utility>

#include "core/reserve.h"
#include "core/thread_pool.h"
#include "index/hnsw/connect.h"
#include "index/hnsw/hnsw_index.h"
#include "index/hnsw/hnsw_worker.h"
#include "index/hnsw/local_share.h"
#include "index/hnsw/prune.h"

namespace nearfield {
namespace {

constexpr std::size_t nodes_a_piece = 256;
// Dead nodes are walked through; once they are more than a tenth, links round them are made.
constexpr std::size_t most_dead_share = 10;

}  // namespace

void HnswIndex::remove_slots(const Slot* slots, std::size_t n, const Run& run) {
    changed();
    if (graph_.linked && n == live_nodes()) {
        Column<Slot> nowhere;
        nowhere.resize(node_of_.size(), no_slot);
        graph_ = Graph(space_, params_);
        node_of_ = std::move(nowhere);
        built_ = unconnected_ = 0;
        return;
    }
    if (!graph_.linked) reserve_more(graph_.unused, n);
    std::vector<Slot> nodes(n);
    for (std::size_t i = 0; i < n; ++i) {
        const Slot node = nodes[i] = node_of_[slots[i]];
        node_of_[slots[i]] = no_slot;
        graph_.slots[node] = no_slot;
        if (!graph_.linked) graph_.unused.push_back(node);
    }
    if (!graph_.linked) return;
    graph_.dead += n;
    try {
        mend_in_time(run);
    } catch (...) {  // an interrupt: no link has changed
        graph_.dead -= n;
        for (std::size_t i = 0; i < n; ++i) {
            node_of_[slots[i]] = nodes[i];
            graph_.slots[nodes[i]] = slots[i];
        }
        throw;
    }
}

void HnswIndex::mend_in_time(const Run& run) {
    if (graph_.dead * most_dead_share <= graph_.size()) return;
    try {
        mend(run);
    } catch (const std::bad_alloc&) {
        // Searches go on walking through the dead; the next change tries again.
    }
}

/// Links round the dead: who led to one now chooses among its other links and those of the dead
/// (IP-DiskANN's one-hop rule, Xu et al., arXiv:2502.13826, for many at a time). An interrupt is
/// heard until the first link changes.
void HnswIndex::mend(const Run& run) {
    const std::size_t n = graph_.size();
    std::vector<bool> spare(n, false);
    for (const Slot node : graph_.unused) spare[node] = true;
    graph_.unused.reserve(n);
    const std::size_t pieces = (n + nodes_a_piece - 1) / nodes_a_piece;
    std::vector<std::vector<std::pair<Slot, std::vector<Slot>>>> mended(pieces);
    parallel_for(run, n, nodes_a_piece, [&](std::size_t begin, std::size_t end, std::size_t) {
        VectorPruner pruner(graph_);
        std::vector<Slot> nodes;
        std::vector<float> vector(space_.dim());
        std::unique_ptr<Beam> beam;
        for (auto node = static_cast<Slot>(begin); node < end; ++node) {
            if (!graph_.live(node)) continue;
            const std::uint32_t* const links = graph_.row(node);
            const std::size_t count = graph_.count(node);
            if (std::all_of(links, links + count, [&](Slot to) { return graph_.live(to); }))
                continue;
            nodes.clear();
            for (std::size_t i = 0; i < count; ++i) {
                if (graph_.live(links[i])) {
                    nodes.push_back(links[i]);
                    continue;
                }
                const std::uint32_t* const beyond = graph_.row(links[i]);
                for (std::size_t j = 0; j < graph_.count(links[i]); ++j)
                    if (graph_.live(beyond[j])) nodes.push_back(beyond[j]);
            }
            if (nodes.size() < graph_.degree) {
                if (!beam) beam = std::make_unique<Beam>();
                graph_.get(node, vector.data());
                walk_one(graph_, *beam, {ScalarCodes::Order::space, params_.ef_construction},
                         vector.data());
                for (const Slot found : beam->expanded())
                    if (graph_.live(found)) nodes.push_back(found);
            }
            mended[begin / nodes_a_piece].emplace_back(node, pruner.run(node, nodes).links);
        }
    });
    const Run quiet{run.threads, nullptr};
    replace_seeds();
    std::vector<std::pair<Slot, Slot>> pairs;
    for (const auto& piece : mended)
        for (const auto& [node, links] : piece) {
            const std::uint32_t* const old = graph_.row(node);
            for (const Slot to : links)
                if (std::find(old, old + graph_.degree, to) == old + graph_.degree)
                    pairs.emplace_back(to, node);
        }
    unconnected_ = n;  // until the way to each is made sure of again
    for (const auto& piece : mended)
        for (const auto& [node, links] : piece) graph_.set_links(node, links.data(), links.size());
    link_back(pairs, quiet);
    for (Slot node = 0; node < n; ++node) {
        if (graph_.live(node) || spare[node]) continue;
        graph_.set_links(node, nullptr, 0);
        graph_.unused.push_back(node);
    }
    std::sort(graph_.unused.begin(), graph_.unused.end(), std::greater<>());
    graph_.dead = 0;
    connect(graph_);
    unconnected_ = 0;
}

/// In the order of the seeds; a dead one hands over to its nearest live neighbor.
std::vector<Slot> HnswIndex::live_seeds(const Seeds& seeds) const {
    std::vector<Slot> nodes;
    Bitmap taken(graph_.size());
    for (const Slot seed : seeds.nodes) {
        const std::uint32_t* const links = graph_.row(seed);
        const std::uint32_t* const end = links + graph_.count(seed);
        const std::uint32_t* const heir =
            std::find_if(links, end, [&](Slot node) { return graph_.live(node); });
        if (!graph_.live(seed) && heir == end) continue;
        const Slot node = graph_.live(seed) ? seed : *heir;
        if (taken.test(node)) continue;
        taken.set(node);
        nodes.push_back(node);
    }
    return nodes;
}

void HnswIndex::replace_seeds() {
    std::vector<Slot> seeds = live_seeds(graph_.seeds), wide = live_seeds(graph_.wide_seeds);
    for (Slot node = 0; seeds.empty() && node < graph_.size(); ++node)
        if (graph_.live(node)) seeds.push_back(node);
    std::sort(seeds.begin(), seeds.end());
    wide.resize(std::min(wide.size(), live_nodes() / Graph::nodes_a_wide_seed));
    graph_.seeds = graph_.make_seeds(std::move(seeds));
    graph_.wide_seeds = graph_.make_seeds(std::move(wide));
}

void HnswIndex::reorder(const std::vector<Slot>& order) {
    graph_.reorder(order);
    for (Slot node = 0; node < graph_.size(); ++node) node_of_[graph_.slots[node]] = node;
}

void HnswIndex::optimize(const Run& run) {
    check_writable();
    const auto lock = alone();
    if (!graph_.linked) return;
    changed();
    if (graph_.dead > 0) mend(run);
    reorder(walk_order(graph_, run));
    if (codes_are_stale(graph_, space_, params_, run))
        rebuild({nullptr, 0, space_.dim()}, nullptr, run);
}

void HnswIndex::compact_slots(const std::vector<Slot>& old_slots, const Run& run) {
    changed();
    if (graph_.dead > 0) mend(run);
    std::vector<Slot> kept;
    for (Slot node = 0; node < graph_.size(); ++node)
        if (graph_.live(node)) kept.push_back(node);
    std::vector<Slot> slot_at(node_of_.size(), no_slot);  // by old slot
    for (std::size_t slot = 0; slot < old_slots.size(); ++slot)
        slot_at[old_slots[slot]] = static_cast<Slot>(slot);
    Column<Slot> node_of;
    node_of.resize(old_slots.size(), no_slot);
    graph_.reorder(kept);
    for (Slot node = 0; node < graph_.size(); ++node) {
        graph_.slots[node] = slot_at[graph_.slots[node]];
        node_of[graph_.slots[node]] = node;
    }
    node_of_ = std::move(node_of);
}

}  // namespace nearfield
