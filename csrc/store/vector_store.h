// Rows of vectors in one element type, by slot, and the exact distances to them.
#pragma once

#include <cstddef>
#include <memory>
#include <string_view>
#include <vector>

#include "core/buffer.h"
#include "core/permute.h"
#include "core/scorer.h"
#include "core/state.h"
#include "core/types.h"
#include "kernels/kernels.h"

namespace nearfield {

/// Rows are packed without gaps. int8 rows keep a float scale each: value = scale * code; rows of
/// integers in -127..127 are kept exactly (scale 1), others take scale = max|x| / 127.
class VectorStore {
  public:
    VectorStore(std::size_t dim, kernels::Scalar dtype);

    std::size_t dim() const { return dim_; }
    std::size_t size() const { return size_; }
    kernels::Scalar dtype() const { return dtype_; }
    const std::byte* row(Slot slot) const { return rows_.data() + slot * stride_; }
    std::size_t stride() const { return stride_; }

    /// New rows are zero. Throws std::bad_alloc and changes nothing when memory is short.
    void resize(std::size_t slots);
    void reserve(std::size_t slots);
    /// See Buffer.
    void touch(std::size_t slots);
    /// `vector` (dim,). Threads may put different slots at once.
    void put(Slot slot, const float* vector);
    /// The stored value, which may have been rounded. `vector` (dim,).
    void get(Slot slot, float* vector) const;
    /// Moves row old_slots[i] to slot i, for ascending old_slots, and drops the rest.
    void compact(const std::vector<Slot>& old_slots);

    /// Gives all rows new slots and drops those from `slots` on. Rows are at most stride() or
    /// scale_bytes wide.
    void reorder(Permutation& order, std::size_t slots);
    static constexpr std::size_t scale_bytes = 2 * sizeof(float);
    /// Copies row `from` of a store of the same kind.
    void take(Slot slot, const VectorStore& other, Slot from);

    std::unique_ptr<Scorer> scorer(const kernels::MetricInfo& metric) const;
    std::size_t bytes() const { return rows_.size() + scales_.size(); }

    /// The first `slots` rows.
    void state(StateWriter& out, std::size_t slots) const;
    /// Replaces all rows by the `slots` that the state holds.
    void load(StateReader& in, std::size_t slots);

  private:
    friend class IntegerScorer;
    void trim();

    std::size_t dim_, stride_;
    kernels::Scalar dtype_;
    std::size_t size_ = 0;
    Buffer rows_;
    Buffer scales_;  // int8 only: per row scale and squared norm
};

/// "float32", "float16", "bfloat16" or "int8". Throws std::invalid_argument, whose text says so
/// where the argument may be None.
kernels::Scalar parse_dtype(std::string_view name, const char* argument = "dtype",
                            bool or_none = false);
const char* dtype_name(kernels::Scalar dtype);
std::size_t dtype_bytes(kernels::Scalar dtype);

}  // namespace nearfield
