#include "index/hnsw/close_links.h"

#include <algorithm>
#include <memory>
#include <utility>
#include <vector>

#include "core/thread_pool.h"
#include "index/hnsw/beam.h"
#include "index/hnsw/bulk_build.h"

namespace nearfield {
namespace {

constexpr int passes = 2;  // the second one walks on what the first has found
// The longest vectors are close to most others, where lengths differ much to all: each node is
// compared with so many of them before the first pass, which on a graph of what is near finds few
// (README.md).
constexpr std::size_t most_hubs = 4096, hubs_a_node = 32;
constexpr std::size_t searches_a_piece = 64, rows_a_piece = 512;

/// The closest to themselves, ascending.
std::vector<Slot> longest(const Graph& graph, const Run& run) {
    const std::size_t n = std::min(most_hubs, graph.size());
    std::vector<Neighbor> lengths(graph.size());
    parallel_for(run, graph.size(), rows_a_piece,
                 [&](std::size_t begin, std::size_t end, std::size_t) {
                     const std::unique_ptr<Scorer> scorer = graph.scorer(*graph.metric);
                     std::vector<float> vector(graph.dim());
                     for (auto node = static_cast<Slot>(begin); node < end; ++node) {
                         graph.get(node, vector.data());
                         scorer->set_query(vector.data());
                         scorer->score(&node, 1, &lengths[node].distance);
                         lengths[node].slot = node;
                     }
                 });
    std::nth_element(lengths.begin(), lengths.begin() + static_cast<std::ptrdiff_t>(n - 1),
                     lengths.end());
    std::vector<Slot> found;
    for (std::size_t i = 0; i < n; ++i) found.push_back(lengths[i].slot);
    std::sort(found.begin(), found.end());
    return found;
}

/// What one thread keeps.
struct Linker {
    Linker(const Graph& graph, const std::vector<Slot>& hubs)
        : pruner(graph),
          scorer(graph.scorer(*graph.metric)),
          vectors(beams_at_once * graph.dim()),
          distances(hubs.size()),
          close(hubs.size()) {}

    /// To `nodes`, the hubs closest to `vector`.
    void add_hubs(const std::vector<Slot>& hubs, const float* vector) {
        scorer->set_query(vector);
        scorer->score(hubs.data(), hubs.size(), distances.data());
        for (std::size_t i = 0; i < hubs.size(); ++i) close[i] = {distances[i], hubs[i]};
        const auto end =
            close.begin() + static_cast<std::ptrdiff_t>(std::min(hubs.size(), hubs_a_node));
        std::nth_element(close.begin(), end, close.end());
        for (auto hub = close.begin(); hub != end; ++hub) nodes.push_back(hub->slot);
    }

    VectorPruner pruner;
    std::unique_ptr<Scorer> scorer;
    Beams beams;
    std::vector<float> vectors, distances;
    std::vector<Neighbor> close;
    std::vector<Slot> nodes;
};

/// Every node chooses among its links, those a walk finds close, and the hubs.
LinkTable chosen_links(const Graph& graph, const std::vector<Slot>& hubs, const Run& run) {
    LinkTable chosen(graph.size(), graph.degree);
    std::vector<std::unique_ptr<Linker>> linkers(
        static_cast<std::size_t>(resolve_threads(run.threads)));
    parallel_for(run, graph.size(), searches_a_piece,
                 [&](std::size_t begin, std::size_t end, std::size_t worker) {
                     if (!linkers[worker]) linkers[worker] = std::make_unique<Linker>(graph, hubs);
                     Linker& own = *linkers[worker];
                     const auto vector = [&](std::size_t node, std::size_t b) {
                         float* const out = &own.vectors[b * graph.dim()];
                         graph.get(static_cast<Slot>(node), out);
                         return static_cast<const float*>(out);
                     };
                     walk_many(
                         graph, own.beams, {ScalarCodes::Order::metric, ef_close}, begin, end,
                         vector, [](const Beam&) {},
                         [&](std::size_t i, std::size_t b, const Beam& beam) {
                             const auto node = static_cast<Slot>(i);
                             const std::uint32_t* const links = graph.row(node);
                             own.nodes.assign(links, links + graph.count(node));
                             for (std::size_t j = 0; j < beam.size(); ++j)
                                 own.nodes.push_back(beam.node(j));
                             own.add_hubs(hubs, &own.vectors[b * graph.dim()]);
                             chosen.put(node, own.pruner.run(node, own.nodes));
                         });
                 });
    return chosen;
}

}  // namespace

void link_close(Graph& graph, const Run& run) {
    if (graph.metric == graph.geometry) return;
    for (int pass = 0; pass < passes; ++pass) {
        const LinkTable chosen =
            chosen_links(graph, pass == 0 ? longest(graph, run) : std::vector<Slot>(), run);
        parallel_for(run, graph.size(), rows_a_piece,
                     [&](std::size_t begin, std::size_t end, std::size_t) {
                         for (std::size_t i = begin; i < end; ++i)
                             graph.set_links(static_cast<Slot>(i), chosen.row(i), chosen.filled[i]);
                     });
    }
}

}  // namespace nearfield
