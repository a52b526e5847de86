#include "index/hnsw/prune.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>

namespace nearfield {
namespace {

constexpr std::size_t most = Candidates::most;
constexpr std::size_t most_twins = 4;
// Rounds that fill a row, and how much more slack each has than the one before (squared).
constexpr int loosenings = 8;
constexpr float loosening = 1.2f;
// Where a row serves two ends, the share of its links that lead to what is near.
constexpr std::size_t near_share = 4;
// Vectors round a node are rounded to steps that serve this share of the candidates; the entries of
// farther ones saturate.
constexpr double stepped_share = 0.75;

/// What tile products give, as distances between candidates: rows as values in -127..127, their
/// terms and what the products hold too much.
struct PairTerms {
    float terms[most + 16];
    std::int32_t shifts[most + 16];
};

}  // namespace

PruneRule prune_rule(const Graph& graph) { return {graph.degree, 1.05f * 1.05f}; }

std::size_t Marks::first() const {
    for (std::size_t w = 0; w < words; ++w)
        if (bits[w] != 0) return 64 * w + static_cast<std::size_t>(std::countr_zero(bits[w]));
    return 64 * words;
}

void Candidates::rank(Slot node, const Slot* nodes, const float* distances, std::size_t n) {
    twins = Marks();
    size_ = 0;
    if (n > most) {
        many_.resize(n);
        for (std::size_t i = 0; i < n; ++i) many_[i] = {distances[i], nodes[i] - node};
        std::nth_element(many_.begin(), many_.begin() + most, many_.end());
        std::sort(many_.begin(), many_.begin() + most);
        for (; size_ < most; ++size_) {
            distances_[size_] = many_[size_].distance;
            nodes_[size_] = many_[size_].slot + node;
        }
        return;
    }
    using kernels::pool_batch;
    const kernels::Pool pool{distances_.data(), nodes_.data()};
    for (std::size_t i = 0; i < n; i += pool_batch)
        kernels::kernels().pool_insert(pool, &size_, most, distances + i, nodes + i,
                                       std::min(pool_batch, n - i));
    for (std::size_t i = 0; i < size_; ++i) nodes_[i] /= 2;
    for (std::size_t i = 0, end; i < size_; i = end) {
        for (end = i + 1; end < size_ && distances_[end] == distances_[i];) ++end;
        std::sort(&nodes_[i], &nodes_[i] + (end - i),
                  [node](Slot a, Slot b) { return a - node < b - node; });
    }
}

void Distinct::run(std::vector<Slot>& nodes, Slot node) {
    if (nodes.size() > table_.size() / 2) {
        std::sort(nodes.begin(), nodes.end());
        nodes.erase(std::unique(nodes.begin(), nodes.end()), nodes.end());
        std::erase(nodes, node);
        return;
    }
    std::size_t n = 0;
    for (const Slot slot : nodes) {
        std::size_t at = (slot * 0x9e3779b1u) >> (32 - bits);
        while (table_[at] != no_slot && table_[at] != slot) at = (at + 1) % table_.size();
        nodes[n] = slot;
        n += table_[at] == no_slot && slot != node;
        table_[at] = slot;
    }
    nodes.resize(n);
    table_.fill(no_slot);
}

void robust_prune(const Candidates& candidates, const PruneRule& rule, const PairDistances& pairs,
                  Chosen& chosen) {
    const std::size_t n = candidates.size();
    const auto mark_closer = kernels::kernels().mark_closer;
    std::array<std::size_t, most> places;
    std::size_t taken = 0;
    Marks left, open;  // left: not chosen yet, by whatever slack
    for (std::size_t i = 0, twins = 0; i < n; ++i)
        if (!candidates.twins.test(i) || twins++ < most_twins) left.set(i);
    float slack = rule.slack;
    const auto drop_closer = [&](std::size_t s) {
        if (candidates.twins.test(s)) return;
        Marks closer;
        mark_closer(pairs.dots + s * pairs.stride, pairs.terms, pairs.limits, n,
                    {pairs.shifts[s], pairs.terms[s], slack}, closer.bits.data());
        for (std::size_t w = 0; w < Marks::words; ++w) open.bits[w] &= ~closer.bits[w];
    };
    for (int round = 0; round <= loosenings && taken < rule.degree; ++round) {
        open = left;
        for (std::size_t i = 0; i < taken; ++i) drop_closer(places[i]);
        for (std::size_t s; taken < rule.degree && (s = open.first()) < n;) {
            open.reset(s);
            left.reset(s);
            places[taken++] = s;
            drop_closer(s);
        }
        if (round == 0) chosen.kept = taken;
        slack *= loosening;
    }
    for (std::size_t s; taken < rule.degree && (s = left.first()) < n;) {
        left.reset(s);
        places[taken++] = s;
    }
    std::sort(places.begin() + static_cast<std::ptrdiff_t>(chosen.kept),
              places.begin() + static_cast<std::ptrdiff_t>(taken));
    chosen.links.resize(taken);
    for (std::size_t i = 0; i < taken; ++i) chosen.links[i] = candidates.node(places[i]);
}

void TilePruner::measure(Slot node, const std::vector<Slot>& nodes) {
    const std::size_t dim = rows_.dim(), n = nodes.size();
    dots_.resize(n);
    distances_.resize(n);
    std::int8_t* const left = scratch_.left(most, dim);
    rows_.copy_left(node, left);
    kernels::kernels().dot_u8_gather(left, rows_.row(0), nodes.data(), n, dim, dim, dots_.data());
    for (std::size_t i = 0; i < n; ++i)
        distances_[i] = rows_.term(node) + rows_.term(nodes[i]) -
                        2 * static_cast<float>(dots_[i] - rows_.excess(node));
}

void TilePruner::keep_nearest(Slot node, std::vector<Slot>& nodes, std::size_t n) {
    if (nodes.size() <= n) return;
    measure(node, nodes);
    many_.resize(nodes.size());
    for (std::size_t i = 0; i < nodes.size(); ++i) many_[i] = {distances_[i], nodes[i] - node};
    std::nth_element(many_.begin(), many_.begin() + static_cast<std::ptrdiff_t>(n), many_.end());
    nodes.resize(n);
    for (std::size_t i = 0; i < n; ++i) nodes[i] = many_[i].slot + node;
}

const Chosen& TilePruner::run(Slot node, std::vector<Slot>& nodes) {
    distinct_.run(nodes, node);
    measure(node, nodes);
    return run(node, nodes.data(), distances_.data(), nodes.size());
}

const Chosen& TilePruner::run(Slot node, const Slot* nodes, const float* distances,
                              std::size_t n_nodes) {
    candidates_.rank(node, nodes, distances, n_nodes);
    const std::size_t dim = rows_.dim(), n = candidates_.size();
    // Equal bytes are at a distance of exactly 0.
    for (std::size_t i = 0; i < n && candidates_.distance(i) <= 0; ++i)
        if (std::memcmp(rows_.row(node), rows_.row(candidates_.node(i)), dim) == 0)
            candidates_.twins.set(i);

    PairTerms pairs{};
    std::int8_t* const left = scratch_.left(most, dim);
    std::uint8_t* const right = scratch_.right(most, dim);
    for (std::size_t i = 0; i < n; ++i) {
        const Slot slot = candidates_.node(i);
        std::memcpy(right + i * dim, rows_.row(slot), dim);
        rows_.copy_left(slot, left + i * dim);
        pairs.terms[i] = rows_.term(slot);
        pairs.shifts[i] = rows_.excess(slot);
    }
    const kernels::Kernels& table = kernels::kernels();
    std::uint8_t* const panels = scratch_.panels(most, dim);
    const std::size_t stride = kernels::padded(n, kernels::panel_rows);
    std::int32_t* const dots = scratch_.out(most, most);
    table.pack_u8(right, n, dim, dim, panels);
    table.tile_i8(left, n, dim, panels, n, dim, dots, stride);
    robust_prune(candidates_, rule_,
                 {dots, stride, pairs.terms, candidates_.distances(), pairs.shifts}, chosen_);
    return chosen_;
}

VectorPruner::VectorPruner(const Graph& graph)
    : graph_(graph),
      rule_(prune_rule(graph)),
      scorer_(graph.scorer(*graph.geometry)),
      vector_(graph.dim()) {
    if (graph.geometry == graph.metric) return;
    closeness_ = graph.scorer(*graph.metric);
    rule_.degree /= near_share;
}

const Chosen& VectorPruner::run(Slot node, std::vector<Slot>& nodes) {
    distinct_.run(nodes, node);
    graph_.get(node, vector_.data());
    scorer_->set_query(vector_.data());
    distances_.resize(nodes.size());
    scorer_->score(nodes.data(), nodes.size(), distances_.data());
    for (float& distance : distances_)  // or the infinitely far would be left out
        distance = std::min(distance, std::numeric_limits<float>::max());
    candidates_.rank(node, nodes.data(), distances_.data(), nodes.size());
    for (std::size_t i = 0; i < candidates_.size(); ++i)
        if (graph_.same(node, candidates_.node(i))) candidates_.twins.set(i);
    round();
    if (closeness_) add_close();
    return chosen_;
}

/// Chooses by the rule on rows about vector_, the node's own.
void VectorPruner::round() {
    const kernels::Kernels& table = kernels::kernels();
    const std::size_t dim = graph_.dim(), padded = kernels::padded(dim, 64);
    const std::size_t n = candidates_.size();
    offsets_.resize(n * dim);
    float largest = 0;
    for (std::size_t i = 0; i < n; ++i) {
        float* const offset = &offsets_[i * dim];
        graph_.get(candidates_.node(i), offset);
        table.centre(offset, vector_.data(), 1.0f, dim, offset);
        if (static_cast<double>(i) <= stepped_share * static_cast<double>(n))
            largest = std::max(largest, table.largest(offset, dim));
    }
    const float factor = largest > 1e-30f ? 127 / largest : 0.0f;
    std::int8_t* const left = scratch_.left(most, padded);
    std::uint8_t* const right = scratch_.right(most + 1, padded);
    for (std::size_t i = 0; i < n; ++i) {
        std::int8_t* const row = left + i * padded;
        table.to_i8(&offsets_[i * dim], dim, factor, row);
        std::fill(row + dim, row + padded, std::int8_t{0});
        for (std::size_t j = 0; j < padded; ++j)
            right[i * padded + j] = static_cast<std::uint8_t>(row[j] + 128);
    }
    // The last column is the node itself: products with it are what the others hold too much.
    std::fill_n(right + n * padded, padded, std::uint8_t{128});
    std::uint8_t* const panels = scratch_.panels(most + 1, padded);
    const std::size_t stride = kernels::padded(n + 1, kernels::panel_rows);
    std::int32_t* const dots = scratch_.out(most, most + 1);
    table.pack_u8(right, n + 1, padded, padded, panels);
    table.tile_i8(left, n, padded, panels, n + 1, padded, dots, stride);
    PairTerms pairs{};
    for (std::size_t i = 0; i < n; ++i) {
        pairs.shifts[i] = dots[i * stride + n];
        pairs.terms[i] = static_cast<float>(dots[i * stride + i] - pairs.shifts[i]);
    }
    robust_prune(candidates_, rule_, {dots, stride, pairs.terms, pairs.terms, pairs.shifts},
                 chosen_);
}

void VectorPruner::add_close() {
    const auto has = [](const std::vector<Slot>& slots, Slot slot) {
        return std::find(slots.begin(), slots.end(), slot) != slots.end();
    };
    const std::size_t n = candidates_.size();
    by_closeness_.clear();
    rest_.assign(candidates_.nodes(), candidates_.nodes() + n);
    distances_.resize(n);
    closeness_->set_query(vector_.data());
    closeness_->score(rest_.data(), n, distances_.data());
    for (std::size_t i = 0; i < n; ++i)
        if (!candidates_.twins.test(i)) by_closeness_.push_back({distances_[i], rest_[i]});
    std::sort(by_closeness_.begin(), by_closeness_.end());
    while (!by_closeness_.empty() && chosen_.links.size() < graph_.degree) {
        const Slot kept = by_closeness_.front().slot;
        if (!has(chosen_.links, kept)) chosen_.links.push_back(kept);
        by_closeness_.erase(by_closeness_.begin());
        rest_.clear();
        for (const Neighbor& other : by_closeness_) rest_.push_back(other.slot);
        graph_.get(kept, vector_.data());
        closeness_->set_query(vector_.data());
        closeness_->score(rest_.data(), rest_.size(), distances_.data());
        std::size_t left = 0;
        for (std::size_t i = 0; i < rest_.size(); ++i)
            if (distances_[i] >= by_closeness_[i].distance)
                by_closeness_[left++] = by_closeness_[i];
        by_closeness_.resize(left);
    }
    chosen_.kept = chosen_.links.size();
    for (std::size_t i = 0; i < n && chosen_.links.size() < graph_.degree; ++i)
        if (!candidates_.twins.test(i) && !has(chosen_.links, candidates_.node(i)))
            chosen_.links.push_back(candidates_.node(i));
}

}  // namespace nearfield
