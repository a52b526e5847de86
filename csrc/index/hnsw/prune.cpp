#include "index/hnsw/prune.h"

#include <cstring>

namespace nearfield {
namespace {

// Where a row serves two ends, the share of its links that lead to what is near.
constexpr std::size_t near_share = 4;

void drop_repeats(std::vector<Slot>& nodes, Slot node) {
    std::sort(nodes.begin(), nodes.end());
    nodes.erase(std::unique(nodes.begin(), nodes.end()), nodes.end());
    std::erase(nodes, node);
}

}  // namespace

PruneRule prune_rule(const Graph& graph) { return {graph.degree, 1.05f * 1.05f}; }

void Candidates::sort(Slot node) {
    const auto nearer = [node](const Entry& a, const Entry& b) {
        return a.distance != b.distance ? a.distance < b.distance : a.node - node < b.node - node;
    };
    if (entries.size() > most) {
        std::nth_element(entries.begin(), entries.begin() + most, entries.end(), nearer);
        entries.resize(most);
    }
    std::sort(entries.begin(), entries.end(), nearer);
}

const Chosen& TilePruner::run(Slot node, std::vector<Slot>& nodes) {
    drop_repeats(nodes, node);
    const std::size_t dim = rows_.dim();
    dots_.resize(nodes.size());
    std::int8_t* left = scratch_.left(Candidates::most, dim);
    rows_.copy_left(node, left);
    const kernels::Kernels& table = kernels::kernels();
    table.dot_u8_gather(left, rows_.row(0), nodes.data(), nodes.size(), dim, dim, dots_.data());
    candidates_.clear();
    for (std::size_t i = 0; i < nodes.size(); ++i) {
        const auto dot = static_cast<float>(dots_[i] - rows_.excess(node));
        candidates_.entries.push_back(
            {rows_.term(node) + rows_.term(nodes[i]) - 2 * dot, nodes[i],
             std::memcmp(rows_.row(node), rows_.row(nodes[i]), dim) == 0});
    }
    candidates_.sort(node);

    const auto& entries = candidates_.entries;
    const std::size_t n = entries.size();
    std::uint8_t* const right = scratch_.right(Candidates::most, dim);
    for (std::size_t i = 0; i < n; ++i) {
        std::memcpy(right + i * dim, rows_.row(entries[i].node), dim);
        rows_.copy_left(entries[i].node, left + i * dim);
    }
    std::uint8_t* const panels = scratch_.panels(Candidates::most, dim);
    const std::size_t stride = kernels::padded(n, kernels::panel_rows);
    std::int32_t* const gram = scratch_.out(Candidates::most, Candidates::most);
    table.pack_u8(right, n, dim, dim, panels);
    table.tile_i8(left, n, dim, panels, n, dim, gram, stride);
    const auto measure = [&](std::uint32_t s, const std::uint32_t* rest, std::size_t n_rest,
                             float* out) {
        const Slot from = entries[s].node;
        const std::int32_t* const dots = gram + s * stride;
        for (std::size_t i = 0; i < n_rest; ++i)
            out[i] = rows_.term(from) + rows_.term(entries[rest[i]].node) -
                     2 * static_cast<float>(dots[rest[i]] - rows_.excess(from));
    };
    robust_prune(candidates_, rule_, measure, chosen_);
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
    drop_repeats(nodes, node);
    graph_.get(node, vector_.data());
    scorer_->set_query(vector_.data());
    distances_.resize(nodes.size());
    scorer_->score(nodes.data(), nodes.size(), distances_.data());
    candidates_.clear();
    for (std::size_t i = 0; i < nodes.size(); ++i)
        candidates_.entries.push_back({distances_[i], nodes[i], graph_.same(node, nodes[i])});
    candidates_.sort(node);

    const auto& entries = candidates_.entries;
    rest_.resize(Candidates::most);
    const auto measure = [&](std::uint32_t s, const std::uint32_t* rest, std::size_t n_rest,
                             float* out) {
        graph_.get(entries[s].node, vector_.data());
        scorer_->set_query(vector_.data());
        for (std::size_t i = 0; i < n_rest; ++i) rest_[i] = entries[rest[i]].node;
        scorer_->score(rest_.data(), n_rest, out);
    };
    robust_prune(candidates_, rule_, measure, chosen_);
    if (closeness_) add_close(node);
    return chosen_;
}

void VectorPruner::add_close(Slot node) {
    const auto has = [](const std::vector<Slot>& slots, Slot slot) {
        return std::find(slots.begin(), slots.end(), slot) != slots.end();
    };
    const auto& entries = candidates_.entries;
    by_closeness_.clear();
    rest_.clear();
    for (const auto& entry : entries) rest_.push_back(entry.node);
    distances_.resize(entries.size());
    graph_.get(node, vector_.data());
    closeness_->set_query(vector_.data());
    closeness_->score(rest_.data(), rest_.size(), distances_.data());
    for (std::size_t i = 0; i < entries.size(); ++i)
        if (!entries[i].twin) by_closeness_.push_back({distances_[i], entries[i].node});
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
    for (const auto& entry : entries) {
        if (chosen_.links.size() == graph_.degree) break;
        if (!entry.twin && !has(chosen_.links, entry.node)) chosen_.links.push_back(entry.node);
    }
}

}  // namespace nearfield
