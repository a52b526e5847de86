// The k nearest of a stream of estimates, sorted at any time without a branch on data.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/types.h"
#include "kernels/kernels.h"

namespace nearfield {

/// At least k of the n values are at most this: the largest of the least of k groups or more. What
/// is beyond it need not be offered. +inf where there is no saying.
inline float enough_below(const float* values, std::size_t n, std::size_t k) {
    constexpr std::size_t most = 128;
    const std::size_t groups = std::bit_ceil(std::max<std::size_t>(k, 4));
    if (groups > most || groups > n) return infinity;
    float least[most];
    std::copy_n(values, groups, least);
    for (std::size_t i = groups; i + groups <= n; i += groups)
        for (std::size_t j = 0; j < groups; ++j)
            least[j] = values[i + j] < least[j] ? values[i + j] : least[j];
    return k == 1 ? *std::min_element(least, least + groups)
                  : *std::max_element(least, least + groups);
}

/// As TopK, over the pool kernel, for slots below 2^31: what is offered waits until there are a
/// few, and is then merged at once. Sorting by selection took a third of a search.
class NearestPool {
  public:
    static constexpr std::size_t max_slots = std::size_t{1} << 31;

    explicit NearestPool(std::size_t k)
        : k_(k), nearest_(k + kernels::pool_slack), nodes_(k + kernels::pool_slack) {}

    std::size_t k() const { return k_; }
    /// Nothing farther than this can enter any more; +inf until k have been seen.
    float threshold() const { return size_ == k_ ? (*this)[k_ - 1].distance : infinity; }

    void offer(Neighbor found) {
        distances_[waiting_] = found.distance;
        slots_[waiting_] = found.slot;
        if (++waiting_ == batch) merge();
    }
    /// Brings in what waits; before size() and [].
    void merge() {
        if (waiting_ > 0)
            kernels::kernels().pool_insert({nearest_.data(), nodes_.data()}, &size_, k_, distances_,
                                           slots_, waiting_);
        waiting_ = 0;
    }
    void clear() { size_ = waiting_ = 0; }

    std::size_t size() const { return size_; }
    /// The i-th nearest; of equals the one that came first.
    Neighbor operator[](std::size_t i) const { return {nearest_[i], nodes_[i] >> 1}; }

  private:
    static constexpr std::size_t batch = 16;
    static_assert(batch <= kernels::pool_batch);

    std::size_t k_, size_ = 0, waiting_ = 0;
    std::vector<float> nearest_;
    std::vector<std::uint32_t> nodes_;
    float distances_[batch];
    Slot slots_[batch];
};

}  // namespace nearfield
