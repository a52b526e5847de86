// Which slots a query has met, where a vector may come more than once.
#pragma once

#include <bit>
#include <cstddef>
#include <vector>

#include "core/types.h"

namespace nearfield {

/// Open addressing, at most half full.
class SlotSet {
  public:
    /// Empties it and makes room for n slots.
    void reset(std::size_t n) { places_.assign(std::bit_ceil(2 * n + 2), no_slot); }
    /// Whether the slot is new to it; at most n may be.
    bool insert(Slot slot) {
        const std::size_t mask = places_.size() - 1;
        std::size_t at = (slot * std::size_t{0x9e3779b97f4a7c15} >> 32) & mask;
        for (; places_[at] != no_slot; at = (at + 1) & mask)
            if (places_[at] == slot) return false;
        places_[at] = slot;
        return true;
    }

  private:
    std::vector<Slot> places_;
};

}  // namespace nearfield
