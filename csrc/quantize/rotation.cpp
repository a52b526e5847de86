#include "quantize/rotation.h"

#include <bit>
#include <cmath>
#include <cstring>

#include "core/error.h"
#include "core/random.h"
#include "kernels/kernels.h"

namespace nearfield {
namespace {

// Between the rounds of two windows each entry meets its mirror image, so that windows that hardly
// overlap share their energy. Its own inverse. (Pairs half of dim apart would undo a butterfly of
// the transform before.)
constexpr std::size_t fold_before = 2;

void copy(const float* in, float* out, std::size_t dim) {
    if (in != out) std::memcpy(out, in, dim * sizeof(float));
}

}  // namespace

Rotation::Rotation(std::size_t dim, std::uint64_t seed) : dim_(dim) {
    require(dim >= 1, "dim must be at least 1, got ", dim);
    window_ = std::bit_floor(dim);
    const std::size_t last = dim - window_;
    // Three rounds for a power of two. Otherwise two rounds of two windows: measured on basis
    // vectors and on vectors with their energy in 1/16 of the entries, dims 3..1900, the fourth
    // moment and the largest entry are then those of Gaussian vectors; a third round adds nothing.
    const std::vector<std::size_t> offsets =
        last == 0 ? std::vector<std::size_t>{0, 0, 0} : std::vector<std::size_t>{0, last, 0, last};
    const auto scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(window_)));
    Random random(seed);
    for (const std::size_t offset : offsets) {
        Step step{offset, std::vector<float>(window_)};
        for (std::size_t i = 0; i < window_; i += 64) {
            std::uint64_t bits = random.next();
            for (std::size_t j = i; j < window_ && j < i + 64; ++j, bits >>= 1)
                step.factor[j] = bits & 1 ? -scale : scale;
        }
        steps_.push_back(std::move(step));
    }
}

void Rotation::apply(const float* in, float* out) const {
    copy(in, out, dim_);
    const kernels::Kernels& table = kernels::kernels();
    for (std::size_t s = 0; s < steps_.size(); ++s) {
        if (window_ != dim_ && s == fold_before) table.fold(out, dim_);
        float* const window = out + steps_[s].offset;
        table.multiply(steps_[s].factor.data(), window_, window);
        table.hadamard(window, window_);
    }
}

void Rotation::apply_inverse(const float* in, float* out) const {
    copy(in, out, dim_);
    const kernels::Kernels& table = kernels::kernels();
    for (std::size_t s = steps_.size(); s-- > 0;) {
        float* const window = out + steps_[s].offset;
        table.hadamard(window, window_);
        table.multiply(steps_[s].factor.data(), window_, window);
        if (window_ != dim_ && s == fold_before) table.fold(out, dim_);
    }
}

}  // namespace nearfield
