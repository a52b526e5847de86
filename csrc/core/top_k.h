// The k nearest of a stream, kept in a buffer that is cut back when full: no heap per row.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

#include "core/types.h"

namespace nearfield {

class TopK {
  public:
    explicit TopK(std::size_t k) : k_(k), limit_(2 * k + 32) { kept_.reserve(limit_); }

    /// Nothing farther than this can enter any more; +inf until k have been seen.
    float threshold() const { return worst_.distance; }

    void offer(Neighbor found) {
        if (!(found < worst_)) return;
        kept_.push_back(found);
        if (kept_.size() == limit_) cut();
    }
    void merge(const TopK& other) {
        for (const Neighbor& found : other.kept_) offer(found);
    }
    /// Brings threshold() down when that is worth a cut.
    void tighten() {
        const bool first_time = worst_.slot == no_slot && kept_.size() >= k_;
        if (first_time || kept_.size() > k_ + k_ / 4) cut();
    }
    /// Begins anew; what is farther than `limit` will not be kept.
    void clear(float limit = infinity) {
        kept_.clear();
        worst_ = Neighbor{};
        worst_.distance = limit;
    }

    /// Sorts and returns the nearest, at most k.
    const std::vector<Neighbor>& finish() {
        if (kept_.size() > k_) cut();
        std::sort(kept_.begin(), kept_.end());
        return kept_;
    }

  private:
    void cut() {
        const auto kth = kept_.begin() + static_cast<std::ptrdiff_t>(k_ - 1);
        std::nth_element(kept_.begin(), kth, kept_.end());
        worst_ = *kth;
        kept_.resize(k_);
    }

    std::size_t k_, limit_;
    std::vector<Neighbor> kept_;
    Neighbor worst_{};
};

}  // namespace nearfield
