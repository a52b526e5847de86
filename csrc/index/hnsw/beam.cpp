#include "index/hnsw/beam.h"

#include "kernels/prefetch.inl.h"

namespace nearfield {

using kernels::pool_batch;

namespace {
// From this width on a walk begins at more seeds, so many for each of its places: scanning eighty
// takes as long as a hop.
constexpr std::size_t least_wide = 128, seeds_a_place = 4;
}  // namespace

void Beam::fit(const Graph& graph, std::size_t ef) {
    capacity_ = ef;
    if (pool_nodes_.size() < ef + kernels::pool_slack) {
        pool_distances_.resize(ef + kernels::pool_slack);
        pool_nodes_.resize(ef + kernels::pool_slack);
    }
    if (visited_.size() < graph.size() / 64 + 1) visited_.resize(graph.size() / 64 + 1);
    const std::size_t most = std::max(max_heads * graph.width, pool_batch) + 16;
    if (factors_.size() < most) {
        factors_.resize(most);
        distances_.resize(most);
    }
    if (log_.size() < 4096) log_.resize(4096);
}

void Beam::start(const Graph& graph, const Walk& walk, const float* starts) {
    finish();  // where an error ended the last walk
    fit(graph, walk.ef);
    k_ = walk.k;
    idle_ = 0;
    size_ = cursor_ = batch_ = n_heads_ = 0;
    expanded_.clear();
    scored_ = 0;
    scan(graph, graph.seeds, graph.seeds.size(), capacity_, starts);
    // The nearest of these take the places of the farthest of those.
    if (walk.ef >= least_wide)
        scan(graph, graph.wide_seeds, std::min(graph.wide_seeds.size(), seeds_a_place * walk.ef),
             size_);
    if (log_.size() < size_) log_.resize(size_);
    for (std::size_t i = 0; i < size_; ++i) {
        if (!mark(node(i))) continue;  // a seed of both kinds
        pool_distances_[logged_] = pool_distances_[i];
        pool_nodes_[logged_] = pool_nodes_[i];
        log_[logged_++] = node(i);
    }
    batch_ = size_ = logged_;
}

void Beam::scan(const Graph& graph, const Seeds& seeds, std::size_t n, std::size_t room,
                const float* distances) {
    scored_ += n;
    for (std::size_t i = 0; i < n; i += pool_batch) {
        const std::size_t part = std::min(pool_batch, n - i);
        if (!distances) graph.estimate_seeds(query_, seeds, i, part, distances_.data());
        kernels::kernels().pool_insert(pool(), &size_, room,
                                       distances ? distances + i : distances_.data(),
                                       &seeds.nodes[i], part);
    }
}

bool Beam::choose(const Graph& graph, std::size_t heads, std::size_t ahead) {
    n_heads_ = 0;
    if (k_ > 0 && 2 * idle_ > capacity_) return false;
    heads = std::min(max_heads, heads + cursor_ / places_a_head);
    std::size_t at = cursor_;
    for (; at < size_ && n_heads_ < heads; ++at) {
        if (pool_nodes_[at] & 1) continue;
        const Slot head = node(at);
        pool_nodes_[at] |= 1;
        heads_[n_heads_++] = head;
        expanded_.push_back(head);
        kernels::prefetch_range(graph.row(head), graph.link_bytes());
    }
    cursor_ = at;
    for (; at < size_ && ahead > 0; ++at) {
        if (pool_nodes_[at] & 1) continue;
        kernels::prefetch_range(graph.row(node(at)), graph.link_bytes());
        --ahead;
    }
    return n_heads_ > 0;
}

void Beam::gather(const Graph& graph) {
    const auto visit = kernels::kernels().visit;
    const kernels::CodeRows codes = graph.walked();
    if (log_.size() < logged_ + max_heads * graph.width + 16)
        log_.resize(2 * (log_.size() + max_heads * graph.width));
    batch_ = logged_;
    for (std::size_t h = 0; h < n_heads_; ++h)
        logged_ += visit(graph.row(heads_[h]), graph.width, visited_.data(), codes, &log_[logged_],
                         &factors_[logged_ - batch_]);
}

void Beam::score(const Graph& graph) {
    const std::size_t n = logged_ - batch_;
    idle_ += n_heads_;
    if (n == 0) return;
    scored_ += n;
    const Slot* const fresh = &log_[batch_];
    graph.estimate(query_, fresh, factors_.data(), n, distances_.data());
    for (std::size_t i = 0; i < n; i += pool_batch) {
        const std::size_t lowest = kernels::kernels().pool_insert(
            pool(), &size_, capacity_, &distances_[i], fresh + i, std::min(pool_batch, n - i));
        cursor_ = std::min(cursor_, lowest);
        if (lowest < k_) idle_ = 0;
    }
}

bool Beam::reached(const Graph& graph, Slot node) {
    if (size_ == 0) return false;
    if (this->node(0) == node) return true;
    const std::size_t n = graph.count(node);
    const std::uint32_t* const row = graph.row(node);
    graph.estimate(query_, &node, &graph.factors[node], 1, distances_.data());
    if (distance(0) <= distances_[0]) return true;  // a copy of it
    if (n == 0) return false;
    graph.estimate(query_, row, row + graph.width, n, distances_.data());
    const auto quarter = distances_.begin() + static_cast<std::ptrdiff_t>(n / 4);
    std::nth_element(distances_.begin(), quarter,
                     distances_.begin() + static_cast<std::ptrdiff_t>(n));
    return distance(0) <= *quarter;
}

void Beam::finish() {
    for (std::size_t i = 0; i < logged_; ++i) visited_[log_[i] / 64] = 0;
    logged_ = 0;
}

}  // namespace nearfield
