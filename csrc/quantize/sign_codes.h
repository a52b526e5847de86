// One bit a dimension: a scan of a thirtieth of the bytes of float rows rules nearly all of them
// out.
#pragma once

#include <cstddef>

#include "core/buffer.h"
#include "core/types.h"
#include "kernels/kernels.h"
#include "quantize/split_codes.h"

namespace nearfield {

/// The signs y of a vector x that was rotated at random, with f = |x|^2 / (x.y): f (y.q) estimates
/// x.q with a deviation of |q| sqrt(f^2 |y|^2 - |x|^2) / sqrt(dim - 1) (RaBitQ: Gao & Long, SIGMOD
/// 2024). Five deviations below the estimate is a bound that holds but for one row in three
/// million; where q is x itself the estimate is exact.
class SignCodes {
  public:
    explicit SignCodes(std::size_t dim);

    void resize(std::size_t slots);
    void reserve(std::size_t slots);
    /// See Buffer.
    void touch(std::size_t slots) { groups_.touch(bytes_of(slots)); }
    std::size_t bytes() const { return groups_.size(); }
    /// `rotated` (dim,), of norm `length`. Different slots may be encoded by different threads.
    void encode(Slot slot, const float* rotated, double length);
    /// Copies the code `from` of others.
    void take(Slot slot, const SignCodes& other, Slot from);

    struct Query {
        Buffer tables;
        kernels::BoundQuery terms{};
    };
    /// `query` is rotated, of norm `length`. A bound is what BoundRows says, with `factor` products
    /// and `constant` in it.
    void prepare(const BlockCodes::Query& query, double length, float factor, float constant,
                 Query& out) const;
    /// Rows i of [0, n) from `first` on, a multiple of max_scan, whose bound is <= threshold,
    /// ascending; n <= max_scan, a multiple of 32. `add` (n,): what belongs to rows alone.
    std::size_t survivors(const Query& query, Slot first, std::size_t n, const float* add,
                          float threshold, std::uint32_t* rows, float* bounds) const;

    static constexpr std::size_t max_scan = 256;

  private:
    /// What of a row goes into its bound beside the code.
    enum Term : std::size_t { scale, error, n_terms };

    /// max_scan rows lie together, their terms and then their blocks: one stream that a scan reads
    /// from front to back.
    std::size_t group_bytes() const {
        return terms_bytes + max_scan / BlockCodes::block_rows * codes_.block_bytes();
    }
    std::size_t bytes_of(std::size_t slots) const;
    /// The first byte of a slot's code; the others follow 32 bytes apart.
    template <class Bytes>
    auto lane(Bytes& groups, Slot slot) const;
    /// That of a slot, and then those of the slots that follow in its group.
    template <class Bytes>
    auto term(Bytes& groups, Slot slot, Term which) const;

    static constexpr std::size_t terms_bytes = n_terms * max_scan * sizeof(float);

    std::size_t dim_;
    SplitCodes codes_;  // of which the first bits alone are used
    Buffer groups_;
};

}  // namespace nearfield
