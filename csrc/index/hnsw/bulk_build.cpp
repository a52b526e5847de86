#include "index/hnsw/bulk_build.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "core/random.h"
#include "core/thread_pool.h"
#include "index/hnsw/beam.h"
#include "index/hnsw/connect.h"
#include "index/hnsw/neighbors.h"

namespace nearfield {
namespace {

constexpr std::size_t train_rows = 4096;
constexpr std::size_t rows_a_piece = 512;
constexpr std::size_t searches_a_piece = 128;
constexpr std::size_t leaf = 512;
constexpr std::size_t probes = 12;
// 32, 64 and 128 seeds reach the same recall; scanning them is what they cost (README.md).
constexpr std::size_t most_seeds = 32;
constexpr std::size_t sample_a_seed = 256;
constexpr std::size_t noise_nodes = 256;

}  // namespace

void LinkTable::put(std::size_t node, const Chosen& chosen) {
    std::copy(chosen.links.begin(), chosen.links.end(), &links[node * degree]);
    kept[node] = static_cast<std::uint16_t>(chosen.kept);
    filled[node] = static_cast<std::uint16_t>(chosen.links.size());
}

BulkBuild::BulkBuild(Graph& graph, const Space& space, const HnswParams& params, const Run& run)
    : graph_(graph),
      space_(space),
      params_(params),
      rule_(prune_rule(graph)),
      run_(run) {}

Run BulkBuild::stage(double from, double to) const {
    if (!run_.tick) return run_;
    constexpr std::size_t whole = 1000;
    // A stage may hold several loops; what was reported never shrinks.
    return {run_.threads, [this, from, to](std::size_t done, std::size_t total) {
                const double share =
                    from + (to - from) * static_cast<double>(done) / static_cast<double>(total);
                reported_ = std::max(reported_,
                                     static_cast<std::size_t>(share * static_cast<double>(whole)));
                run_.tick(reported_, whole);
            }};
}

std::vector<Slot> BulkBuild::run(std::size_t n, const Source& source) {
    train(n, source);
    quantize(n, source);
    const Partition cut = partition(*rows_, leaf, probes, params_.seed, stage(0.05, 0.15));
    rows_->reorder(cut.order);
    store(source, cut.order);
    choose_seeds();
    const LinkTable near = merge_reverse(link_neighbors(cut), stage(0.45, 0.5));
    write(merge_reverse(refine(near), stage(0.9, 1)));
    connect(graph_);
    measure_noise();
    graph_.linked = true;
    return cut.order;
}

void BulkBuild::train(std::size_t n, const Source& source) {
    const std::size_t dim = space_.dim(), taken = std::min(n, train_rows);
    std::vector<float> sample(taken * dim);
    for (std::size_t i = 0; i < taken; ++i) {
        const float* row = source(i * n / taken, &sample[i * dim]);
        if (row != &sample[i * dim]) std::copy_n(row, dim, &sample[i * dim]);
    }
    graph_.codes.train({sample.data(), taken, dim}, run_);
    const std::size_t rotated_dim = graph_.codes.rotated_dim();
    std::vector<float> rotated(taken * rotated_dim);
    for (std::size_t i = 0; i < taken; ++i)
        graph_.codes.rotate(&sample[i * dim], &rotated[i * rotated_dim]);
    rows_ = std::make_unique<IntRows>(graph_.codes, rotated);
}

void BulkBuild::quantize(std::size_t n, const Source& source) {
    rows_->resize(n);
    parallel_for(stage(0, 0.05), n, rows_a_piece,
                 [&](std::size_t begin, std::size_t end, std::size_t) {
                     std::vector<float> vector(space_.dim()), rotated(graph_.codes.rotated_dim());
                     for (std::size_t i = begin; i < end; ++i) {
                         graph_.codes.rotate(source(i, vector.data()), rotated.data());
                         rows_->put(i, rotated.data());
                     }
                 });
}

void BulkBuild::store(const Source& source, const std::vector<Slot>& order) {
    graph_.resize(order.size());
    std::iota(graph_.slots.begin(), graph_.slots.end(), Slot{0});  // live; the caller names them
    parallel_for(stage(0.15, 0.2), order.size(), rows_a_piece,
                 [&](std::size_t begin, std::size_t end, std::size_t) {
                     std::vector<float> vector(space_.dim());
                     ScalarCodes::Scratch scratch;
                     for (std::size_t node = begin; node < end; ++node)
                         graph_.put(static_cast<Slot>(node), source(order[node], vector.data()),
                                    scratch);
                 });
}

void BulkBuild::choose_seeds() {
    const std::size_t n = std::min(most_seeds, graph_.size() / 8 + 1);
    const Centroids centroids(*rows_, n, n * sample_a_seed, params_.seed + 1, stage(0.2, 0.22));
    // Where closeness is not nearness, long vectors are near everything.
    const bool longest = &space_.geometry() != &space_.metric();
    graph_.set_seeds(centroids.medoids(*rows_, longest, stage(0.22, 0.23)));
}

LinkTable BulkBuild::link_neighbors(const Partition& cut) {
    LinkTable table(graph_.size(), graph_.degree);
    const NearRows near(*rows_, cut);
    parallel_for(stage(0.23, 0.45), cut.clusters(), 1,
                 [&](std::size_t begin, std::size_t end, std::size_t) {
                     TilePruner pruner(*rows_, rule_);
                     std::vector<Slot> nodes;
                     for (std::size_t c = begin; c < end; ++c)
                         near.for_each(c, [&](Slot node, const std::vector<Neighbor>& found) {
                             nodes.clear();
                             for (const Neighbor& neighbor : found)
                                 nodes.push_back(neighbor.slot);
                             table.put(node, pruner.run(node, nodes));
                         });
                 });
    return table;
}

LinkTable BulkBuild::merge_reverse(const LinkTable& table, const Run& run) {
    const std::size_t n = graph_.size();
    std::vector<std::size_t> first(n + 1, 0);
    for (std::size_t node = 0; node < n; ++node)
        for (std::size_t i = 0; i < table.kept[node]; ++i) ++first[table.row(node)[i] + 1];
    std::partial_sum(first.begin(), first.end(), first.begin());
    std::vector<Slot> sources(first.back());
    std::vector<std::size_t> place(first.begin(), first.end() - 1);
    for (std::size_t node = 0; node < n; ++node)
        for (std::size_t i = 0; i < table.kept[node]; ++i)
            sources[place[table.row(node)[i]]++] = static_cast<Slot>(node);

    LinkTable merged(n, table.degree);
    parallel_for(run, n, rows_a_piece,
                 [&](std::size_t begin, std::size_t end, std::size_t) {
                     TilePruner pruner(*rows_, rule_);
                     std::vector<Slot> nodes;
                     for (std::size_t node = begin; node < end; ++node) {
                         const Slot* const own = table.row(node);
                         nodes.assign(own, own + table.filled[node]);
                         nodes.insert(nodes.end(),
                                      sources.begin() + static_cast<std::ptrdiff_t>(first[node]),
                                      sources.begin() +
                                          static_cast<std::ptrdiff_t>(first[node + 1]));
                         merged.put(node, pruner.run(static_cast<Slot>(node), nodes));
                     }
                 });
    return merged;
}

LinkTable BulkBuild::refine(const LinkTable& table) {
    write(table);
    // Half of what one insertion searches: the graph to start from is already a good one.
    const std::size_t ef = std::max<std::size_t>(32, params_.ef_construction / 2);
    LinkTable refined(graph_.size(), graph_.degree);
    const std::size_t dim = space_.dim();
    std::vector<std::unique_ptr<Beams>> beams(
        static_cast<std::size_t>(resolve_threads(run_.threads)));
    parallel_for(stage(0.5, 0.9), graph_.size(), searches_a_piece,
                 [&](std::size_t begin, std::size_t end, std::size_t worker) {
                     if (!beams[worker]) beams[worker] = std::make_unique<Beams>();
                     TilePruner pruner(*rows_, rule_);
                     std::vector<float> vectors(beams_at_once * dim);
                     std::vector<Slot> nodes;
                     walk_many(
                         graph_, *beams[worker], {ScalarCodes::Order::space, ef}, begin, end,
                         [&](std::size_t node, std::size_t b) {
                             graph_.vectors.get(static_cast<Slot>(node), &vectors[b * dim]);
                             return &vectors[b * dim];
                         },
                         [](const Beam&) {},
                         [&](std::size_t node, std::size_t, const Beam& beam) {
                             nodes = beam.expanded();
                             const Slot* const own = table.row(node);
                             nodes.insert(nodes.end(), own, own + table.filled[node]);
                             refined.put(node, pruner.run(static_cast<Slot>(node), nodes));
                         });
                 });
    return refined;
}

/// How far estimates of the distances between neighbors are off, each node's common error aside.
void BulkBuild::measure_noise() {
    if (graph_.walks_rows) graph_.noise = 0;  // they are the distances
    if (graph_.walks_rows || !graph_.codes.spatial()) return;
    const std::size_t dim = space_.dim(), nodes = std::min(graph_.size(), noise_nodes);
    std::vector<float> vector(dim), other(dim), estimates(graph_.width + 16);
    ScalarCodes::Query query;
    double squares = 0, count = 0;
    for (std::size_t i = 0; i < nodes; ++i) {
        const auto node = static_cast<Slot>(i * graph_.size() / nodes);
        const std::size_t n = graph_.count(node);
        if (n < 2) continue;
        graph_.vectors.get(node, vector.data());
        graph_.codes.prepare(vector.data(), ScalarCodes::Order::space, query);
        graph_.codes.estimate(query, graph_.code_rows.as<std::uint8_t>(), graph_.row(node),
                              graph_.row(node) + graph_.width, n, estimates.data());
        double sum = 0, own = 0;
        for (std::size_t j = 0; j < n; ++j) {
            graph_.vectors.get(graph_.row(node)[j], other.data());
            double distance = 0;
            for (std::size_t d = 0; d < dim; ++d) {
                const double off = static_cast<double>(vector[d]) - other[d];
                distance += off * off;
            }
            const double error = estimates[j] - distance * graph_.codes.distance_scale();
            sum += error;
            own += error * error;
        }
        squares += own - sum * sum / static_cast<double>(n);
        count += static_cast<double>(n - 1);
    }
    if (count > 0) graph_.noise = static_cast<float>(std::sqrt(std::max(squares, 0.0) / count));
}

void BulkBuild::write(const LinkTable& table) {
    parallel_for(Run{run_.threads, nullptr}, graph_.size(), 4096,
                 [&](std::size_t begin, std::size_t end, std::size_t) {
                     for (std::size_t node = begin; node < end; ++node)
                         graph_.set_links(static_cast<Slot>(node), table.row(node),
                                          table.filled[node]);
                 });
}

}  // namespace nearfield
