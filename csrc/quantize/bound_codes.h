// 8-bit codes that never lie: each gives a lower bound on the distance to its vector, so a scan at
// a quarter of the bytes finds every vector that could be among the nearest.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "core/buffer.h"
#include "core/state.h"
#include "core/types.h"
#include "kernels/kernels.h"
#include "quantize/rotation.h"
#include "quantize/sign_codes.h"

namespace nearfield {

/// With y = R x (a rotation, so that no dimension outweighs the others), y = s c + e for int8 c,
/// and p = R q = t d + r likewise:  |q.x - t s c.d| <= |t d| |e| + |r| |y|  (Cauchy-Schwarz).
/// Rounding of the float sums is bounded by (dim + 32) * 2^-23 of the largest possible product and
/// added.
class BoundCodes {
  public:
    BoundCodes(std::size_t dim, const kernels::MetricInfo& metric);

    /// Keeps signs too, of codes that are encoded from now on; there must be none yet. Queries that
    /// prepare_one() made ready then pass over nearly all rows by them, with the odds of SignCodes.
    void keep_signs() { signs_.emplace(dim_); }
    bool keeps_signs() const { return signs_.has_value(); }
    void resize(std::size_t slots);
    void reserve(std::size_t slots);
    /// See Buffer.
    void touch(std::size_t slots);
    std::size_t size() const { return size_; }
    /// `row` (dim,) as stored. Different slots may be encoded by different threads; the caller then
    /// passes the largest norm seen to cover().
    float encode(Slot slot, const float* row);
    /// Bounds hold for rows with norms up to this one; it only grows.
    void cover(float norm) { max_norm_ = norm > max_norm_ ? norm : max_norm_; }
    void compact(const std::vector<Slot>& old_slots);
    /// Copies the code `from` of other codes of the same kind, and covers what they cover.
    void take(Slot slot, const BoundCodes& other, Slot from);
    std::size_t bytes() const {
        return codes_.size() + add_.size() + scale_.size() + error_.size() +
               (signs_ ? signs_->bytes() : 0);
    }
    std::size_t code_bytes() const { return stride_; }

    /// Queries made ready for scanning.
    struct QueryBlock {
        std::size_t n = 0;
        Buffer codes;  // (n, code_dim) int8
        std::vector<kernels::BoundQuery> terms;
        std::optional<SignCodes::Query> signs;
        std::vector<float> looks;  // bounds of the first rows by their signs
    };
    void prepare(const MatrixView& queries, QueryBlock& block) const;
    /// The same for one query (dim,), and its signs where they are kept.
    void prepare_one(const float* query, QueryBlock& block) const;

    /// What one thread needs to scan for a whole block.
    struct Scratch {
        Buffer panels, dots;
    };

    /// Slots in [first, first + n) whose bound for query i is <= threshold, ascending; n <=
    /// max_scan.
    std::size_t survivors(const QueryBlock& block, std::size_t i, Slot first, std::size_t n,
                          float threshold, Slot* slots, float* bounds) const;
    /// The same by codes alone.
    std::size_t scan_codes(const QueryBlock& block, std::size_t i, Slot first, std::size_t n,
                           float threshold, Slot* slots, float* bounds) const;
    /// survivors() in two steps where signs are kept, so that memory is asked for what many rows
    /// need before any of it is used. What signs leave of these rows, ascending, for recheck(), or
    /// too_many; threshold < infinity.
    std::size_t glance(const QueryBlock& block, Slot first, std::size_t n, float threshold,
                       Slot* slots) const;
    static constexpr std::size_t too_many = ~std::size_t{0};
    /// Leaves those of slots[0, n) whose bound is <= threshold, and returns how many; n <=
    /// max_scan.
    std::size_t recheck(const QueryBlock& block, float threshold, std::size_t n, Slot* slots,
                        float* bounds) const;
    /// Has the block keep what signs say of the first rows, up to n, in whole blocks of them: then
    /// survivors() need not look again. For what prepare_one() made ready.
    void look(std::size_t n, QueryBlock& block) const;
    /// Dot products of every query of the block with rows [first, first + n), for select() below.
    void scan(const QueryBlock& block, Slot first, std::size_t n, Scratch& scratch) const;
    /// As survivors(), reading what scan() left.
    std::size_t select(const QueryBlock& block, const Scratch& scratch, std::size_t i, Slot first,
                       std::size_t n, float threshold, Slot* slots, float* bounds) const;

    /// The codes of the first `slots` rows.
    void state(StateWriter& out, std::size_t slots) const;
    void load(StateReader& in, std::size_t slots);

    static constexpr std::size_t max_scan = 256;

  private:
    /// What a query of this norm adds to every bound: rounding, and the constant of the metric.
    float slack(double length) const;
    /// What belongs to rows alone, for max_scan of them.
    const float* norms(Slot first) const;
    std::size_t pick(const std::int32_t* dots, const kernels::BoundQuery& terms, Slot first,
                     std::size_t n, float threshold, Slot* slots, float* bounds) const;

    std::size_t dim_, code_dim_, stride_;
    const kernels::MetricInfo& metric_;
    Rotation rotation_;
    std::size_t size_ = 0;
    float max_norm_ = 0;
    Buffer codes_, add_, scale_, error_;
    std::optional<SignCodes> signs_;
};

}  // namespace nearfield
