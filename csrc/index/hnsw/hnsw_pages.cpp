#include "index/hnsw/hnsw_pages.h"

#include <algorithm>
#include <stdexcept>

#include "index/hnsw/hnsw_query.h"

namespace nearfield {
namespace {

constexpr std::size_t nodes_a_block = 256;
constexpr std::size_t hops_a_tick = 256;

}  // namespace

HnswIndex::Pages::Pages(const HnswIndex& index, const float* query, const FilterSpec& filter,
                        std::size_t ef)
    : index_(index), query_(index.space_.dim()), ef_(ef), width_(ef) {
    index.space_.check("query", {query, 1, query_.size()}, Run{1, nullptr});
    const auto lock = index.shared();
    changes_ = index.changes_;
    const float* const prepared = index.space_.prepare(query, query_.data());
    if (prepared != query_.data()) std::copy_n(prepared, query_.size(), query_.data());
    const Filter resolved = index.resolve(filter, allowed_);
    filtered_ = resolved.allowed != nullptr && resolved.allowed != &index.ids_map().live();
    if (filtered_ && resolved.allowed != &allowed_) allowed_ = *resolved.allowed;
    left_ = resolved.count;
    walks_ = index.graph_.linked && !few(left_, ef);
    scorer_ = index.graph_.scorer(index.space_.metric());
}

bool HnswIndex::Pages::allows(Slot node) const {
    const Slot slot = index_.graph_.slots[node];
    return slot < index_.ids_map().slots() && (!filtered_ || allowed_.test(slot));
}

void HnswIndex::Pages::begin() {
    begun_ = true;
    scorer_->set_query(query_.data());
    const Graph& graph = index_.graph_;
    visited_.resize(graph.size() / 64 + 1);
    const std::size_t most = std::max(nodes_a_block, graph.width) + 16;
    nodes_.resize(most);
    factors_.resize(most);
    distances_.resize(most);
    if (!walks_) return;
    graph.prepare(query_.data(), ScalarCodes::Order::metric, ready_);
    for (const Slot seed : graph.seeds.nodes) {
        visited_[seed / 64] |= std::uint64_t{1} << (seed % 64);
        meet(&seed, &graph.factors[seed], 1);
    }
}

void HnswIndex::Pages::wait(Entry entry) {
    if (near_.size() < width_) {
        near_.push_back(entry);
        std::push_heap(near_.begin(), near_.end(), nearer);
        return;
    }
    if (entry.estimate < near_.front().estimate) {
        std::pop_heap(near_.begin(), near_.end(), nearer);
        std::swap(near_.back(), entry);
        std::push_heap(near_.begin(), near_.end(), nearer);
    }
    rest_.push_back(entry);
    std::push_heap(rest_.begin(), rest_.end(), farther);
}

void HnswIndex::Pages::meet(const Slot* nodes, const std::uint32_t* factors, std::size_t n) {
    index_.graph_.estimate(ready_, nodes, factors, n, distances_.data());
    for (std::size_t i = 0; i < n; ++i) {
        frontier_.push_back({distances_[i], nodes[i]});
        std::push_heap(frontier_.begin(), frontier_.end(), farther);
        if (allows(nodes[i])) wait({distances_[i], nodes[i]});
    }
}

void HnswIndex::Pages::expand() {
    const Graph& graph = index_.graph_;
    std::pop_heap(frontier_.begin(), frontier_.end(), farther);
    const Slot node = frontier_.back().node;
    frontier_.pop_back();
    const std::size_t n = kernels::kernels().visit(graph.row(node), graph.width, visited_.data(),
                                                   graph.walked(), nodes_.data(), factors_.data());
    if (n > 0) meet(nodes_.data(), factors_.data(), n);
}

void HnswIndex::Pages::meet_rest() {
    swept_ = true;
    const auto size = static_cast<Slot>(index_.graph_.size());
    std::size_t n = 0;
    const auto flush = [&] {
        if (walks_)
            index_.graph_.estimate(ready_, nodes_.data(), factors_.data(), n, distances_.data());
        else
            scorer_->score(nodes_.data(), n, distances_.data());
        for (std::size_t i = 0; i < n; ++i)
            wait({distances_[i], nodes_[i], walks_ ? -infinity : distances_[i]});
        n = 0;
    };
    for (Slot node = 0; node < size; ++node) {
        if ((visited_[node / 64] >> (node % 64) & 1) != 0 || !allows(node)) continue;
        factors_[n] = index_.graph_.factors[node];
        nodes_[n++] = node;
        if (n == nodes_a_block) flush();
    }
    if (n > 0) flush();
}

void HnswIndex::Pages::measure() {
    for (Entry& entry : near_)
        if (entry.distance == -infinity) scorer_->score(&entry.node, 1, &entry.distance);
}

HnswIndex::Pages::Page HnswIndex::Pages::next(std::size_t k, const Run& run) {
    const std::lock_guard own(mutex_);
    const auto lock = index_.shared();
    if (index_.changes_ != changes_)
        throw std::runtime_error("index must not change while it is iterated over; search again");
    if (!begun_) begin();
    k = std::min(k, left_);
    width_ = std::max(ef_, k + k / 2);
    while (near_.size() < width_ && !rest_.empty()) {
        std::pop_heap(rest_.begin(), rest_.end(), farther);
        near_.push_back(rest_.back());
        std::push_heap(near_.begin(), near_.end(), nearer);
        rest_.pop_back();
    }
    for (std::size_t hops = 0;
         !frontier_.empty() &&
         (near_.size() < width_ || frontier_.front().estimate <= near_.front().estimate);
         ++hops) {
        expand();
        if (run.tick && hops % hops_a_tick == 0) run.tick(0, 1);
    }
    if (near_.size() < width_ && !swept_) meet_rest();
    measure();
    k = std::min(k, near_.size());
    std::sort(near_.begin(), near_.end(),
              [](const Entry& a, const Entry& b) { return a.distance < b.distance; });
    Page page;
    for (std::size_t i = 0; i < k; ++i) {
        page.ids.push_back(index_.ids_map().id(index_.graph_.slots[near_[i].node]));
        page.distances.push_back(near_[i].distance);
    }
    near_.erase(near_.begin(), near_.begin() + static_cast<std::ptrdiff_t>(k));
    std::make_heap(near_.begin(), near_.end(), nearer);
    left_ -= k;
    return page;
}

}  // namespace nearfield
