// Codes in two parts: the first bit of every value in blocks, the others in rows.
#pragma once

#include "kernels/kernels.h"
#include "quantize/block_codes.h"

namespace nearfield {

/// RaBitQ codes of 3 or 5 bits, of which a scan reads the first alone (Gao et al.,
/// arXiv:2409.09913): its estimate has an error whose size is known, so most rows are ruled out by
/// a third or a fifth of their bytes. First bits are summed by shuffles, four or six values a
/// table; the rest of a row lies in one piece, to be fetched at will.
class SplitCodes final : public BlockCodes {
  public:
    SplitCodes(std::size_t dim, int bits);
    /// Whether codes of so many bits are made in two parts.
    static bool offers(int bits) { return bits == 3 || bits == 5; }

    void train(const MatrixView&, const Run&) override {}
    std::size_t code_size() const override { return dim_; }
    void encode(const float* vector, std::uint8_t* code) const override;
    void decode(const std::uint8_t* code, float* y) const override;
    void decode_first(const std::uint8_t* code, float* y) const override;

    std::size_t block_bytes() const override { return block_rows * pairs_; }
    void pack(const std::uint8_t* code, std::size_t lane, std::byte* block) const override;
    void unpack(const std::byte* block, std::size_t lane, std::uint8_t* code) const override;
    std::size_t row_bytes() const override { return row_bytes_; }
    void pack_row(const std::uint8_t* code, std::byte* row) const override;
    void unpack_row(const std::byte* row, std::uint8_t* code) const override;

    std::size_t query_bytes() const override;
    Terms prepare(const Query& query, std::byte* out) const override;
    void scan(const std::byte* queries, std::size_t m, const std::byte* blocks, std::size_t n,
              std::int32_t* sums, std::size_t stride, Scratch& scratch) const override;
    /// The same for one query; `ahead` asks memory for the blocks that follow.
    void sum_blocks(const std::byte* query, const std::byte* blocks, std::size_t n, bool ahead,
                    std::int32_t* sums) const;
    /// Whether two blocks are summed as quickly by themselves as many at once.
    bool sums_pairs() const { return six_; }
    void complete(const std::byte* query, const Terms& terms, const std::byte* rows,
                  const std::uint32_t* places, std::size_t n, const std::int32_t* first,
                  Scratch& scratch, float* products) const override;

  private:
    std::size_t tables() const { return six_ ? (pairs_ + 2) / 3 * 4 : 2 * pairs_; }
    std::size_t table_bytes() const { return tables() * (six_ ? 64 : 16); }
    /// The value whose first bit is bit j of what looks up table t.
    std::size_t value_of(std::size_t t, std::size_t j) const;

    std::size_t dim_;
    int low_bits_;           // of the second part
    bool six_;               // values a table, else four
    std::size_t pairs_;      // bytes of a row in a block
    std::size_t row_bytes_;  // a multiple of 32
};

}  // namespace nearfield
