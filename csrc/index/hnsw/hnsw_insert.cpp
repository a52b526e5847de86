#include <algorithm>
#include <cstring>

#include "core/error.h"
#include "core/reserve.h"
#include "core/thread_pool.h"
#include "index/hnsw/bulk_build.h"
#include "index/hnsw/close_links.h"
#include "index/hnsw/connect.h"
#include "index/hnsw/entries.h"
#include "index/hnsw/hnsw_index.h"
#include "index/hnsw/hnsw_worker.h"
#include "index/hnsw/link_offer.h"
#include "index/hnsw/prune.h"

namespace nearfield {
namespace {

// Nodes that search one and the same frozen graph and are then linked together.
constexpr std::size_t nodes_a_batch = 256;
// Neighbors a node may take from its own batch, which it cannot find by searching.
constexpr std::size_t mates = 16;
constexpr std::size_t searches_a_piece = 8;
// New links for a node that are decided on one by one.
constexpr std::size_t most_offers = 2;
// A vector whose squared distance to the nearest is as many times that of the nearest's own links
// may be the first of a new cluster, which searches have to reach.
constexpr float outlying = 4;
// Below this a graph that has doubled is built anew: centre, seeds and order follow the data.
constexpr std::size_t always_rebuild_below = 20'000;

/// What one thread keeps while it inserts.
struct Inserter {
    Inserter(const Graph& graph, const kernels::MetricInfo& metric)
        : pruner(graph), scorer(graph.scorer(metric)), vectors(beams_at_once * graph.dim()) {}

    /// Whether `vector` lies outside all that a search for it found.
    bool outside(const Graph& graph, const Beam& beam, const float* vector);

    VectorPruner pruner;
    std::unique_ptr<Scorer> scorer;
    /// To `nodes`, those closest to `vector` where close is not near.
    void add_close(const Graph& graph, const float* vector) {
        walk_one(graph, close, {ScalarCodes::Order::metric, ef_close}, vector);
        for (std::size_t i = 0; i < close.size(); ++i)
            if (graph.live(close.node(i))) nodes.push_back(close.node(i));
    }

    /// To `nodes`, the nearest of the batch that number i of it belongs to.
    void add_mates(const std::vector<Slot>& batch, std::size_t i, const float* vector);

    Beams beams;
    Beam close;
    std::vector<float> vectors, nearest, distances;
    std::vector<Slot> nodes;
    std::vector<Neighbor> near;
};

bool Inserter::outside(const Graph& graph, const Beam& beam, const float* vector) {
    if (beam.size() == 0) return true;
    const Slot node = beam.node(0);
    const std::size_t n = graph.count(node);
    if (n == 0) return false;
    nearest.resize(graph.dim());
    distances.resize(n);
    float distance = 0;
    scorer->set_query(vector);
    scorer->score(&node, 1, &distance);
    graph.get(node, nearest.data());
    scorer->set_query(nearest.data());
    scorer->score(graph.row(node), n, distances.data());
    const auto middle = distances.begin() + static_cast<std::ptrdiff_t>(n / 2);
    std::nth_element(distances.begin(), middle, distances.end());
    return distance > outlying * *middle;
}

void Inserter::add_mates(const std::vector<Slot>& batch, std::size_t i, const float* vector) {
    const std::size_t n = batch.size();
    scorer->set_query(vector);
    distances.resize(n);
    scorer->score(batch.data(), n, distances.data());
    near.clear();
    for (std::size_t j = 0; j < n; ++j)
        if (j != i) near.push_back({distances[j], batch[j]});
    const auto end = near.begin() + static_cast<std::ptrdiff_t>(std::min(mates, near.size()));
    std::partial_sort(near.begin(), end, near.end());
    for (auto mate = near.begin(); mate != end; ++mate) nodes.push_back(mate->slot);
}

bool links_to(const Graph& graph, Slot from, Slot to) {
    const std::uint32_t* const links = graph.row(from);
    return std::find(links, links + graph.degree, to) != links + graph.degree;
}

}  // namespace

void HnswIndex::reserve_slots(std::size_t slots) {
    if (slots > node_of_.size()) node_of_.resize(slots, no_slot);
}

void HnswIndex::add_rows(const MatrixView& rows, const Slot* slots, const Run& run) {
    changed();
    const std::size_t held = live_nodes(), total = held + rows.rows;
    const bool grown = total < always_rebuild_below && total >= 2 * built_;
    if (!graph_.linked && total < graph_from)
        append(rows, slots);
    else if (graph_.coded)  // there is nothing to build anew from
        insert(rows, slots, run);
    else if (!graph_.linked || rows.rows >= held / 2 || grown)
        rebuild(rows, slots, run);
    else
        insert(rows, slots, run);
    if (!params_.keeps_vectors && !graph_.coded && live_nodes() >= Graph::coded_from)
        graph_.drop_vectors();
}

void HnswIndex::changed() {
    workers_.clear();
    ++changes_;
}

void HnswIndex::rebuild(const MatrixView& rows, const Slot* slots, const Run& run) {
    std::vector<Slot> held;  // nodes, in the order of their slots
    for (const Slot node : node_of_)
        if (node != no_slot) held.push_back(node);
    const Source source = [&](std::size_t i, float* scratch) -> const float* {
        if (i >= held.size()) return space_.prepare(rows.row(i - held.size()), scratch);
        graph_.get(held[i], scratch);
        return scratch;
    };
    HnswParams params = params_;
    if (params.fits_bits) params.bits = HnswParams().bits;
    Graph fresh(space_, params);
    const std::size_t total = held.size() + rows.rows;
    const std::vector<Slot> order = BulkBuild(fresh, space_, params, run).run(total, source);
    for (Slot node = 0; node < total; ++node) {
        const std::size_t i = order[node];
        fresh.slots[node] = i < held.size() ? graph_.slots[held[i]] : slots[i - held.size()];
    }
    params_.bits = fresh.bits();
    graph_ = std::move(fresh);
    for (Slot node = 0; node < total; ++node) node_of_[graph_.slots[node]] = node;
    built_ = total;
    unconnected_ = 0;
}

std::vector<Slot> HnswIndex::take_nodes(std::size_t n) {
    const std::size_t reused = std::min(n, graph_.unused.size()), old = graph_.size();
    std::vector<Slot> nodes(graph_.unused.end() - static_cast<std::ptrdiff_t>(reused),
                            graph_.unused.end());
    nodes.resize(n);
    for (std::size_t i = reused; i < n; ++i) nodes[i] = static_cast<Slot>(old + i - reused);
    reserve_more(graph_.unused, n);  // for give_back
    graph_.resize(old + n - reused);
    graph_.unused.resize(graph_.unused.size() - reused);
    return nodes;
}

void HnswIndex::give_back(const std::vector<Slot>& nodes, std::size_t led_to) {
    for (const Slot node : nodes) graph_.slots[node] = no_slot;
    graph_.dead += led_to;
    for (std::size_t i = led_to; i < nodes.size(); ++i) {
        if (graph_.linked) graph_.set_links(nodes[i], nullptr, 0);
        graph_.unused.push_back(nodes[i]);
    }
    // Some may have taken the places of links that were the only way to a node.
    if (led_to > 0) unconnected_ = graph_.size();
}

void HnswIndex::append(const MatrixView& rows, const Slot* slots) {
    std::vector<float> prepared(space_.dim());
    const std::vector<Slot> nodes = take_nodes(rows.rows);
    ScalarCodes::Scratch scratch;
    for (std::size_t i = 0; i < rows.rows; ++i) {
        graph_.put(nodes[i], space_.prepare(rows.row(i), prepared.data()), scratch);
        graph_.slots[nodes[i]] = slots[i];
        node_of_[slots[i]] = nodes[i];
    }
}

void HnswIndex::insert(const MatrixView& rows, const Slot* slots, const Run& run) {
    const std::vector<Slot> nodes = take_nodes(rows.rows);
    // Small enough that what a batch cannot see of itself does not matter.
    const std::size_t batch = std::clamp(live_nodes() / 16, std::size_t{1}, nodes_a_batch);
    std::size_t end = 0;  // of the nodes that links may lead to
    try {
        for (std::size_t begin = 0; begin < rows.rows; begin = end) {
            end = std::min(rows.rows, begin + batch);
            const auto first = nodes.begin() + static_cast<std::ptrdiff_t>(begin);
            for (std::size_t i = begin; i < end; ++i) graph_.slots[nodes[i]] = slots[i];
            insert_batch(rows.slice(begin, end),
                         {first, first + static_cast<std::ptrdiff_t>(end - begin)}, run);
            if (run.tick) run.tick(end, rows.rows);
        }
        if ((unconnected_ + rows.rows) * 16 >= graph_.size()) {
            connect(graph_);
            unconnected_ = 0;
        } else {
            unconnected_ += rows.rows;
        }
    } catch (...) {
        give_back(nodes, end);
        throw;
    }
    for (std::size_t i = 0; i < rows.rows; ++i) node_of_[slots[i]] = nodes[i];
}

void HnswIndex::insert_batch(const MatrixView& rows, const std::vector<Slot>& nodes,
                             const Run& run) {
    const std::size_t n = nodes.size(), dim = space_.dim();
    const Run quiet{run.threads, nullptr};
    const auto threads = static_cast<std::size_t>(resolve_threads(run.threads));
    std::vector<std::unique_ptr<Inserter>> inserters(threads);
    const auto inserter = [&](std::size_t worker) -> Inserter& {
        if (!inserters[worker])
            inserters[worker] = std::make_unique<Inserter>(graph_, space_.geometry());
        return *inserters[worker];
    };

    parallel_for(quiet, n, 32, [&](std::size_t begin, std::size_t end, std::size_t) {
        std::vector<float> prepared(dim);
        ScalarCodes::Scratch scratch;
        for (std::size_t i = begin; i < end; ++i)
            graph_.put(nodes[i], space_.prepare(rows.row(i), prepared.data()), scratch);
    });

    // Each searches the graph as it was and chooses its links.
    std::vector<Chosen> chosen(n);
    std::vector<std::uint8_t> outside(n);
    const Walk walk{ScalarCodes::Order::space, params_.ef_construction};
    const auto choose = [&](Inserter& own, std::size_t i, const Beam& beam, const float* vector) {
        own.nodes.clear();
        for (const Slot node : beam.expanded())
            if (graph_.live(node)) own.nodes.push_back(node);
        outside[i] = own.outside(graph_, beam, vector);
        if (graph_.metric != graph_.geometry) own.add_close(graph_, vector);
        own.add_mates(nodes, i, vector);
        chosen[i] = own.pruner.run(nodes[i], own.nodes);
    };
    if (n == 1) {
        Inserter& own = inserter(0);
        graph_.get(nodes[0], own.vectors.data());
        walk_one(graph_, own.beams[0], walk, own.vectors.data());
        choose(own, 0, own.beams[0], own.vectors.data());
    } else {
        parallel_for(run, n, searches_a_piece,
                     [&](std::size_t begin, std::size_t end, std::size_t w) {
                         Inserter& own = inserter(w);
                         walk_many(
                             graph_, own.beams, walk, begin, end,
                             [&](std::size_t i, std::size_t b) {
                                 float* const out = &own.vectors[b * dim];
                                 graph_.get(nodes[i], out);
                                 return static_cast<const float*>(out);
                             },
                             [](const Beam&) {},
                             [&](std::size_t i, std::size_t b, const Beam& beam) {
                                 choose(own, i, beam, &own.vectors[b * dim]);
                             });
                     });
    }

    // Links both ways, each node's row by one thread.
    std::vector<std::pair<Slot, Slot>> reverse;
    for (std::size_t i = 0; i < n; ++i) {
        graph_.set_links(nodes[i], chosen[i].links.data(), chosen[i].links.size());
        for (const Slot to : chosen[i].links) reverse.emplace_back(to, nodes[i]);
    }
    link_back(reverse, quiet);

    // Whoever all its neighbors dropped again takes the place of the nearest one's farthest link.
    for (std::size_t i = 0; i < n; ++i) {
        const auto& links = chosen[i].links;
        if (links.empty() || std::any_of(links.begin(), links.end(), [&](Slot node) {
                return links_to(graph_, node, nodes[i]);
            }))
            continue;
        const std::size_t at = std::min(graph_.count(links[0]), graph_.degree - 1);
        graph_.row(links[0])[at] = nodes[i];
        graph_.row(links[0])[graph_.width + at] = graph_.factors[nodes[i]];
    }
    std::vector<Slot> outliers;
    for (std::size_t i = 0; i < n; ++i)
        if (outside[i]) outliers.push_back(nodes[i]);
    enter_at(graph_, outliers);
}

void HnswIndex::link_back(std::vector<std::pair<Slot, Slot>>& pairs, const Run& run) {
    std::sort(pairs.begin(), pairs.end());
    std::vector<std::size_t> first;
    for (std::size_t e = 0; e < pairs.size(); ++e)
        if (e == 0 || pairs[e].first != pairs[e - 1].first) first.push_back(e);
    first.push_back(pairs.size());
    const bool offers = graph_.metric == graph_.geometry;
    parallel_for(run, first.size() - 1, 64, [&](std::size_t begin, std::size_t end, std::size_t) {
        VectorPruner pruner(graph_);
        LinkOffer offer(graph_);
        std::vector<Slot> nodes;
        for (std::size_t t = begin; t < end; ++t) {
            const Slot target = pairs[first[t]].first;
            if (offers && first[t + 1] - first[t] <= most_offers) {
                for (std::size_t e = first[t]; e < first[t + 1]; ++e)
                    offer.run(graph_, target, pairs[e].second);
                continue;
            }
            const std::uint32_t* const links = graph_.row(target);
            nodes.assign(links, links + graph_.count(target));
            std::erase_if(nodes, [&](Slot node) { return !graph_.live(node); });
            for (std::size_t e = first[t]; e < first[t + 1]; ++e) nodes.push_back(pairs[e].second);
            const Chosen& kept = pruner.run(target, nodes);
            graph_.set_links(target, kept.links.data(), kept.links.size());
        }
    });
}

void HnswIndex::update_rows(const MatrixView& rows, const Slot* slots, const Run& run) {
    changed();
    // All or nothing: no interrupt is heard once the first row has changed.
    const Run quiet{run.threads, nullptr};
    std::vector<Slot> old(rows.rows);
    for (std::size_t i = 0; i < rows.rows; ++i) old[i] = node_of_[slots[i]];
    if (!graph_.linked) {
        std::vector<float> prepared(space_.dim());
        ScalarCodes::Scratch scratch;
        for (std::size_t i = 0; i < rows.rows; ++i)
            graph_.put(old[i], space_.prepare(rows.row(i), prepared.data()), scratch);
        return;
    }
    insert(rows, slots, quiet);
    for (const Slot node : old) graph_.slots[node] = no_slot;
    graph_.dead += old.size();
    mend_in_time(quiet);
}

}  // namespace nearfield
