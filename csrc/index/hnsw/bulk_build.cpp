#include "index/hnsw/bulk_build.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "core/random.h"
#include "core/thread_pool.h"
#include "index/hnsw/beam.h"
#include "index/hnsw/close_links.h"
#include "index/hnsw/connect.h"
#include "index/hnsw/entries.h"
#include "index/hnsw/local_share.h"
#include "index/hnsw/neighbors.h"

namespace nearfield {
namespace {

constexpr std::size_t train_rows = 4096;
constexpr std::size_t rows_a_piece = 512;
constexpr std::size_t searches_a_piece = 128;
constexpr std::size_t leaf = 512;
// Vectors are compared with those of so many clusters: what an insertion would search, in effect.
constexpr std::size_t ef_a_probe = 8, least_probes = 4, most_probes = 64;
// Neighbors that links are first chosen from.
constexpr std::size_t least_near = 64, more_than_links = 32;
// A quarter of what one insertion searches: the graph to start from is already a good one, and half
// reaches no better recall for the distances it takes (README.md). Quick builds do without.
constexpr std::size_t refining_share = 4, least_refining = 32, least_refined = 100;
// 32, 64 and 128 seeds reach the same recall; scanning them is what they cost (README.md).
constexpr std::size_t most_seeds = 32;
constexpr std::size_t sample_a_seed = 256;
constexpr std::size_t noise_nodes = 256;
// Some nodes that every node may link to across regions: without them walks end where none of the
// nearest few dozen nodes leads on (README.md).
constexpr std::size_t nodes_a_landmark = 192, least_landmarks = 512, most_landmarks = 8192;
constexpr std::size_t landmarks_a_node = 32;
constexpr std::size_t most_wide_seeds = 4096;
// Reverse links are listed for a quarter of the nodes at a time.
constexpr std::size_t merge_blocks = 4;

/// Nodes all over: they lie in the order of where they are.
std::vector<Slot> landmarks(std::size_t n) {
    const std::size_t wanted = std::min(n / nodes_a_landmark, most_landmarks);
    std::vector<Slot> nodes(wanted < least_landmarks ? 0 : wanted);
    for (std::size_t i = 0; i < nodes.size(); ++i)
        nodes[i] = static_cast<Slot>((2 * i + 1) * n / (2 * nodes.size()));
    return nodes;
}

/// Nodes for wide searches to begin at: any first few of them lie all over.
std::vector<Slot> all_over(std::size_t n) {
    constexpr std::uint64_t golden = 0x9E3779B97F4A7C15;  // 2^64 times the golden ratio's fraction
    std::vector<Slot> nodes(std::min(n / Graph::nodes_a_wide_seed, most_wide_seeds));
    for (std::size_t i = 0; i < nodes.size(); ++i)
        nodes[i] = static_cast<Slot>(((i * golden) >> 32) * n >> 32);
    return nodes;
}

}  // namespace

BulkBuild::BulkBuild(Graph& graph, const Space& space, const HnswParams& params, const Run& run)
    : graph_(graph), space_(space), params_(params), rule_(prune_rule(graph)), run_(run) {}

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
    const std::size_t probes =
        std::clamp(params_.ef_construction / ef_a_probe, least_probes, most_probes);
    Partition cut = partition(*rows_, leaf, probes, params_.seed, stage(0.05, 0.15));
    rows_->reorder(cut.order, stage(0.15, 0.15));
    // One table at a time, and what a stage alone needs goes with it. Vectors come last, where rows
    // have gone: hardly more is ever held than the index (README.md).
    auto table = std::make_unique<LinkTable>(link_neighbors(cut));
    const std::vector<Slot> order = std::move(cut.order);
    cut = Partition();
    if (!fit_codes(source, order, *table)) {
        table.reset();
        return run(n, source);
    }
    encode(source, order);
    if (graph_.walks_rows) store(source, order);
    choose_seeds();
    merge_reverse(*table, stage(0.45, 0.5));
    table.reset();
    const auto vector_of = [&](Slot node, float* scratch) { return source(order[node], scratch); };
    std::vector<std::uint8_t> reached;  // none where no search was asked of all
    if (params_.ef_construction >= least_refined &&
        go_astray(graph_, vector_of, stage(0.5, 0.52))) {
        reached.resize(n);
        table = std::make_unique<LinkTable>(refine(source, order, reached));
        merge_reverse(*table, stage(0.9, 0.96));
        table.reset();
    }
    rows_.reset();
    if (!graph_.walks_rows) store(source, order);
    link_close(graph_, stage(0.97, 0.97));
    if (cover(graph_, reached, stage(0.97, 1))) graph_.wide_seeds = graph_.make_seeds(all_over(n));
    connect(graph_, stage(1, 1));
    measure_noise();
    graph_.linked = true;
    return order;
}

std::vector<float> training_rows(std::size_t n, const Source& source, std::size_t dim) {
    const std::size_t taken = std::min(n, train_rows);
    std::vector<float> rows(taken * dim);
    for (std::size_t i = 0; i < taken; ++i) {
        const float* const row = source(i * n / taken, &rows[i * dim]);
        if (row != &rows[i * dim]) std::copy_n(row, dim, &rows[i * dim]);
    }
    return rows;
}

void BulkBuild::train(std::size_t n, const Source& source) {
    const std::size_t dim = space_.dim();
    sample_ = training_rows(n, source, dim);
    const std::size_t taken = sample_.size() / dim;
    graph_.codes.train({sample_.data(), taken, dim}, stage(0, 0));
    const std::size_t compact_dim = graph_.codes.compact_dim();
    std::vector<float> rotated(taken * compact_dim);
    ScalarCodes::Scratch scratch;
    for (std::size_t i = 0; i < taken; ++i)
        std::copy_n(graph_.codes.make_compact(&sample_[i * dim], scratch), compact_dim,
                    &rotated[i * compact_dim]);
    rows_ = std::make_unique<IntRows>(graph_.codes, rotated);
}

void BulkBuild::quantize(std::size_t n, const Source& source) {
    rows_->resize(n);
    parallel_for(
        stage(0, 0.05), n, rows_a_piece, [&](std::size_t begin, std::size_t end, std::size_t) {
            std::vector<float> vector(space_.dim());
            ScalarCodes::Scratch scratch;
            for (std::size_t i = begin; i < end; ++i)
                rows_->put(i, graph_.codes.make_compact(source(i, vector.data()), scratch));
        });
}

void BulkBuild::encode(const Source& source, const std::vector<Slot>& order) {
    graph_.make_room(order.size());
    std::iota(graph_.slots.begin(), graph_.slots.end(), Slot{0});  // live; the caller names them
    parallel_for(stage(0.4, 0.43), order.size(), rows_a_piece,
                 [&](std::size_t begin, std::size_t end, std::size_t) {
                     std::vector<float> vector(space_.dim());
                     ScalarCodes::Scratch scratch;
                     for (std::size_t node = begin; node < end; ++node)
                         graph_.put_code(static_cast<Slot>(node),
                                         source(order[node], vector.data()), scratch);
                 });
}

void BulkBuild::store(const Source& source, const std::vector<Slot>& order) {
    parallel_for(graph_.walks_rows ? stage(0.43, 0.43) : stage(0.96, 0.97), order.size(),
                 rows_a_piece, [&](std::size_t begin, std::size_t end, std::size_t) {
                     std::vector<float> vector(space_.dim());
                     for (std::size_t node = begin; node < end; ++node)
                         graph_.put_vector(static_cast<Slot>(node),
                                           source(order[node], vector.data()));
                 });
}

/// Takes more bits, then none at all, as long as estimates mix up near vectors: a code's error
/// grows with the distance from the middle of all vectors, which says nothing of how near neighbors
/// are. Keeps every dimension before that: the few vectors of a trial lie less near each other.
bool BulkBuild::fit_codes(const Source& source, const std::vector<Slot>& order,
                          const LinkTable& near) {
    using kernels::Scalar;
    const bool compact = rows_->dim() < graph_.codes.rotated_dim();
    const bool whole =
        params_.keeps_vectors && (params_.rerank == Scalar::f16 || params_.rerank == Scalar::f32);
    const Source vector_of = [&](std::size_t node, float* scratch) {
        return source(order[node], scratch);
    };
    const Links links = [&](Slot node) {
        return std::span<const Slot>(near.row(node), near.filled[node]);
    };
    while ((compact || params_.fits_bits) && !graph_.walks_rows &&
           local_share(graph_, vector_of, order.size(), links, stage(0.4, 0.4)) < enough_share) {
        if (compact)
            params_.code_dim = space_.dim();
        else if (params_.bits < 8)
            params_.bits = 8;
        else if (whole)
            params_.bits = 8 * static_cast<int>(dtype_bytes(params_.rerank));
        else
            break;
        graph_ = Graph(space_, params_);
        if (compact) return false;
        graph_.codes.train({sample_.data(), sample_.size() / space_.dim(), space_.dim()},
                           stage(0.4, 0.4));
    }
    return true;
}

void BulkBuild::choose_seeds() {
    const std::size_t n = std::min(most_seeds, graph_.size() / 8 + 1);
    const Centroids centroids(*rows_, n, n * sample_a_seed, params_.seed + 1, stage(0.43, 0.44));
    // Where closeness is not nearness, long vectors are near everything.
    const bool longest = &space_.geometry() != &space_.metric();
    graph_.seeds = graph_.make_seeds(centroids.medoids(*rows_, longest, stage(0.44, 0.45)));
}

LinkTable BulkBuild::link_neighbors(const Partition& cut) {
    LinkTable table(rows_->size(), graph_.degree);
    const std::size_t k = std::clamp(graph_.degree + more_than_links, least_near, Candidates::most);
    const NearRows near(*rows_, cut, k, stage(0.15, 0.15));
    std::vector<std::unique_ptr<NearRows::Scratch>> scratch(
        static_cast<std::size_t>(resolve_threads(run_.threads)));
    parallel_for(stage(0.15, 0.4), cut.clusters(), 1,
                 [&](std::size_t begin, std::size_t end, std::size_t worker) {
                     if (!scratch[worker]) scratch[worker] = std::make_unique<NearRows::Scratch>();
                     TilePruner pruner(*rows_, rule_);
                     const auto visit = [&](Slot node, const Near& found) {
                         table.put(node, pruner.run(node, found.rows, found.distances, found.n));
                     };
                     for (std::size_t c = begin; c < end; ++c)
                         near.for_each(c, *scratch[worker], visit);
                 });
    return table;
}

/// Links both ways: each node chooses among its own and those of whoever chose it.
void BulkBuild::merge_reverse(const LinkTable& table, const Run& run) {
    const std::size_t n = graph_.size(), block = n / merge_blocks + 1;
    for (std::size_t low = 0; low < n; low += block) {
        const std::size_t high = std::min(n, low + block);
        const Run listing{run.threads, !run.tick ? run.tick : [&](std::size_t, std::size_t) {
                              run.tick(low, n);
                          }};
        const Run merging{run.threads, !run.tick ? run.tick : [&](std::size_t done, std::size_t) {
                              run.tick(low + done, n);
                          }};
        ReverseLinks reverse(table, low, high, listing);
        parallel_for(merging, high - low, rows_a_piece,
                     [&](std::size_t begin, std::size_t end, std::size_t) {
                         TilePruner pruner(*rows_, rule_);
                         std::vector<Slot> nodes;
                         for (std::size_t i = low + begin; i < low + end; ++i) {
                             const Slot* const own = table.row(i);
                             nodes.assign(own, own + table.filled[i]);
                             const std::span<const Slot> others = reverse.of(i);
                             nodes.insert(nodes.end(), others.begin(), others.end());
                             const auto node = static_cast<Slot>(i);
                             const Chosen& chosen = pruner.run(node, nodes);
                             graph_.set_links(node, chosen.links.data(), chosen.links.size());
                         }
                     });
    }
}

LinkTable BulkBuild::refine(const Source& source, const std::vector<Slot>& order,
                            std::vector<std::uint8_t>& reached) {
    const std::size_t ef = std::max(least_refining, params_.ef_construction / refining_share);
    LinkTable refined(graph_.size(), graph_.degree);
    const std::size_t dim = space_.dim();
    const std::vector<Slot> spread = landmarks(graph_.size());
    const Centroids marks(*rows_, spread);
    const std::size_t marks_a_node = std::min(landmarks_a_node, spread.size());
    std::vector<std::unique_ptr<Beams>> beams(
        static_cast<std::size_t>(resolve_threads(run_.threads)));
    parallel_for(stage(0.52, 0.9), graph_.size(), searches_a_piece,
                 [&](std::size_t begin, std::size_t end, std::size_t worker) {
                     if (!beams[worker]) beams[worker] = std::make_unique<Beams>();
                     Beams& own_beams = *beams[worker];
                     TilePruner pruner(*rows_, rule_);
                     std::vector<float> vectors(beams_at_once * dim);
                     std::vector<Slot> nodes(end - begin);
                     std::iota(nodes.begin(), nodes.end(), static_cast<Slot>(begin));
                     std::vector<std::uint32_t> far((end - begin) * marks_a_node);
                     TileScratch scratch;
                     if (!far.empty())
                         marks.nearest(*rows_, nodes.data(), nodes.size(), marks_a_node, scratch,
                                       far.data());
                     walk_many(
                         graph_, own_beams, {ScalarCodes::Order::space, ef}, begin, end,
                         [&](std::size_t node, std::size_t b) {
                             return source(order[node], &vectors[b * dim]);
                         },
                         [](const Beam&) {},
                         [&](std::size_t node, std::size_t b, const Beam& beam) {
                             reached[node] = own_beams[b].reached(graph_, static_cast<Slot>(node));
                             nodes = beam.expanded();
                             const auto at = static_cast<Slot>(node);
                             const std::uint32_t* const own = graph_.row(at);
                             nodes.insert(nodes.end(), own, own + graph_.count(at));
                             pruner.keep_nearest(at, nodes, Candidates::most - marks_a_node);
                             for (std::size_t i = 0; i < marks_a_node; ++i)
                                 nodes.push_back(spread[far[(node - begin) * marks_a_node + i]]);
                             refined.put(node, pruner.run(at, nodes));
                         });
                 });
    return refined;
}

/// How far estimates of the distances between neighbors are off, each node's common error aside, as
/// a share of what that grows with: it is another where vectors lie farther out or farther apart.
void BulkBuild::measure_noise() {
    if (graph_.walks_rows) graph_.noise = 0;  // they are the distances
    if (graph_.walks_rows || !graph_.codes.spatial()) return;
    const std::size_t dim = space_.dim(), nodes = std::min(graph_.size(), noise_nodes);
    std::vector<float> vector(dim), other(dim), estimates(graph_.width + 16);
    Graph::Query query;
    double squares = 0, expected = 0;
    for (std::size_t i = 0; i < nodes; ++i) {
        const auto node = static_cast<Slot>(i * graph_.size() / nodes);
        const std::size_t n = graph_.count(node);
        if (n < 2) continue;
        graph_.get(node, vector.data());
        graph_.prepare(vector.data(), ScalarCodes::Order::space, query);
        graph_.estimate(query, graph_.row(node), graph_.row(node) + graph_.width, n,
                        estimates.data());
        double sum = 0, own = 0, doubts = 0;
        for (std::size_t j = 0; j < n; ++j) {
            graph_.get(graph_.row(node)[j], other.data());
            double distance = 0;
            for (std::size_t d = 0; d < dim; ++d) {
                const double off = static_cast<double>(vector[d]) - other[d];
                distance += off * off;
            }
            distance *= graph_.codes.distance_scale();
            const double error = estimates[j] - distance;
            sum += error;
            own += error * error;
            const auto way = static_cast<float>(std::sqrt(distance));
            const float length = ScalarCodes::length(graph_.factors[graph_.row(node)[j]]);
            const double doubt = Graph::doubt(query, length, way);
            doubts += doubt * doubt;
        }
        const auto share = static_cast<double>(n - 1) / static_cast<double>(n);
        squares += own - sum * sum / static_cast<double>(n);
        expected += doubts * share;
    }
    if (expected > 0)
        graph_.noise = static_cast<float>(std::sqrt(std::max(squares, 0.0) / expected));
}

}  // namespace nearfield
