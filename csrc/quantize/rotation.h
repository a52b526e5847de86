// A random orthogonal map in O(dim log dim), for any dim and without padding.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace nearfield {

/// Rounds of random signs and a Walsh-Hadamard transform (Ailon & Chazelle, SICOMP 2009). A dim
/// that is not a power of two is covered by two overlapping transforms of the largest power of two
/// that fits, and the halves are mixed between the rounds. The same dim and seed give the same bits
/// on every platform and instruction set. Threads: any number may apply at once; it never changes
/// after construction.
class Rotation {
  public:
    /// Throws std::invalid_argument unless dim >= 1.
    Rotation(std::size_t dim, std::uint64_t seed);

    /// `in` and `out` are (dim,) and may be the same array; lengths are kept up to rounding.
    void apply(const float* in, float* out) const;
    /// Undoes apply up to rounding.
    void apply_inverse(const float* in, float* out) const;

    std::size_t dim() const { return dim_; }

  private:
    /// Signs, scaled so that the transform after them keeps lengths; then that transform.
    struct Step {
        std::size_t offset;         // first entry of the window
        std::vector<float> factor;  // (window_,)
    };

    std::size_t dim_;
    std::size_t window_;  // largest power of two <= dim
    std::vector<Step> steps_;
};

}  // namespace nearfield
