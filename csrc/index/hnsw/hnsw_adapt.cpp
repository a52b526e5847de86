#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "core/thread_pool.h"
#include "index/hnsw/connect.h"
#include "index/hnsw/hnsw_index.h"
#include "index/hnsw/hnsw_worker.h"
#include "index/hnsw/prune.h"

namespace nearfield {
namespace {

// Answers of a query to which its nearest gets links and they to it, and how many of such a node's
// links may be of this sort (README.md).
constexpr std::size_t answers = 32, most_wished = 8;
constexpr std::size_t queries_a_piece = 32;
constexpr std::size_t nodes_a_piece = 64;

/// A link that queries ask for, and how many do.
struct Wish {
    std::uint32_t votes;
    Slot node;
};

}  // namespace

std::vector<Slot> HnswIndex::answers_to(const MatrixView& queries, const Run& run) const {
    std::vector<Slot> found(queries.rows * answers, no_slot);
    const std::size_t dim = space_.dim();
    parallel_for(
        run, queries.rows, queries_a_piece, [&](std::size_t begin, std::size_t end, std::size_t) {
            auto worker = workers_.borrow(*this);
            worker->prepared.resize(beams_at_once * dim);
            std::array<const float*, beams_at_once> asked{};
            walk_many(
                graph_, worker->beams, {ScalarCodes::Order::metric, params_.ef_construction}, begin,
                end,
                [&](std::size_t i, std::size_t b) {
                    return asked[b] = space_.prepare(queries.row(i), &worker->prepared[b * dim]);
                },
                [](const Beam&) {},
                [&](std::size_t i, std::size_t b, const Beam& beam) {
                    worker->nodes.clear();
                    for (std::size_t j = 0; j < beam.size(); ++j)
                        if (graph_.live(beam.node(j))) worker->nodes.push_back(beam.node(j));
                    const std::size_t n = worker->nodes.size(), taken = std::min(answers, n);
                    worker->distances.resize(n);
                    worker->scorer->set_query(asked[b]);
                    worker->scorer->score(worker->nodes.data(), n, worker->distances.data());
                    worker->found.clear();
                    for (std::size_t j = 0; j < n; ++j)
                        worker->found.push_back({worker->distances[j], worker->nodes[j]});
                    std::partial_sort(worker->found.begin(),
                                      worker->found.begin() + static_cast<std::ptrdiff_t>(taken),
                                      worker->found.end());
                    for (std::size_t j = 0; j < taken; ++j)
                        found[i * answers + j] = worker->found[j].slot;
                });
        });
    return found;
}

/// Queries from elsewhere have neighbors that are not each other's: these get links from one to the
/// other in place of those that only fill a row (after RoarGraph: Chen et al., VLDB 2024).
void HnswIndex::adapt(const MatrixView& queries, const Run& run) {
    check_writable();
    space_.check("queries", queries, run);
    const auto lock = alone();
    if (!graph_.linked || queries.rows == 0) return;
    const std::vector<Slot> found = answers_to(queries, run);
    changed();
    std::vector<std::pair<Slot, Slot>> wishes;
    for (std::size_t q = 0; q < queries.rows; ++q) {
        const Slot* const own = &found[q * answers];
        for (std::size_t j = 1; j < answers && own[j] != no_slot; ++j) {
            wishes.emplace_back(own[0], own[j]);
            wishes.emplace_back(own[j], own[0]);
        }
    }
    std::sort(wishes.begin(), wishes.end());
    std::vector<std::size_t> first;
    for (std::size_t w = 0; w < wishes.size(); ++w)
        if (w == 0 || wishes[w].first != wishes[w - 1].first) first.push_back(w);
    first.push_back(wishes.size());
    const Run quiet{run.threads, nullptr};
    parallel_for(quiet, first.size() - 1, nodes_a_piece,
                 [&](std::size_t begin, std::size_t end, std::size_t) {
                     VectorPruner pruner(graph_);
                     std::vector<Slot> targets;
                     for (std::size_t f = begin; f < end; ++f) {
                         targets.clear();
                         for (std::size_t w = first[f]; w < first[f + 1]; ++w)
                             targets.push_back(wishes[w].second);
                         grant(wishes[first[f]].first, targets, pruner);
                     }
                 });
    connect(graph_);
}

/// Gives a node the links that most of `targets` (ascending, repeated) ask for.
void HnswIndex::grant(Slot node, const std::vector<Slot>& targets, VectorPruner& pruner) {
    std::vector<Slot> row(graph_.row(node), graph_.row(node) + graph_.count(node)), links = row;
    std::vector<Wish> wishes;
    for (const Slot to : targets) {
        if (!wishes.empty() && wishes.back().node == to)
            ++wishes.back().votes;
        else if (std::find(row.begin(), row.end(), to) == row.end())
            wishes.push_back({1, to});
    }
    std::erase_if(wishes, [&](const Wish& wish) {
        return std::find(row.begin(), row.end(), wish.node) != row.end();
    });
    const Chosen& chosen = pruner.run(node, row);
    const std::size_t kept = std::min(chosen.kept, graph_.degree);
    const std::size_t n = std::min({wishes.size(), most_wished, graph_.degree - kept});
    std::partial_sort(wishes.begin(), wishes.begin() + static_cast<std::ptrdiff_t>(n), wishes.end(),
                      [](const Wish& a, const Wish& b) {
                          return a.votes != b.votes ? a.votes > b.votes : a.node < b.node;
                      });
    links = chosen.links;
    links.resize(std::min(links.size(), graph_.degree - n));
    for (std::size_t i = 0; i < n; ++i) links.push_back(wishes[i].node);
    graph_.set_links(node, links.data(), links.size());
}

}  // namespace nearfield
