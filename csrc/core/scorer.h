// The seam between searching and measuring: an index never learns the metric, the quantizer or the
// instruction set.
#pragma once

#include <cstddef>

#include "core/types.h"

namespace nearfield {

/// Distances from one query to stored rows. Virtual calls are per batch of slots, never per row.
/// One scorer serves one thread.
class Scorer {
  public:
    virtual ~Scorer() = default;
    /// `query` (dim,) must outlive its use.
    virtual void set_query(const float* query) = 0;
    virtual void score(const Slot* slots, std::size_t n, float* distances) const = 0;
    /// Rows [first, first + n).
    virtual void score_rows(Slot first, std::size_t n, float* distances) const = 0;
};

}  // namespace nearfield
