#include "quantize/grid.h"

#include <algorithm>
#include <array>
#include <cmath>

namespace nearfield {
namespace {

// The best uniform quantizer of a Gaussian has these steps, in units of its deviation (Max, IRE
// Trans. Inf. Theory 1960); vectors that are not Gaussian want others nearby.
constexpr std::array<float, max_grid_bits> best_step = {1.596f,  0.9957f, 0.5860f,  0.3352f,
                                                        0.1881f, 0.1041f, 0.05687f, 0.03076f};
// The best code of a vector is that of some step. From the usual one these are tried outwards while
// the angle gets smaller, then those beside the best by these shares of it.
constexpr std::array<float, 2> smaller = {0.9f, 0.8f};
constexpr std::array<float, 4> larger = {1.12f, 1.3f, 1.5f, 1.75f};
constexpr std::array<float, 2> beside = {0.06f, 0.03f};

/// Four sums at once let it vectorise; the order is fixed.
struct Sums {
    float dot[4] = {}, length2[4] = {};
    GridFit total() const {
        return {(dot[0] + dot[1]) + (dot[2] + dot[3]),
                (length2[0] + length2[1]) + (length2[2] + length2[3])};
    }
};

float level_of(float value, float inverse_step, float half) {
    const float level =
        std::min(std::max(value * inverse_step + half + 0.5f, 0.0f), 2 * half + 0.5f);
    return static_cast<float>(static_cast<std::int32_t>(level));
}

GridFit measure(const float* values, std::size_t dim, float inverse_step, float half) {
    Sums sums;
    const auto add = [&](std::size_t i, std::size_t lane) {
        const float y = level_of(values[i], inverse_step, half) - half;
        sums.dot[lane] += y * values[i];
        sums.length2[lane] += y * y;
    };
    std::size_t i = 0;
    for (; i + 4 <= dim; i += 4)
        for (std::size_t lane = 0; lane < 4; ++lane) add(i + lane, lane);
    for (; i < dim; ++i) add(i, 0);
    return sums.total();
}

float squared_cosine(const GridFit& fit) { return fit.dot * fit.dot / fit.length2; }

/// The best of the steps tried for a vector.
struct Search {
    const float* values;
    std::size_t dim;
    float half, inverse_step = 1, best = -1;
    GridFit fit{};

    /// Whether that is the best so far.
    bool attempt(float inverse) {
        const GridFit found = measure(values, dim, inverse, half);
        if (squared_cosine(found) <= best) return false;
        best = squared_cosine(found);
        inverse_step = inverse;
        fit = found;
        return true;
    }
};

}  // namespace

GridFit fit_grid(const float* values, std::size_t dim, int bits, std::uint8_t* levels) {
    float norm2 = 0;
    for (std::size_t i = 0; i < dim; ++i) norm2 += values[i] * values[i];
    const float half = static_cast<float>((1 << bits) - 1) / 2;
    if (!(norm2 > 1e-30f)) {
        std::fill_n(levels, dim, static_cast<std::uint8_t>(half));
        return {0, half * half * static_cast<float>(dim)};
    }
    const float step =
        best_step[static_cast<std::size_t>(bits - 1)] * std::sqrt(norm2 / static_cast<float>(dim));
    Search search{values, dim, half};
    search.attempt(1 / step);
    if (bits > 1) {  // signs do not depend on the step
        const auto attempt = [&](float factor) { return search.attempt(1 / (step * factor)); };
        if (attempt(smaller[0]))
            (void)std::all_of(smaller.begin() + 1, smaller.end(), attempt);
        else
            (void)std::all_of(larger.begin(), larger.end(), attempt);
        for (const float share : beside) {
            const float centre = search.inverse_step;
            if (!search.attempt(centre * (1 + share))) search.attempt(centre * (1 - share));
        }
        search.attempt(search.fit.length2 / search.fit.dot);  // the scale that suits the levels
    }
    for (std::size_t i = 0; i < dim; ++i)
        levels[i] = static_cast<std::uint8_t>(level_of(values[i], search.inverse_step, half));
    return search.fit;
}

}  // namespace nearfield
