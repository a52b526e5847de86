#include "quantize/headed_codes.h"

#include <cmath>
#include <cstring>
#include <utility>

#include "kernels/kernels.h"

namespace nearfield {

HeadedCodes::HeadedCodes(std::size_t dim, int bits, HeadCodes heads)
    : dim_(dim),
      low_bits_(bits - 1),
      heads_(std::move(heads)),
      codes_(dim, bits),
      first_bytes_(kernels::padded(dim, 256) / 8) {}

void HeadedCodes::encode(const float* vector, std::uint8_t* code) const {
    thread_local HeadCodes::Scratch scratch;
    codes_.encode(vector, code);
    heads_.encode(vector, code + dim_, scratch);
}

void HeadedCodes::pack(const std::uint8_t* code, std::size_t lane, std::byte* block) const {
    heads_.pack(code + dim_, lane, block);
}

void HeadedCodes::unpack(const std::byte* block, std::size_t lane, std::uint8_t* code) const {
    std::memset(code, 0, dim_);
    heads_.unpack(block, lane, code + dim_);
}

void HeadedCodes::pack_row(const std::uint8_t* code, std::byte* row) const {
    codes_.pack_row(code, row + first_bytes_);
    auto* const bytes = reinterpret_cast<std::uint8_t*>(row);
    std::memset(bytes, 0, first_bytes_);
    for (std::size_t i = 0; i < dim_; ++i) {
        std::uint8_t& byte = bytes[i % first_bytes_];
        byte = static_cast<std::uint8_t>(byte | code[i] >> low_bits_ << i / first_bytes_);
    }
}

void HeadedCodes::unpack_row(const std::byte* row, std::uint8_t* code) const {
    codes_.unpack_row(row + first_bytes_, code);
    const auto* const bytes = reinterpret_cast<const std::uint8_t*>(row);
    for (std::size_t i = 0; i < dim_; ++i)
        code[i] = static_cast<std::uint8_t>(
            code[i] | (bytes[i % first_bytes_] >> i / first_bytes_ & 1) << low_bits_);
}

BlockCodes::Terms HeadedCodes::prepare(const Query& query, std::byte* out) const {
    std::memset(out, 0, query_bytes());
    std::memcpy(out, query.ints, dim_);
    const double half = static_cast<double>((2 << low_bits_) - 1) / 2;
    return {0, 0, query.int_unit, static_cast<std::int32_t>(std::lrint(half * query.int_sum))};
}

void HeadedCodes::sum_first(const std::int8_t* query, const std::byte* rows,
                            const std::uint32_t* places, std::size_t n, std::int32_t* sums) const {
    kernels::kernels().dot_u1_gather(query, reinterpret_cast<const std::uint8_t*>(rows), places, n,
                                     first_bytes_, row_bytes(), sums);
}

/// Both parts by products of bytes, whose sum is that of whole codes.
void HeadedCodes::complete(const std::byte* query, const Terms& terms, const std::byte* rows,
                           const std::uint32_t* places, std::size_t n, const std::int32_t*,
                           Scratch& scratch, float* products) const {
    if (scratch.ints.size() < 2 * (n + 16)) scratch.ints.resize(2 * (n + 16));
    const kernels::Kernels& table = kernels::kernels();
    const auto gather = low_bits_ == 2 ? table.dot_u2_gather : table.dot_u4_gather;
    const auto* const ints = reinterpret_cast<const std::int8_t*>(query);
    const auto* const codes = reinterpret_cast<const std::uint8_t*>(rows);
    std::int32_t* const low = scratch.ints.data();
    std::int32_t* const first = low + n + 16;
    gather(ints, codes + first_bytes_, places, n, codes_.row_bytes(), row_bytes(), low);
    sum_first(ints, rows, places, n, first);
    for (std::size_t i = 0; i < n; ++i)
        products[i] = terms.rest_unit *
                      static_cast<float>((first[i] << low_bits_) + low[i] - terms.rest_shift);
}

}  // namespace nearfield
