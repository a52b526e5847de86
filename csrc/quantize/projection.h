// The directions in which vectors vary most, so that codes can do without the others.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/buffer.h"
#include "core/run.h"
#include "core/state.h"

namespace nearfield {

/// Orthonormal rows that span the directions of largest variance of `rows` (n, dim), which are
/// centred; the leading ones first; (out_dim, dim).
std::vector<float> principal_basis(const std::vector<float>& rows, std::size_t dim,
                                   std::size_t out_dim, std::uint64_t seed, const Run& run);

/// A linear map onto the principal subspace of a sample, turned at random within it so that no
/// output outweighs the others, and rounded to 8 bits: applying it is integer arithmetic, the same on
/// every CPU. Threads: any number may apply at once.
class Projection {
  public:
    /// Of nothing: none() is true and it must not be applied.
    Projection() = default;
    /// The first out_dim rows of a principal_basis of vectors in which no dimension outweighs the
    /// others (Rotation); dim <= max_dim.
    Projection(const std::vector<float>& basis, std::size_t dim, std::size_t out_dim,
               std::uint64_t seed);
    static constexpr std::size_t max_dim = 4096;

    bool none() const { return out_dim_ == 0; }
    std::size_t out_dim() const { return out_dim_; }
    std::size_t bytes() const { return matrix_.size(); }

    /// Nothing where there is none.
    void state(StateWriter& out) const;
    /// For vectors of `dim`.
    void load(StateReader& in, std::size_t dim);

    struct Scratch {
        Buffer ints, dots;
    };
    /// `in` (dim,), `out` (out_dim,).
    void apply(const float* in, Scratch& scratch, float* out) const;

  private:
    std::size_t dim_ = 0, stride_ = 0, out_dim_ = 0;
    float step_ = 1;
    Buffer matrix_;  // (out_dim, stride) value + 128
};

}  // namespace nearfield
