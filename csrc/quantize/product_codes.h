// Blocks of product codes.
#pragma once

#include "quantize/block_codes.h"
#include "quantize/product_quantizer.h"

namespace nearfield {

/// Codes of 4 bits are summed by shuffles from tables of bytes (Andre, Kermarrec & Le Scouarnec,
/// VLDB 2015), codes of 8 bits from tables of 16-bit values in memory.
class ProductCodes final : public BlockCodes {
  public:
    ProductCodes(std::size_t dim, const ProductParams& params) : quantizer_(dim, params) {}

    void train(const MatrixView& sample, const Run& run) override { quantizer_.train(sample, run); }
    std::size_t code_size() const override { return quantizer_.m(); }
    void encode(const float* vector, std::uint8_t* code) const override {
        quantizer_.encode(vector, code);
    }
    void decode(const std::uint8_t* code, float* y) const override { quantizer_.decode(code, y); }
    void state(StateWriter& out) const override;
    void load(StateReader& in) override;
    std::size_t block_bytes() const override { return block_rows * pairs_bytes(); }
    void pack(const std::uint8_t* code, std::size_t lane, std::byte* block) const override;
    void unpack(const std::byte* block, std::size_t lane, std::uint8_t* code) const override;
    std::size_t query_bytes() const override;
    Terms prepare(const Query& query, std::byte* out) const override;
    void scan(const std::byte* queries, std::size_t m, const std::byte* blocks, std::size_t n,
              std::int32_t* sums, std::size_t stride, Scratch& scratch) const override;

    const ProductQuantizer& quantizer() const { return quantizer_; }
    ProductQuantizer& quantizer() { return quantizer_; }

  private:
    bool nibbles() const { return quantizer_.bits() == 4; }
    /// Pairs of codes of 4 bits come in twos, the last ones empty.
    std::size_t pairs_bytes() const {
        return nibbles() ? (quantizer_.m() + 3) / 4 * 2 : quantizer_.m();
    }

    ProductQuantizer quantizer_;
};

}  // namespace nearfield
