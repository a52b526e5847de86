#include "index/hnsw/link_offer.h"

#include <algorithm>

namespace nearfield {
namespace {

constexpr std::size_t most_twins = 4;
// A row is what the rule kept and then what fills it, either nearest first; distances differ a
// little from those it was sorted by.
constexpr float least_step_back = 1.02f;

}  // namespace

LinkOffer::LinkOffer(const Graph& graph)
    : rule_(prune_rule(graph)),
      scorer_(graph.scorer(*graph.geometry)),
      node_vector_(graph.dim()),
      fresh_vector_(graph.dim()) {}

/// The live links with their distances, split in two.
void LinkOffer::measure(const Graph& graph, Slot node, Slot fresh) {
    const std::uint32_t* const row = graph.row(node);
    nodes_.assign(row, row + graph.count(node));
    std::erase_if(nodes_, [&](Slot slot) { return !graph.live(slot); });
    const std::size_t n = nodes_.size();
    nodes_.push_back(fresh);
    distances_.resize(n + 1);
    to_fresh_.resize(n);
    graph.get(node, node_vector_.data());
    scorer_->set_query(node_vector_.data());
    scorer_->score(nodes_.data(), n + 1, distances_.data());
    if (held_ != fresh) graph.get(fresh, fresh_vector_.data());
    held_ = fresh;
    scorer_->set_query(fresh_vector_.data());
    scorer_->score(nodes_.data(), n, to_fresh_.data());
    std::size_t end = n;  // of those kept
    float largest = least_step_back;
    for (std::size_t i = 1; i < n; ++i)
        if (distances_[i - 1] > largest * distances_[i]) {
            largest = distances_[i - 1] / distances_[i];
            end = i;
        }
    kept_.clear();
    fill_.clear();
    for (std::size_t i = 0; i < n; ++i)
        (i < end ? kept_ : fill_).push_back({distances_[i], to_fresh_[i], nodes_[i]});
}

void LinkOffer::run(Graph& graph, Slot node, Slot fresh) {
    const std::uint32_t* const row = graph.row(node);
    if (std::find(row, row + graph.degree, fresh) != row + graph.degree) return;
    measure(graph, node, fresh);
    const float distance = distances_.back();
    const auto is_twin = [&](const Link& link) { return graph.same(node, link.slot); };
    const bool twin = graph.same(node, fresh);
    if (twin && std::count_if(kept_.begin(), kept_.end(), is_twin) >=
                    static_cast<std::ptrdiff_t>(most_twins))
        return;
    const auto put = [](std::vector<Link>& links, const Link& link) {
        links.insert(std::upper_bound(links.begin(), links.end(), link.distance,
                                      [](float d, const Link& l) { return d < l.distance; }),
                     link);
    };
    const bool dropped = !twin && std::any_of(kept_.begin(), kept_.end(), [&](const Link& link) {
        return link.distance <= distance && rule_.slack * link.to_fresh < distance &&
               !is_twin(link);
    });
    if (!dropped && !twin)
        std::erase_if(kept_, [&](const Link& link) {
            const bool drop =
                link.distance > distance && rule_.slack * link.to_fresh < link.distance;
            if (drop) put(fill_, link);
            return drop;
        });
    put(dropped ? fill_ : kept_, {distance, 0, fresh});
    if (kept_.size() + fill_.size() > rule_.degree) (fill_.empty() ? kept_ : fill_).pop_back();
    nodes_.clear();
    for (const Link& link : kept_) nodes_.push_back(link.slot);
    for (const Link& link : fill_) nodes_.push_back(link.slot);
    graph.set_links(node, nodes_.data(), nodes_.size());
}

}  // namespace nearfield
