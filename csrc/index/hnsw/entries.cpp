#include "index/hnsw/entries.h"

#include <algorithm>
#include <memory>
#include <numeric>

#include "core/thread_pool.h"
#include "index/hnsw/beam.h"

namespace nearfield {
namespace {

// As narrow as searches are, and as soon content.
constexpr std::size_t ef_cover = 20, k_cover = 10;
constexpr std::size_t searches_a_piece = 64;
constexpr std::size_t most_rounds = 16, trial_rounds = 3;
// Each is a code that every search scans; beyond this the walk has to find its way.
constexpr std::size_t nodes_an_entry = 64, always_allowed = 64;

// Nodes lie in the order of where they are, so that one in 8 is one of every cluster.
constexpr Slot asked_one_in = 8;
constexpr std::size_t many_one_in = 200, few_one_in = 1000;

// Clusters lie one after another: an entry for a node is among the last ones chosen, at a squared
// distance of a few links.
constexpr std::size_t heads_beside = 64;
constexpr float head_lengths = 3;

/// Those of `nodes` that searches for their vectors do not come near.
std::vector<Slot> missed(const Graph& graph, const std::vector<Slot>& nodes, const Run& run) {
    std::vector<std::uint8_t> hit(nodes.size());
    std::vector<std::unique_ptr<Beams>> beams(
        static_cast<std::size_t>(resolve_threads(run.threads)));
    const std::size_t dim = graph.dim();
    parallel_for(run, nodes.size(), searches_a_piece,
                 [&](std::size_t begin, std::size_t end, std::size_t worker) {
                     if (!beams[worker]) beams[worker] = std::make_unique<Beams>();
                     Beams& own = *beams[worker];
                     std::vector<float> vectors(beams_at_once * dim);
                     walk_many(
                         graph, own, {ScalarCodes::Order::space, ef_cover, k_cover}, begin, end,
                         [&](std::size_t i, std::size_t b) {
                             graph.get(nodes[i], &vectors[b * dim]);
                             return &vectors[b * dim];
                         },
                         [](const Beam&) {},
                         [&](std::size_t i, std::size_t b, const Beam&) {
                             hit[i] = own[b].reached(graph, nodes[i]);
                         });
                 });
    std::vector<Slot> left;
    for (std::size_t i = 0; i < nodes.size(); ++i)
        if (!hit[i]) left.push_back(nodes[i]);
    return left;
}

/// Of nodes (ascending) some that all others are near: no farther off than a few times their links.
std::vector<Slot> heads_of(const Graph& graph, const std::vector<Slot>& nodes, const Run& run) {
    const std::unique_ptr<Scorer> scorer = graph.scorer(*graph.geometry);
    std::vector<float> vector(graph.dim()), lengths, distances(heads_beside);
    std::vector<Slot> heads;
    for (const Slot node : nodes) {
        if (run.tick) run.tick(0, 1);
        graph.get(node, vector.data());
        scorer->set_query(vector.data());
        const std::size_t n = graph.count(node), beside = std::min(heads.size(), heads_beside);
        lengths.resize(n);
        scorer->score(graph.row(node), n, lengths.data());
        std::nth_element(lengths.begin(), lengths.begin() + static_cast<std::ptrdiff_t>(n / 2),
                         lengths.end());
        scorer->score(heads.data() + heads.size() - beside, beside, distances.data());
        const float near = n == 0 ? 0.0f : head_lengths * lengths[n / 2];
        if (std::none_of(distances.begin(), distances.begin() + static_cast<std::ptrdiff_t>(beside),
                         [near](float distance) { return distance <= near; }))
            heads.push_back(node);
    }
    return heads;
}

/// Adds entry points for nodes (ascending) that none leads near; false if there are as many as may
/// be.
bool add_entries(Graph& graph, const std::vector<Slot>& nodes, const Run& run) {
    const std::size_t held = graph.seeds.size();
    const std::size_t most = always_allowed + graph.size() / nodes_an_entry;
    if (held >= most) return false;
    std::vector<Slot> heads = heads_of(graph, nodes, run), seeds = graph.seeds;
    heads.resize(std::min(heads.size(), most - held));
    seeds.insert(seeds.end(), heads.begin(), heads.end());
    std::sort(seeds.begin(), seeds.end());
    seeds.erase(std::unique(seeds.begin(), seeds.end()), seeds.end());
    graph.set_seeds(std::move(seeds));
    return true;
}

/// Whether many of `nodes` were out of reach at first. An entry changes the walks of others too:
/// all are asked again until next to none is missed. Where entries hardly help, walks only went
/// astray, as one in 80 does at M = 8 (README.md).
bool cover_nodes(Graph& graph, const std::vector<Slot>& nodes, const Run& run) {
    std::size_t first = 0;
    for (std::size_t round = 0; round < most_rounds; ++round) {
        const std::vector<Slot> left = missed(graph, nodes, run);
        if (round == 0) first = left.size();
        if (round >= trial_rounds && 8 * left.size() > 7 * first) return false;
        if (left.empty() || !add_entries(graph, left, run) ||
            left.size() * few_one_in < nodes.size())
            break;
    }
    return first * many_one_in >= nodes.size();
}

}  // namespace

void cover(Graph& graph, const std::vector<std::uint8_t>& reached, const Run& run) {
    std::vector<Slot> nodes;
    for (Slot node = 0; node < reached.size(); ++node)
        if (!reached[node] || node % asked_one_in == 0) nodes.push_back(node);
    if (!cover_nodes(graph, nodes, run)) return;
    nodes.resize(reached.size());
    std::iota(nodes.begin(), nodes.end(), Slot{0});
    cover_nodes(graph, nodes, run);
}

void enter_at(Graph& graph, const std::vector<Slot>& nodes) {
    if (!nodes.empty()) add_entries(graph, nodes, Run());
}

}  // namespace nearfield
