#include "quantize/int_rows.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "core/thread_pool.h"

namespace nearfield {
namespace {

// Entries beyond this quantile of the sample are clipped: a few outliers must not coarsen the grid.
constexpr double clipped_share = 2e-4;
// The kernels read and write whole registers.
constexpr std::size_t slack = 64;
constexpr std::size_t rows_a_piece = 4096;

template <class T>
T* grown(Buffer& buffer, std::size_t n) {
    if (buffer.size() < n * sizeof(T) + slack) buffer.resize(n * sizeof(T) + slack);
    auto address = reinterpret_cast<std::uintptr_t>(buffer.data());
    return reinterpret_cast<T*>((address + 63) / 64 * 64);
}

}  // namespace

IntRows::IntRows(const ScalarCodes& codes, const std::vector<float>& sample)
    : dim_(codes.compact_dim()) {
    std::vector<float> sizes(sample.size());
    std::transform(sample.begin(), sample.end(), sizes.begin(),
                   [](float value) { return std::abs(value); });
    const auto kth =
        sizes.begin() +
        static_cast<std::ptrdiff_t>(static_cast<double>(sizes.size() - 1) * (1 - clipped_share));
    std::nth_element(sizes.begin(), kth, sizes.end());
    if (*kth > 1e-20f) inverse_step_ = 127 / *kth;
}

void IntRows::resize(std::size_t rows) {
    rows_.resize(rows * dim_ + slack);
    terms_.resize(rows);
    excess_.resize(rows);
}

void IntRows::put(std::size_t i, const float* rotated) {
    std::uint8_t* const row = rows_.as<std::uint8_t>() + i * dim_;
    double norm = 0;
    std::int32_t sum = 0;
    for (std::size_t j = 0; j < dim_; ++j) {
        const float scaled = std::clamp(rotated[j] * inverse_step_, -127.0f, 127.0f);
        const auto value = static_cast<std::int32_t>(std::lrint(scaled));
        row[j] = static_cast<std::uint8_t>(value + 128);
        norm += static_cast<double>(value * value);
        sum += value;
    }
    terms_[i] = static_cast<float>(norm);
    excess_[i] = 128 * sum;
}

void IntRows::copy_left(std::size_t i, std::int8_t* out) const {
    const std::uint8_t* const in = row(i);
    for (std::size_t j = 0; j < dim_; j += 64) {  // by words, or the loop is a tenth of a build
        std::uint64_t words[8];
        std::memcpy(words, in + j, sizeof words);
        for (std::uint64_t& word : words) word ^= 0x8080808080808080;
        std::memcpy(out + j, words, sizeof words);
    }
}

void IntRows::reorder(const std::vector<Slot>& order, const Run& run) {
    IntRows fresh(dim_);
    fresh.inverse_step_ = inverse_step_;
    fresh.resize(order.size());
    parallel_for(
        run, order.size(), rows_a_piece, [&](std::size_t begin, std::size_t end, std::size_t) {
            for (std::size_t i = begin; i < end; ++i) {
                std::memcpy(fresh.rows_.as<std::uint8_t>() + i * dim_, row(order[i]), dim_);
                fresh.terms_[i] = terms_[order[i]];
                fresh.excess_[i] = excess_[order[i]];
            }
        });
    *this = std::move(fresh);
}

std::int8_t* TileScratch::left(std::size_t n, std::size_t dim) {
    return grown<std::int8_t>(left_, n * dim);
}
std::uint8_t* TileScratch::right(std::size_t n, std::size_t dim) {
    return grown<std::uint8_t>(right_, n * dim);
}
std::uint8_t* TileScratch::panels(std::size_t n, std::size_t dim) {
    return grown<std::uint8_t>(panels_, kernels::padded(n, kernels::panel_rows) * dim);
}
std::int32_t* TileScratch::out(std::size_t m, std::size_t n) {
    return grown<std::int32_t>(out_, m * kernels::padded(n, kernels::panel_rows));
}

}  // namespace nearfield
