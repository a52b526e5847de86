// Codes behind heads: a few bits in blocks, whole codes in rows.
#pragma once

#include <memory>

#include "quantize/block_codes.h"
#include "quantize/head_codes.h"
#include "quantize/split_codes.h"

namespace nearfield {

/// RaBitQ codes of 3 or 5 bits whose first part is a head in place of their first bits. These begin
/// the row of the rest: a line of memory tells whether it is worth the others. A code is that of
/// SplitCodes and then that of the head.
class HeadedCodes final : public BlockCodes {
  public:
    HeadedCodes(std::size_t dim, int bits, HeadCodes heads);

    void train(const MatrixView&, const Run&) override {}
    std::size_t code_size() const override { return dim_ + heads_.code_size(); }
    void encode(const float* vector, std::uint8_t* code) const override;
    void decode(const std::uint8_t* code, float* y) const override { codes_.decode(code, y); }
    void state(StateWriter& out) const override { heads_.state(out); }

    const HeadedCodes* headed() const override { return this; }
    const HeadCodes& heads() const { return heads_; }
    std::size_t block_bytes() const override { return heads_.block_bytes(); }
    void pack(const std::uint8_t* code, std::size_t lane, std::byte* block) const override;
    void unpack(const std::byte* block, std::size_t lane, std::uint8_t* code) const override;
    std::size_t row_bytes() const override { return codes_.row_bytes() + first_bytes_; }
    void pack_row(const std::uint8_t* code, std::byte* row) const override;
    void unpack_row(const std::byte* row, std::uint8_t* code) const override;

    std::size_t query_bytes() const override { return query_ints(); }
    Terms prepare(const Query& query, std::byte* out) const override;
    /// There are none without heads: HeadCodes::scan().
    void scan(const std::byte*, std::size_t, const std::byte*, std::size_t, std::int32_t*,
              std::size_t, Scratch&) const override {}
    /// Bytes of the first bits that begin a row.
    std::size_t first_bytes() const { return first_bytes_; }
    /// sums[i]: of the bytes of a query (query_ints,) where rows[places[i]] has a first bit of 1;
    /// room for n + 16.
    std::size_t query_ints() const { return 8 * first_bytes_; }
    void sum_first(const std::int8_t* query, const std::byte* rows, const std::uint32_t* places,
                   std::size_t n, std::int32_t* sums) const;
    void complete(const std::byte* query, const Terms& terms, const std::byte* rows,
                  const std::uint32_t* places, std::size_t n, const std::int32_t* first,
                  Scratch& scratch, float* products) const override;

  private:
    std::size_t dim_;
    int low_bits_;
    HeadCodes heads_;
    SplitCodes codes_;
    std::size_t first_bytes_;
};

}  // namespace nearfield
