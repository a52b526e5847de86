#include "quantize/sign_codes.h"

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "kernels/prefetch.inl.h"

namespace nearfield {
namespace {

constexpr int bits = 3;  // of codes whose first is the sign
constexpr double deviations = 5;
// The tables of a query are rounded: by 0.29 units each, and there is one for at least four values.
constexpr double rounding_of_tables = 0.3;
// So much is worth a large page, though it may not fill it: on small ones a scan that begins with
// cold caches took half as long again.
constexpr std::size_t large = std::size_t{1} << 19, large_page = std::size_t{1} << 21;
constexpr std::size_t blocks_ahead = 8;

}  // namespace

SignCodes::SignCodes(std::size_t dim) : dim_(dim), codes_(dim, bits) {}

template <class Bytes>
auto SignCodes::lane(Bytes& blocks, Slot slot) const {
    return blocks.data() + slot / BlockCodes::block_rows * stride() + slot % BlockCodes::block_rows;
}

template <class Bytes>
auto SignCodes::term(Bytes& blocks, Slot slot, Term which) const {
    using Value = std::conditional_t<std::is_const_v<Bytes>, const float, float>;
    constexpr std::size_t rows = BlockCodes::block_rows;
    return reinterpret_cast<Value*>(blocks.data() + slot / rows * stride() + codes_.block_bytes()) +
           which * rows + slot % rows;
}

std::size_t SignCodes::block_bytes(std::size_t slots) const {
    return kernels::padded(slots, BlockCodes::block_rows) / BlockCodes::block_rows * stride();
}

void SignCodes::reserve(std::size_t slots) {
    const std::size_t bytes = block_bytes(slots);
    blocks_.reserve(bytes < large ? bytes : std::max(bytes, large_page));
}

void SignCodes::resize(std::size_t slots) {
    reserve(slots);
    blocks_.resize(block_bytes(slots));
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
    const double factor = product > 0 ? square / product : 0.0;
    const double beside = std::max(0.0, factor * factor * static_cast<double>(dim_) / 4 - square);
    *term(blocks_, slot, scale) = static_cast<float>(factor);
    *term(blocks_, slot, error) = static_cast<float>(
        std::sqrt(beside / static_cast<double>(std::max<std::size_t>(dim_, 2) - 1)) +
        1e-6 * length);
}

void SignCodes::take(Slot slot, const SignCodes& other, Slot from) {
    const std::byte* const in = lane(other.blocks_, from);
    std::byte* const out = lane(blocks_, slot);
    for (std::size_t at = 0; at < codes_.block_bytes(); at += BlockCodes::block_rows)
        out[at] = in[at];
    for (const Term which : {scale, error})
        *term(blocks_, slot, which) = *term(other.blocks_, from, which);
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
    constexpr std::size_t block_rows = BlockCodes::block_rows;
    alignas(64) std::int32_t sums[max_scan];
    codes_.scan_first(
        query.tables.data(),
        {blocks_.data() + first / block_rows * stride(), n / block_rows, stride(), true}, sums);
    std::size_t found = 0;
    for (std::size_t at = 0; at < n; at += block_rows) {
        const Slot slot = first + static_cast<Slot>(at);
        const float* const scales = term(blocks_, slot, scale);
        kernels::prefetch_range(
            reinterpret_cast<const std::byte*>(scales) + blocks_ahead * stride(),
            n_terms * block_rows * sizeof(float));
        const std::size_t kept = kernels::kernels().select_bound(
            sums + at, block_rows, {add + at, scales, term(blocks_, slot, error)}, query.terms,
            threshold, rows + found, bounds + found);
        for (const std::size_t end = found + kept; found < end; ++found)
            rows[found] += static_cast<std::uint32_t>(at);
    }
    return found;
}

}  // namespace nearfield
