// Rows in a new order, in place: as much memory as one row takes, however many there are.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <vector>

#include "core/types.h"

namespace nearfield {

/// Takes row order[i] to place i. What `order` does not name comes after it. Making one may throw;
/// applying it cannot.
class Permutation {
  public:
    /// For arrays of `size` rows of at most `widest` bytes.
    Permutation(const std::vector<Slot>& order, std::size_t size, std::size_t widest)
        : order_(order), held_(widest), moved_(size) {
        order_.reserve(size);
        std::vector<bool> named(size);
        for (const Slot row : order) named[row] = true;
        for (std::size_t row = 0; row < size; ++row)
            if (!named[row]) order_.push_back(static_cast<Slot>(row));
    }

    void apply(std::byte* rows, std::size_t stride) {
        if (stride == 0) return;
        std::fill(moved_.begin(), moved_.end(), false);
        for (std::size_t start = 0; start < order_.size(); ++start) {
            if (moved_[start] || order_[start] == start) continue;
            std::memcpy(held_.data(), rows + start * stride, stride);
            std::size_t to = start;
            for (std::size_t from = order_[to]; from != start; to = from, from = order_[to]) {
                std::memcpy(rows + to * stride, rows + from * stride, stride);
                moved_[to] = true;
            }
            std::memcpy(rows + to * stride, held_.data(), stride);
            moved_[to] = true;
        }
    }

  private:
    std::vector<Slot> order_;
    std::vector<std::byte> held_;
    std::vector<bool> moved_;
};

}  // namespace nearfield
