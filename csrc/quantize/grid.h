// One vector on the uniform grid that lies closest to it in angle.
#pragma once

#include <cstddef>
#include <cstdint>

namespace nearfield {

inline constexpr int max_grid_bits = 8;

/// Value i of the code y is levels[i] - (2^bits - 1) / 2.
struct GridFit {
    float dot = 0;      // values . y
    float length2 = 0;  // |y|^2
};

/// Chooses levels (dim,) in 0..2^bits - 1 so that the cosine of values and y is large: those of the
/// best of some steps, as the code of least angle is that of one step for all values (Gao et al.,
/// arXiv:2409.09913). All zeros give dot 0. Deterministic; the same on every instruction set.
GridFit fit_grid(const float* values, std::size_t dim, int bits, std::uint8_t* levels);

}  // namespace nearfield
