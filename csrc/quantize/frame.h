// The coordinates in which vectors are coded: centred, scaled to a mean squared norm of 1, rotated.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "core/run.h"
#include "core/types.h"
#include "quantize/rotation.h"

namespace nearfield {

/// Threads: const calls may run at once.
class Frame {
  public:
    /// Rotated at random, or not at all.
    Frame(std::size_t dim, bool random_rotation, std::uint64_t seed);

    /// Takes centre and scale from rows (n, dim).
    void train(const MatrixView& rows);
    /// Turns what comes out by an orthogonal matrix (dim, dim) more: out = matrix * before.
    void turn(std::vector<float> matrix);

    std::size_t dim() const { return dim_; }
    float scale() const { return scale_; }
    const std::vector<float>& centre() const { return centre_; }
    const std::vector<float>& matrix() const { return matrix_; }
    void restore(std::vector<float> centre, float scale, std::vector<float> matrix);

    /// `in` and `out` (dim,) differ. Without centring for a query under a plain dot product.
    void apply(const float* in, bool centred, float* out) const;
    void apply_inverse(const float* in, float* out) const;

  private:
    std::size_t dim_;
    std::optional<Rotation> rotation_;
    std::vector<float> centre_;
    float scale_ = 1;
    std::vector<float> matrix_;  // empty: none
};

/// The rotation R that lets a product quantizer of m subspaces represent R x best (OPQ without
/// parameters: Ge, He, Ke & Sun, CVPR 2013): codes and rotation improve in turn.
/// `rows` (n, dim); returns (dim, dim).
std::vector<float> product_rotation(const MatrixView& rows, std::size_t m, int bits,
                                    std::uint64_t seed, const Run& run);

/// out (n, dim): row i of `rows` turned by the matrix.
void turn_rows(const MatrixView& rows, const std::vector<float>& matrix, float* out,
               const Run& run);

}  // namespace nearfield
