#include "quantize/split_codes.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "quantize/grid.h"

namespace nearfield {
namespace {

std::size_t row_size(std::size_t dim, int low_bits) {
    return kernels::padded(dim * static_cast<std::size_t>(low_bits), 256) / 8;
}

}  // namespace

SplitCodes::SplitCodes(std::size_t dim, int bits)
    : dim_(dim),
      low_bits_(bits - 1),
      six_(kernels::kernels().lookup6_sums != nullptr),
      pairs_(kernels::padded(dim, 16) / 8),
      row_bytes_(row_size(dim, low_bits_)) {}

void SplitCodes::encode(const float* vector, std::uint8_t* code) const {
    fit_grid(vector, dim_, low_bits_ + 1, code);
}

void SplitCodes::decode(const std::uint8_t* code, float* y) const {
    const float half = static_cast<float>((2 << low_bits_) - 1) / 2;
    for (std::size_t i = 0; i < dim_; ++i) y[i] = static_cast<float>(code[i]) - half;
}

void SplitCodes::decode_first(const std::uint8_t* code, float* y) const {
    for (std::size_t i = 0; i < dim_; ++i) y[i] = code[i] >> low_bits_ ? 0.5f : -0.5f;
}

void SplitCodes::pack(const std::uint8_t* code, std::size_t lane, std::byte* block) const {
    auto* const bytes = reinterpret_cast<std::uint8_t*>(block);
    for (std::size_t g = 0; g < pairs_; ++g) bytes[g * block_rows + lane] = 0;
    for (std::size_t i = 0; i < dim_; ++i) {
        std::uint8_t& byte = bytes[i / 8 * block_rows + lane];
        byte = static_cast<std::uint8_t>(byte | code[i] >> low_bits_ << i % 8);
    }
}

void SplitCodes::unpack(const std::byte* block, std::size_t lane, std::uint8_t* code) const {
    const auto* const bytes = reinterpret_cast<const std::uint8_t*>(block);
    for (std::size_t i = 0; i < dim_; ++i)
        code[i] =
            static_cast<std::uint8_t>((bytes[i / 8 * block_rows + lane] >> i % 8 & 1) << low_bits_);
}

void SplitCodes::pack_row(const std::uint8_t* code, std::byte* row) const {
    auto* const bytes = reinterpret_cast<std::uint8_t*>(row);
    std::memset(bytes, 0, row_bytes_);
    const unsigned mask = (1u << low_bits_) - 1;
    for (std::size_t i = 0; i < dim_; ++i) {
        const auto shift = i / row_bytes_ * static_cast<std::size_t>(low_bits_);
        std::uint8_t& byte = bytes[i % row_bytes_];
        byte = static_cast<std::uint8_t>(byte | (code[i] & mask) << shift);
    }
}

void SplitCodes::unpack_row(const std::byte* row, std::uint8_t* code) const {
    const auto* const bytes = reinterpret_cast<const std::uint8_t*>(row);
    const unsigned mask = (1u << low_bits_) - 1;
    for (std::size_t i = 0; i < dim_; ++i) {
        const auto shift = i / row_bytes_ * static_cast<std::size_t>(low_bits_);
        code[i] = static_cast<std::uint8_t>(code[i] | (bytes[i % row_bytes_] >> shift & mask));
    }
}

std::size_t SplitCodes::query_bytes() const {
    const std::size_t ints = row_bytes_ * 8 / static_cast<std::size_t>(low_bits_);
    return kernels::padded(table_bytes() + ints, 64);
}

std::size_t SplitCodes::value_of(std::size_t t, std::size_t j) const {
    if (!six_) return 4 * t + j;
    const std::size_t first = t / 4 * 24, byte = t % 4;
    return byte < 3 ? first + 8 * byte + j : first + j / 2 * 8 + 6 + j % 2;
}

/// Each table's entries less their least one, in equal steps of the widest range; then the query
/// as bytes, for the second parts.
BlockCodes::Terms SplitCodes::prepare(const Query& query, std::byte* out) const {
    std::memset(out, 0, query_bytes());
    const std::size_t bits = six_ ? 6 : 4, n = std::size_t{1} << bits;
    const float top = six_ ? 127 : 255;
    float values[6];
    const auto take = [&](std::size_t t) {
        for (std::size_t j = 0; j < bits; ++j) {
            const std::size_t i = value_of(t, j);
            values[j] = i < dim_ ? query.values[i] : 0.0f;
        }
    };
    float widest = 1e-30f;
    double least = 0, total = 0;
    for (std::size_t t = 0; t < tables(); ++t) {
        take(t);
        float below = 0, range = 0;
        for (std::size_t j = 0; j < bits; ++j) {
            below += std::min(values[j], 0.0f);
            range += std::abs(values[j]);
            total += values[j];
        }
        least += below;
        widest = std::max(widest, range);
    }
    const float unit = widest / top, inverse = 1 / unit;
    auto* entry = reinterpret_cast<std::uint8_t*>(out);
    for (std::size_t t = 0; t < tables(); ++t, entry += n) {
        take(t);
        float entries[64] = {0.5f};
        for (std::size_t j = 0; j < bits; ++j) entries[0] -= std::min(values[j], 0.0f) * inverse;
        for (std::size_t j = 0; j < bits; ++j)
            for (std::size_t c = 0; c < std::size_t{1} << j; ++c)
                entries[c + (std::size_t{1} << j)] = entries[c] + values[j] * inverse;
        for (std::size_t c = 0; c < n; ++c)
            entry[c] = static_cast<std::uint8_t>(
                static_cast<std::int32_t>(std::min(std::max(entries[c], 0.0f), top)));
    }
    std::memcpy(out + table_bytes(), query.ints, dim_);
    const double rest = static_cast<double>((1 << low_bits_) - 1) / 2 * query.int_sum;
    return {unit, static_cast<std::int32_t>(std::lrint((total / 2 - least) / unit)), query.int_unit,
            static_cast<std::int32_t>(std::lrint(rest))};
}

void SplitCodes::scan(const std::byte* queries, std::size_t m, const std::byte* blocks,
                      std::size_t n, std::int32_t* sums, std::size_t stride, Scratch&) const {
    for (std::size_t i = 0; i < m; ++i)  // those after the first find the blocks in a cache
        sum_blocks(queries + i * query_bytes(), blocks, n, i == 0, sums + i * stride);
}

void SplitCodes::sum_blocks(const std::byte* query, const std::byte* blocks, std::size_t n,
                            bool ahead, std::int32_t* sums) const {
    const kernels::Kernels& table = kernels::kernels();
    const auto* const tables = reinterpret_cast<const std::uint8_t*>(query);
    const auto* const codes = reinterpret_cast<const std::uint8_t*>(blocks);
    if (six_)
        table.lookup6_sums(tables, codes, n, pairs_, ahead, sums);
    else
        table.lookup_sums(tables, codes, n, pairs_, sums);
}

void SplitCodes::complete(const std::byte* query, const Terms& terms, const std::byte* rows,
                          const std::uint32_t* places, std::size_t n, const std::int32_t* first,
                          Scratch& scratch, float* products) const {
    if (scratch.ints.size() < n + 16) scratch.ints.resize(n + 16);
    const kernels::Kernels& table = kernels::kernels();
    const auto gather = low_bits_ == 2 ? table.dot_u2_gather : table.dot_u4_gather;
    gather(reinterpret_cast<const std::int8_t*>(query + table_bytes()),
           reinterpret_cast<const std::uint8_t*>(rows), places, n, row_bytes_, row_bytes_,
           scratch.ints.data());
    const float unit = terms.unit * static_cast<float>(1 << low_bits_);
    for (std::size_t i = 0; i < n; ++i)
        products[i] = unit * static_cast<float>(first[i] - terms.shift) +
                      terms.rest_unit * static_cast<float>(scratch.ints[i] - terms.rest_shift);
}

}  // namespace nearfield
