// Blocks of grid codes of 1, 2, 4 or 8 bits a dimension.
#pragma once

#include "kernels/kernels.h"
#include "quantize/block_codes.h"

namespace nearfield {

/// RaBitQ codes (Gao & Long, SIGMOD 2024; more bits: arXiv:2409.09913) of vectors that were rotated
/// at random. One query multiplies the packed codes; many at once multiply them as a matrix, for
/// which they are unpacked once.
class PanelCodes final : public BlockCodes {
  public:
    /// Throws std::invalid_argument when bits are not offered.
    PanelCodes(std::size_t dim, int bits);

    void train(const MatrixView&, const Run&) override {}
    std::size_t code_size() const override { return dim_; }
    void encode(const float* vector, std::uint8_t* code) const override;
    void decode(const std::uint8_t* code, float* y) const override;
    std::size_t block_bytes() const override { return 2 * panel_bytes(); }
    void pack(const std::uint8_t* code, std::size_t lane, std::byte* block) const override;
    void unpack(const std::byte* block, std::size_t lane, std::uint8_t* code) const override;
    std::size_t query_bytes() const override { return width_; }
    Terms prepare(const Query& query, std::byte* out) const override;
    void scan(const std::byte* queries, std::size_t m, const std::byte* blocks, std::size_t n,
              std::int32_t* sums, std::size_t stride, Scratch& scratch) const override;

  private:
    struct Place {
        std::size_t byte;
        int shift;
    };
    Place place(std::size_t i, std::size_t lane) const;
    std::size_t panel_bytes() const { return lines_ * 64; }

    std::size_t dim_;
    int bits_;
    int log_parts_;      // values a byte holds, as a power of two
    std::size_t width_;  // bytes of a query
    std::size_t lines_;  // of a panel
};

}  // namespace nearfield
