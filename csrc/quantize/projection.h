// The directions in which vectors vary most, so that codes can do without the others.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/buffer.h"
#include "core/run.h"
#include "core/state.h"
#include "kernels/kernels.h"

namespace nearfield {

/// Orthonormal rows that span the directions of largest variance of `rows` (n, dim), which are
/// centred; the leading ones first; (out_dim, dim).
std::vector<float> principal_basis(const std::vector<float>& rows, std::size_t dim,
                                   std::size_t out_dim, std::uint64_t seed, const Run& run);

/// A linear map onto the principal subspace of a sample, turned at random within it so that no
/// output outweighs the others, and rounded to 8 bits: applying it is integer arithmetic, the same
/// on every CPU. Threads: any number may apply at once.
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

    /// Nothing where there is none.
    void state(StateWriter& out) const;
    /// For vectors of `dim`.
    void load(StateReader& in, std::size_t dim);

    /// What an input was multiplied by to be rounded to bytes, and the sum of these.
    struct Rounded {
        float factor;
        std::int32_t sum;
    };
    struct Scratch {
        Buffer ints, dots;
        std::vector<Rounded> rounded;
    };
    /// `in` (dim,), `out` (out_dim,).
    void apply(const float* in, Scratch& scratch, float* out) const;
    /// As apply for some vectors at once, with the same results: put() each in its place in [0, n),
    /// multiply(), and get() each. The matrix is read once for all.
    void put(std::size_t i, std::size_t n, const float* in, Scratch& scratch) const;
    void multiply(std::size_t n, Scratch& scratch) const;
    void get(std::size_t i, const Scratch& scratch, float* out) const;

  private:
    void pack();
    Rounded round(const float* in, std::int8_t* ints) const;
    void scale(const std::int32_t* dots, const Rounded& rounded, float* out) const;
    std::size_t dots_stride() const { return kernels::padded(out_dim_, kernels::panel_rows); }

    std::size_t dim_ = 0, stride_ = 0, out_dim_ = 0;
    float step_ = 1;
    Buffer matrix_;  // (out_dim, stride) value + 128
    Buffer panels_;  // the same, packed for products of tiles
};

}  // namespace nearfield
