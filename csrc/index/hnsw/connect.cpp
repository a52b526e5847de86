#include "index/hnsw/connect.h"

#include <optional>
#include <unordered_set>

#include "index/hnsw/beam.h"

namespace nearfield {
namespace {

constexpr std::size_t ef_connect = 64;
// Each round may cut off a few others by the links it replaces.
constexpr std::size_t most_rounds = 20;
// So many nodes that nothing led to are a region, which gets an entry point.
constexpr std::size_t region = 16;

/// Returns how many nodes are newly seen.
std::size_t spread(const Graph& graph, Slot start, Bitmap& seen, std::vector<Slot>& open,
                   const Run& run) {
    if (seen.test(start)) return 0;
    std::size_t n = 1;
    seen.set(start);
    open.push_back(start);
    while (!open.empty()) {
        const Slot node = open.back();
        open.pop_back();
        run.hear(n);
        const std::uint32_t* const links = graph.row(node);
        for (std::size_t i = 0; i < graph.degree && links[i] != kernels::no_link; ++i) {
            if (seen.test(links[i])) continue;
            seen.set(links[i]);
            open.push_back(links[i]);
            ++n;
        }
    }
    return n;
}

/// Which link of a node to give up for one to a node that nothing leads to.
class Spares {
  public:
    Spares(const Graph& graph, const Run& run) : graph_(graph), leads_(graph.size(), 0) {
        for (Slot node = 0; node < graph.size(); ++node) {
            run.hear(node);
            for (std::size_t i = 0; i < graph.count(node); ++i) ++leads_[graph.row(node)[i]];
        }
    }
    /// A free place, or the farthest link to a node that others link to as well; degree if none.
    std::size_t find(Slot from) const {
        const std::size_t count = graph_.count(from);
        if (count < graph_.degree) return count;
        for (std::size_t at = count; at-- > 0;) {
            const Slot to = graph_.row(from)[at];
            if (leads_[to] > 1 && !pinned_.contains(edge(from, to))) return at;
        }
        return graph_.degree;
    }
    void replace(Slot from, std::size_t at, Slot to) {
        if (const Slot old = graph_.row(from)[at]; old != no_slot) --leads_[old];
        ++leads_[to];
        pinned_.insert(edge(from, to));
    }

  private:
    static std::uint64_t edge(Slot from, Slot to) { return std::uint64_t{from} << 32 | to; }

    const Graph& graph_;
    std::vector<std::uint32_t> leads_;          // links that lead to each node
    std::unordered_set<std::uint64_t> pinned_;  // links made here, not to be given up again
};

}  // namespace

Bitmap reachable(const Graph& graph, const Run& run) {
    Bitmap seen(graph.size());
    std::vector<Slot> open;
    for (const Slot seed : graph.seeds.nodes) spread(graph, seed, seen, open, run);
    return seen;
}

void connect(Graph& graph, const Run& run) {
    Beam beam;
    std::vector<float> vector(graph.dim());
    std::optional<Spares> spares;
    for (std::size_t round = 0; round < most_rounds; ++round) {
        Bitmap seen = reachable(graph, run);
        std::vector<Slot> open, seeds = graph.seeds.nodes;
        bool complete = true;
        for (Slot node = 0; node < graph.size(); ++node) {
            if (!graph.live(node) || seen.test(node)) continue;
            complete = false;
            if (run.tick) run.tick(0, 1);
            if (!spares) spares.emplace(graph, run);
            graph.get(node, vector.data());
            walk_one(graph, beam, {ScalarCodes::Order::space, ef_connect}, vector.data());
            for (std::size_t i = 0; i < beam.size(); ++i) {
                const Slot from = beam.node(i);
                const std::size_t at = spares->find(from);
                if (at == graph.degree) continue;
                spares->replace(from, at, node);
                graph.row(from)[at] = node;
                graph.row(from)[graph.width + at] = graph.factors[node];
                break;
            }
            if (spread(graph, node, seen, open, run) >= region) seeds.push_back(node);
        }
        if (complete) return;
        if (seeds.size() > graph.seeds.size()) graph.seeds = graph.make_seeds(std::move(seeds));
    }
}

}  // namespace nearfield
