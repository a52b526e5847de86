#include "index/together.h"

#include <algorithm>
#include <memory>
#include <utility>

namespace nearfield {
namespace {

/// The k nearest so far: who is asked later need not tell of what is farther.
class Nearest {
  public:
    explicit Nearest(std::size_t k) : k_(k) {}
    void add(const float* distances) {
        kept_.insert(kept_.end(), distances, distances + k_);
        std::nth_element(kept_.begin(), kept_.begin() + static_cast<std::ptrdiff_t>(k_ - 1),
                         kept_.end());
        kept_.resize(k_);
    }
    float limit() const { return kept_.empty() ? infinity : kept_.back(); }

  private:
    std::size_t k_;
    std::vector<float> kept_;
};

/// Searches that take turns, step by step. They end in the opposite order.
class Turns {
  public:
    ~Turns() {
        while (!begun_.empty()) begun_.pop_back();
    }
    void add(std::unique_ptr<Steps> steps) {
        under_way_.push_back(steps.get());
        begun_.push_back(std::move(steps));
    }
    void finish() {
        while (!under_way_.empty())
            std::erase_if(under_way_, [](Steps* steps) { return !steps->step(); });
    }

  private:
    std::vector<std::unique_ptr<Steps>> begun_;
    std::vector<Steps*> under_way_;
};

void merge(const std::vector<Id>& found, const std::vector<float>& far, std::size_t n_queries,
           std::size_t k, Id* ids, float* distances) {
    const std::size_t total = n_queries * k;
    std::fill_n(ids, total, no_id);
    std::fill_n(distances, total, infinity);
    std::vector<std::pair<float, Id>> best;
    for (std::size_t query = 0; query < n_queries; ++query) {
        best.clear();
        for (std::size_t begin = query * k; begin < found.size(); begin += total)
            for (std::size_t at = begin; at < begin + k && found[at] != no_id; ++at)
                best.emplace_back(far[at], found[at]);
        const std::size_t kept = std::min(k, best.size());
        std::partial_sort(best.begin(), best.begin() + static_cast<std::ptrdiff_t>(kept),
                          best.end());
        for (std::size_t i = 0; i < kept; ++i) {
            distances[query * k + i] = best[i].first;
            ids[query * k + i] = best[i].second;
        }
    }
}

}  // namespace

bool search_together(const std::vector<AskedIndex>& asked, const MatrixView& queries, std::size_t k,
                     const Run& run, bool wait, Id* ids, float* distances) {
    const std::size_t total = queries.rows * k;
    std::vector<Id> found(asked.size() * total);
    std::vector<float> far(asked.size() * total);
    std::vector<bool> answered(asked.size());
    SearchParams params;
    params.k = k;
    const bool lone = queries.rows == 1;
    Nearest nearest(k);
    const auto steps = std::count_if(asked.begin(), asked.end(),
                                     [](const auto& one) { return one.index->takes_steps(); });
    if (lone && steps > 1) {
        Turns turns;
        for (std::size_t i = 0; i < asked.size(); ++i) {
            params.share = asked[i].share;
            auto begun = asked[i].index->begin_search(queries, params, asked[i].filter,
                                                      &found[i * k], &far[i * k]);
            answered[i] = begun != nullptr;
            if (begun) turns.add(std::move(begun));
        }
        turns.finish();
        for (std::size_t i = 0; i < asked.size(); ++i)
            if (answered[i]) nearest.add(&far[i * k]);
    }
    for (std::size_t i = 0; i < asked.size(); ++i) {
        if (answered[i]) continue;
        const auto& [index, filter, share] = asked[i];
        params.share = share;
        params.limit = nearest.limit();
        if (wait)
            index->search(queries, params, filter, &found[i * total], &far[i * total], run);
        else if (!index->try_search(queries, params, filter, &found[i * total], &far[i * total],
                                    run))
            return false;
        if (lone) nearest.add(&far[i * k]);
    }
    merge(found, far, queries.rows, k, ids, distances);
    return true;
}

}  // namespace nearfield
