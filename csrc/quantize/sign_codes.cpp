#include "quantize/sign_codes.h"

#include <algorithm>
#include <cmath>

namespace nearfield {
namespace {

constexpr int bits = 3;  // of codes whose first is the sign
constexpr double deviations = 5;
// The tables of a query are rounded: by 0.29 units each, and there is one for at least four values.
constexpr double rounding_of_tables = 0.3;

}  // namespace

SignCodes::SignCodes(std::size_t dim) : dim_(dim), codes_(dim, bits) {}

template <class Bytes>
auto SignCodes::lane(Bytes& blocks, Slot slot) const {
    return blocks.data() + slot / BlockCodes::block_rows * codes_.block_bytes() +
           slot % BlockCodes::block_rows;
}

std::size_t SignCodes::block_bytes(std::size_t slots) const {
    return kernels::padded(slots, BlockCodes::block_rows) / BlockCodes::block_rows *
           codes_.block_bytes();
}

void SignCodes::reserve(std::size_t slots) {
    scale_.reserve(slots * sizeof(float));
    error_.reserve(slots * sizeof(float));
    blocks_.reserve(block_bytes(slots));
}

void SignCodes::resize(std::size_t slots) {
    reserve(slots);
    blocks_.resize(block_bytes(slots));
    scale_.resize(slots * sizeof(float));
    error_.resize(slots * sizeof(float));
}

void SignCodes::encode(Slot slot, const float* rotated, double length) {
    std::byte* out = lane(blocks_, slot);
    float sums[8] = {};
    for (std::size_t i = 0; i < dim_; i += 8, out += BlockCodes::block_rows) {
        unsigned byte = 0;
        for (std::size_t j = 0; j < std::min<std::size_t>(8, dim_ - i); ++j) {
            byte |= (rotated[i + j] < 0 ? 0u : 1u) << j;
            sums[j] += std::abs(rotated[i + j]);
        }
        *out = static_cast<std::byte>(byte);
    }
    double product = 0;  // with signs of one half
    for (const float sum : sums) product += static_cast<double>(sum) / 2;
    const double square = length * length;
    const double scale = product > 0 ? square / product : 0.0;
    const double beside = std::max(0.0, scale * scale * static_cast<double>(dim_) / 4 - square);
    scale_.as<float>()[slot] = static_cast<float>(scale);
    error_.as<float>()[slot] = static_cast<float>(
        std::sqrt(beside / static_cast<double>(std::max<std::size_t>(dim_, 2) - 1)) +
        1e-6 * length);
}

void SignCodes::take(Slot slot, const SignCodes& other, Slot from) {
    const std::byte* const in = lane(other.blocks_, from);
    std::byte* const out = lane(blocks_, slot);
    for (std::size_t at = 0; at < codes_.block_bytes(); at += BlockCodes::block_rows)
        out[at] = in[at];
    scale_.as<float>()[slot] = other.scale_.as<float>()[from];
    error_.as<float>()[slot] = other.error_.as<float>()[from];
}

void SignCodes::prepare(const BlockCodes::Query& query, double length, float factor, float constant,
                        Query& out) const {
    out.tables.resize(codes_.query_bytes());
    const BlockCodes::Terms terms = codes_.prepare(query, out.tables.data());
    const double margin =
        deviations * rounding_of_tables * std::sqrt(static_cast<double>(dim_) / 4) + 1;
    out.terms = {terms.shift - static_cast<std::int32_t>(std::ceil(margin)), factor * terms.unit,
                 factor * static_cast<float>(deviations * length), constant};
}

std::size_t SignCodes::survivors(const Query& query, Slot first, std::size_t n, const float* add,
                                 float threshold, std::uint32_t* rows, float* bounds) const {
    alignas(64) std::int32_t sums[max_scan];
    thread_local BlockCodes::Scratch scratch;
    codes_.scan(query.tables.data(), 1,
                blocks_.data() + first / BlockCodes::block_rows * codes_.block_bytes(),
                kernels::padded(n, BlockCodes::block_rows) / BlockCodes::block_rows, sums, max_scan,
                scratch);
    return kernels::kernels().select_bound(
        sums, n, {add, scale_.as<float>() + first, error_.as<float>() + first}, query.terms,
        threshold, rows, bounds);
}

}  // namespace nearfield
