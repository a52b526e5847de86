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

// Nodes lie in the order of where they are, so that one in 8 is one of every cluster. Where one in
// 50 was out of reach, small clusters may be that none of those was in.
constexpr Slot asked_one_in = 8;
constexpr std::size_t clusters_one_in = 50, many_one_in = 200, few_one_in = 1000;
constexpr std::size_t most_asked = 16384;  // to know whether they are many

// Clusters lie one after another: an entry for a node is among the last ones chosen, at a squared
// distance of a few links.
constexpr std::size_t heads_beside = 64;
constexpr float head_lengths = 3;
// Where walks go astray, what they miss lies less apart, and only the most missed get entries.
constexpr float stray_lengths = 1;
constexpr std::size_t nodes_a_stray = 4096, least_strays = 64, most_strays = 256;

/// Those of `nodes` that searches for their vectors do not come near.
std::vector<Slot> missed(const Graph& graph, const std::vector<Slot>& nodes,
                         const VectorOf& vector_of, const Run& run) {
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
                             return vector_of(nodes[i], &vectors[b * dim]);
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

struct Head {
    Slot node;
    std::size_t near;  // as many it stands for
};

/// Of nodes (ascending) some that all others are near: no farther off than `lengths` times their
/// links.
std::vector<Head> heads_of(const Graph& graph, const std::vector<Slot>& nodes, float lengths,
                           const Run& run) {
    const std::unique_ptr<Scorer> scorer = graph.scorer(*graph.geometry);
    std::vector<float> vector(graph.dim()), links, distances(heads_beside);
    std::vector<Head> heads;
    std::vector<Slot> last;  // of the heads
    for (const Slot node : nodes) {
        if (run.tick) run.tick(0, 1);
        graph.get(node, vector.data());
        scorer->set_query(vector.data());
        const std::size_t n = graph.count(node), beside = std::min(heads.size(), heads_beside);
        links.resize(n);
        scorer->score(graph.row(node), n, links.data());
        std::nth_element(links.begin(), links.begin() + static_cast<std::ptrdiff_t>(n / 2),
                         links.end());
        scorer->score(last.data() + last.size() - beside, beside, distances.data());
        const auto end = distances.begin() + static_cast<std::ptrdiff_t>(beside);
        const auto nearest = std::min_element(distances.begin(), end);
        if (n > 0 && nearest != end && *nearest <= lengths * links[n / 2]) {
            const auto from_end = static_cast<std::size_t>(end - nearest);
            ++heads[heads.size() - from_end].near;
            continue;
        }
        heads.push_back({node, 1});
        last.push_back(node);
    }
    return heads;
}

void add_seeds(Graph& graph, const std::vector<Head>& heads, std::size_t most) {
    std::vector<Slot> seeds = graph.seeds.nodes;
    for (std::size_t i = 0; i < std::min(heads.size(), most); ++i) seeds.push_back(heads[i].node);
    std::sort(seeds.begin(), seeds.end());
    seeds.erase(std::unique(seeds.begin(), seeds.end()), seeds.end());
    graph.seeds = graph.make_seeds(std::move(seeds));
}

/// Adds entry points for nodes (ascending) that none leads near; false if there are as many as may
/// be.
bool add_entries(Graph& graph, const std::vector<Slot>& nodes, const Run& run) {
    const std::size_t held = graph.seeds.size();
    const std::size_t most = always_allowed + graph.size() / nodes_an_entry;
    if (held >= most) return false;
    add_seeds(graph, heads_of(graph, nodes, head_lengths, run), most - held);
    return true;
}

/// Adds entry points for those of the nodes (ascending) that most others are near.
void add_strays(Graph& graph, const std::vector<Slot>& nodes, const Run& run) {
    std::vector<Head> heads = heads_of(graph, nodes, stray_lengths, run);
    std::stable_sort(heads.begin(), heads.end(),
                     [](const Head& a, const Head& b) { return a.near > b.near; });
    add_seeds(graph, heads, std::clamp(graph.size() / nodes_a_stray, least_strays, most_strays));
}

bool many(std::size_t some, const std::vector<Slot>& nodes) {
    return some * many_one_in >= nodes.size();
}

struct Covered {
    std::size_t at_first;  // as many were out of reach
    bool astray;           // many still are, and entries hardly help
};

/// An entry changes the walks of others too: all are asked again until next to none is missed.
/// Where three rounds of entries leave more than seven of eight, walks go astray (README.md).
Covered cover_nodes(Graph& graph, const std::vector<Slot>& nodes, const Run& run) {
    const auto vector_of = [&](Slot node, float* scratch) -> const float* {
        graph.get(node, scratch);
        return scratch;
    };
    std::vector<std::size_t> counts;  // by round
    for (std::size_t round = 0; round < most_rounds; ++round) {
        const std::vector<Slot> left = missed(graph, nodes, vector_of, run);
        counts.push_back(left.size());
        if (round >= trial_rounds && 8 * left.size() > 7 * counts[round - trial_rounds]) {
            const bool astray = many(left.size(), nodes);
            if (astray) add_strays(graph, left, run);
            return {counts[0], astray};
        }
        if (left.empty() || !add_entries(graph, left, run) ||
            left.size() * few_one_in < nodes.size())
            break;
    }
    return {counts[0], false};
}

}  // namespace

bool go_astray(const Graph& graph, const VectorOf& vector_of, const Run& run) {
    const std::size_t step = std::max<std::size_t>(asked_one_in, graph.size() / most_asked);
    std::vector<Slot> nodes;
    for (std::size_t node = 0; node < graph.size(); node += step)
        nodes.push_back(static_cast<Slot>(node));
    return many(missed(graph, nodes, vector_of, run).size(), nodes);
}

bool cover(Graph& graph, const std::vector<std::uint8_t>& reached, const Run& run) {
    std::vector<Slot> nodes;
    for (Slot node = 0; node < graph.size(); ++node)
        if (node % asked_one_in == 0 || (!reached.empty() && !reached[node])) nodes.push_back(node);
    const Covered covered = cover_nodes(graph, nodes, run);
    if (covered.astray || covered.at_first * clusters_one_in < nodes.size()) return covered.astray;
    nodes.resize(graph.size());
    std::iota(nodes.begin(), nodes.end(), Slot{0});
    return cover_nodes(graph, nodes, run).astray;
}

void enter_at(Graph& graph, const std::vector<Slot>& nodes) {
    if (!nodes.empty()) add_entries(graph, nodes, Run());
}

}  // namespace nearfield
