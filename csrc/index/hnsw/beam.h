// Best-first search on estimated distances, several at once: while one waits for memory the others
// compute.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "index/hnsw/graph.h"

namespace nearfield {

struct Walk {
    ScalarCodes::Order order;
    std::size_t ef;
    /// The walk ends once ef / 2 nodes in a row have brought nothing nearer than the k-th; 0: it
    /// goes on until every candidate is expanded.
    std::size_t k = 0;
};

/// A query made ready.
struct Asked {
    const float* vector;           // as Space::prepare gives it
    kernels::EstimateQuery terms;  // where codes are walked on
    const float* starts;           // its distances to the seeds
};

/// One search under way (Algorithm 2 of Malkov & Yashunin, arXiv:1603.09320, on a linear pool). All
/// its memory is kept for the next search. One beam serves one thread.
class Beam {
  public:
    /// Nodes expanded at a time at first: more hide latency where no other beam is under way, but
    /// go astray.
    static constexpr std::size_t heads_alone = 3, heads_among = 1;

    /// Begins at the seeds with a vector as Space::prepare gives it.
    void start(const Graph& graph, const float* vector, const Walk& walk) {
        graph.prepare(vector, walk.order, query_);
        start(graph, walk);
    }
    /// As above with what was made ready before, all of which must outlive the walk.
    void start(const Graph& graph, const Asked& asked, const Walk& walk) {
        if (graph.walks_rows)
            graph.prepare(asked.vector, walk.order, query_);
        else
            query_.codes.terms = asked.terms;
        start(graph, walk, asked.starts);
    }
    /// Picks the next nodes to expand, `heads` or more, and starts fetching their links, and those
    /// of as many more as `ahead`; false at the end of the search.
    bool choose(const Graph& graph, std::size_t heads, std::size_t ahead = 0);
    /// Collects the unseen neighbors of the chosen nodes and starts fetching their codes.
    void gather(const Graph& graph);
    /// Estimates their distances and lets them into the pool.
    void score(const Graph& graph);
    /// Clears what marks the visited nodes. The pool stays until the next start.
    void finish();

    /// Nodes found, nearest first by estimate.
    std::size_t size() const { return size_; }
    Slot node(std::size_t i) const { return pool_nodes_[i] >> 1; }
    float distance(std::size_t i) const { return pool_distances_[i]; }
    /// Whether a search for the node's own vector, just ended, came to it or at least as near as a
    /// quarter of its links lead.
    bool reached(const Graph& graph, Slot node);
    /// Every node expanded, in order.
    const std::vector<Slot>& expanded() const { return expanded_; }
    /// What was asked, made ready; while that lasts.
    const Graph::Query& query() const { return query_; }
    std::size_t hops() const { return expanded_.size(); }
    std::size_t distances() const { return scored_; }

  private:
    /// Once the nearest places hold expanded nodes alone, those that follow will hardly be pushed
    /// out before their turn: one more is expanded at a time for so many of them.
    static constexpr std::size_t max_heads = 8, places_a_head = 3;

    void start(const Graph& graph, const Walk& walk, const float* starts = nullptr);
    /// Lets the first n seeds into the first `room` places of the pool, by `distances` where they
    /// are known.
    void scan(const Graph& graph, const Seeds& seeds, std::size_t n, std::size_t room,
              const float* distances = nullptr);
    void fit(const Graph& graph, std::size_t ef);
    kernels::Pool pool() { return {pool_distances_.data(), pool_nodes_.data()}; }
    /// Whether the node was not visited before.
    bool mark(Slot node) {
        const std::uint64_t bit = std::uint64_t{1} << (node % 64), before = visited_[node / 64];
        visited_[node / 64] = before | bit;
        return !(before & bit);
    }

    Graph::Query query_;
    std::vector<float> pool_distances_;
    std::vector<std::uint32_t> pool_nodes_;  // twice the node, plus one once expanded
    std::size_t size_ = 0, capacity_ = 0, cursor_ = 0;
    std::array<Slot, max_heads> heads_{};
    std::size_t n_heads_ = 0;
    std::vector<std::uint64_t> visited_;  // a bit a node, all zero between searches
    std::vector<Slot> log_;               // visited nodes in order; the last of them are the batch
    std::size_t logged_ = 0, batch_ = 0;
    std::vector<std::uint32_t> factors_;
    std::vector<float> distances_;
    std::vector<Slot> expanded_;
    std::size_t scored_ = 0;
    std::size_t k_ = 0, idle_ = 0;  // nodes expanded since one of the k nearest changed
};

inline constexpr std::size_t beams_at_once = 4;
using Beams = std::array<Beam, beams_at_once>;

/// Searches for vector(i, b), what a beam starts with, i in [begin, end), `beams_at_once` at a
/// time. As each ends, calls fetch(beam), which may start fetching what done(i, b, beam) needs; the
/// others go on in between.
template <class Vector, class Fetch, class Done>
void walk_many(const Graph& graph, Beams& beams, const Walk& walk, std::size_t begin,
               std::size_t end, Vector&& vector, Fetch&& fetch, Done&& done) {
    enum class Phase { idle, walking, ended };
    std::array<std::size_t, beams_at_once> item{};
    std::array<Phase, beams_at_once> phase{};
    std::size_t next = begin, running = 0;
    const auto take = [&](std::size_t b) {
        phase[b] = Phase::idle;
        if (next == end) return;
        phase[b] = Phase::walking;
        item[b] = next++;
        beams[b].start(graph, vector(item[b], b), walk);
        beams[b].choose(graph, Beam::heads_among);
        ++running;
    };
    for (std::size_t b = 0; b < beams_at_once; ++b) take(b);
    while (running > 0) {
        for (std::size_t b = 0; b < beams_at_once; ++b)
            if (phase[b] == Phase::walking) beams[b].gather(graph);
        for (std::size_t b = 0; b < beams_at_once; ++b) {
            if (phase[b] == Phase::walking) {
                beams[b].score(graph);
                if (beams[b].choose(graph, Beam::heads_among)) continue;
                beams[b].finish();
                fetch(beams[b]);
                phase[b] = Phase::ended;
            } else if (phase[b] == Phase::ended) {
                done(item[b], b, beams[b]);
                --running;
                take(b);
            }
        }
    }
}

/// Searches for one vector alone; several heads and a look ahead stand in for the other beams.
inline void walk_one(const Graph& graph, Beam& beam, const Walk& walk, const float* vector) {
    beam.start(graph, vector, walk);
    while (beam.choose(graph, Beam::heads_alone, 2)) {
        beam.gather(graph);
        beam.score(graph);
    }
    beam.finish();
}

}  // namespace nearfield
