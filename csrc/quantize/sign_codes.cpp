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
// Memory is asked so many bytes ahead, all lines of 64 rows at once and in their order: that
// streams twice as fast as a few lines between look-ups (python/nearfield/collection/README.md).
constexpr std::size_t rows_asked_for = 64, bytes_ahead = 12288;

}  // namespace

SignCodes::SignCodes(std::size_t dim) : dim_(dim), codes_(dim, bits) {}

template <class Bytes>
auto SignCodes::lane(Bytes& groups, Slot slot) const {
    constexpr std::size_t rows = BlockCodes::block_rows;
    return groups.data() + slot / max_scan * group_bytes() + terms_bytes +
           slot % max_scan / rows * codes_.block_bytes() + slot % rows;
}

template <class Bytes>
auto SignCodes::term(Bytes& groups, Slot slot, Term which) const {
    using Value = std::conditional_t<std::is_const_v<Bytes>, const float, float>;
    return reinterpret_cast<Value*>(groups.data() + slot / max_scan * group_bytes()) +
           which * max_scan + slot % max_scan;
}

std::size_t SignCodes::bytes_of(std::size_t slots) const {
    const std::size_t rest = slots % max_scan, rows = BlockCodes::block_rows;
    const std::size_t whole = slots / max_scan * group_bytes();
    if (rest == 0) return whole;
    return whole + terms_bytes + (rest + rows - 1) / rows * codes_.block_bytes();
}

void SignCodes::reserve(std::size_t slots) {
    const std::size_t bytes = bytes_of(slots);
    groups_.reserve(bytes < large ? bytes : std::max(bytes, large_page));
}

void SignCodes::resize(std::size_t slots) {
    reserve(slots);
    groups_.resize(bytes_of(slots));
}

void SignCodes::encode(Slot slot, const float* rotated, double length) {
    std::byte* out = lane(groups_, slot);
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
    *term(groups_, slot, scale) = static_cast<float>(factor);
    *term(groups_, slot, error) = static_cast<float>(
        std::sqrt(beside / static_cast<double>(std::max<std::size_t>(dim_, 2) - 1)) +
        1e-6 * length);
}

void SignCodes::take(Slot slot, const SignCodes& other, Slot from) {
    const std::byte* const in = lane(other.groups_, from);
    std::byte* const out = lane(groups_, slot);
    for (std::size_t at = 0; at < codes_.block_bytes(); at += BlockCodes::block_rows)
        out[at] = in[at];
    for (const Term which : {scale, error})
        *term(groups_, slot, which) = *term(other.groups_, from, which);
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
    constexpr std::size_t rows_a_block = BlockCodes::block_rows;
    const std::byte* const tables = query.tables.data();
    if (codes_.sums_pairs()) {
        const std::size_t bytes = group_bytes() * rows_asked_for / max_scan;
        const std::byte* ahead = groups_.data() + first / max_scan * group_bytes() + bytes_ahead;
        for (std::size_t row = 0; row < n; row += rows_asked_for, ahead += bytes) {
            for (std::size_t at = 0; at < bytes; at += kernels::cache_line)
                kernels::prefetch_near(ahead + at);
            const std::size_t blocks = std::min(rows_asked_for, n - row) / rows_a_block;
            codes_.sum_blocks(tables, lane(groups_, first + static_cast<Slot>(row)), blocks, false,
                              sums + row);
        }
    } else {
        codes_.sum_blocks(tables, lane(groups_, first), n / rows_a_block, true, sums);
    }
    return kernels::kernels().select_bound(
        sums, n, {add, term(groups_, first, scale), term(groups_, first, error)}, query.terms,
        threshold, rows, bounds);
}

}  // namespace nearfield
