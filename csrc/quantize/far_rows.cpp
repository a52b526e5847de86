#include "quantize/far_rows.h"

#include <algorithm>
#include <cmath>

#include "kernels/kernels.h"

namespace nearfield {
namespace {

// Vectors so many times as far from the mean as half of them, if they are so few, are learned from
// last of all: one of 10,000 times the length among a hundred would be all that a mean shows.
constexpr float far_away = 30, alike = 1e-7f;
constexpr double most_far = 0.1;
// Squared norms in the frame, where most are near 1: of the farthest vector, if the others need
// not be shorter than this for it. Both are written as float16.
constexpr double largest_square = 40'000, smallest_square = 1.0 / 4000;

/// Squared distances from a point.
std::vector<float> distances_from(const std::vector<float>& point, const MatrixView& rows) {
    std::vector<float> away(rows.rows);
    kernels::kernels().rows[0][static_cast<std::size_t>(kernels::Metric::l2)](
        point.data(), rows.data, rows.rows, rows.dim, rows.dim * sizeof(float), away.data());
    return away;
}

std::vector<float> mean_of(const MatrixView& rows) {
    std::vector<double> sum(rows.dim, 0.0);
    for (std::size_t i = 0; i < rows.rows; ++i)
        for (std::size_t j = 0; j < rows.dim; ++j) sum[j] += static_cast<double>(rows.row(i)[j]);
    std::vector<float> mean(rows.dim);
    for (std::size_t j = 0; j < rows.dim; ++j)
        mean[j] = static_cast<float>(sum[j] / static_cast<double>(rows.rows));
    return mean;
}

float median(std::vector<float> values) {
    const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
    std::nth_element(values.begin(), middle, values.end());
    return *middle;
}

}  // namespace

MatrixView without_far(const MatrixView& rows, std::size_t least, std::vector<float>& copies) {
    const std::vector<float> away = distances_from(mean_of(rows), rows);
    const float middle = median(away), most = far_away * far_away * middle;
    std::size_t far = 0;
    for (const float distance : away) far += distance > most;
    const std::size_t left = rows.rows - far;
    if (far == 0 || left < least ||
        static_cast<double>(far) > most_far * static_cast<double>(rows.rows))
        return rows;
    copies.resize(left * rows.dim);
    float* to = copies.data();
    for (std::size_t i = 0; i < rows.rows; ++i)
        if (away[i] <= most) to = std::copy_n(rows.row(i), rows.dim, to);
    const MatrixView near{copies.data(), left, rows.dim};
    // Where most are alike, the few others are what there is to tell apart.
    return median(distances_from(mean_of(near), near)) > alike * middle ? near : rows;
}

void train_frame(Frame& frame, const MatrixView& rows, const MatrixView& all) {
    frame.train(rows);
    const std::vector<float> away = distances_from(frame.centre(), all);
    const double farthest = *std::max_element(away.begin(), away.end());
    const double square = static_cast<double>(frame.scale()) * frame.scale() * farthest;
    if (square <= largest_square || !std::isfinite(farthest)) return;
    // By a power of two, as distances differ in their last bits from one CPU to another.
    const double shrunk = std::sqrt(std::max(largest_square / square, smallest_square));
    frame.restore(frame.centre(), std::ldexp(frame.scale(), std::ilogb(shrunk)), {});
}

}  // namespace nearfield
