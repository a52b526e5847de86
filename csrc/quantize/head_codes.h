// A few bits of a vector that are read before its code: the signs of its principal directions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "core/run.h"
#include "core/state.h"
#include "core/types.h"
#include "quantize/projection.h"
#include "quantize/split_codes.h"

namespace nearfield {

/// The head of a vector r: the signs s of its principal components, turned at random among
/// themselves. The cosine of r and a query p is about that of their principal parts, p_h . s /
/// (|p_h| sqrt(d) sign_cosine), off by more than margin() for hardly any row that is near p. So
/// 12 bytes of a row say what 32 of the first bits of a code would. How many directions are worth
/// their bytes, and the margin, are learned by trial; where vectors vary in all directions alike
/// there are no heads. Threads: const calls may run at once, each with its own scratch.
class HeadCodes {
  public:
    HeadCodes(std::size_t dim, std::uint64_t seed) : dim_(dim), seed_(seed) {}

    /// Learns from vectors (n, dim) in which no dimension outweighs the others, whose mean is near
    /// 0.
    void train(const std::vector<float>& rows, const Run& run);
    bool none() const { return projection_.none(); }
    std::size_t dims() const { return projection_.out_dim(); }
    /// Of the cosine.
    float margin() const { return margin_; }
    /// sqrt(2 / pi): the cosine of a Gaussian vector and its signs.
    static constexpr float sign_cosine = 0.79788456f;

    void state(StateWriter& out) const;
    /// Throws CorruptIndex.
    void load(StateReader& in);

    struct Scratch {
        Projection::Scratch projection;
        std::vector<float> values;
        std::vector<std::int8_t> no_rest;  // zeros, for what codes of two parts would add
    };
    /// Bytes of a code before it is packed, and of a block of 32 rows; 0 where there are none.
    std::size_t code_size() const { return dims(); }
    std::size_t block_bytes() const { return none() ? 0 : signs_->block_bytes(); }
    void encode(const float* vector, std::uint8_t* code, Scratch& scratch) const;
    void pack(const std::uint8_t* code, std::size_t lane, std::byte* block) const {
        signs_->pack(code, lane, block);
    }
    void unpack(const std::byte* block, std::size_t lane, std::uint8_t* code) const {
        signs_->unpack(block, lane, code);
    }

    std::size_t query_bytes() const { return none() ? 0 : signs_->query_bytes(); }
    /// A cosine is about unit * (sum - shift); a unit of 0: heads say nothing.
    struct Terms {
        float unit = 0;
        std::int32_t shift = 0;
    };
    /// A query (dim,), of norm `length`, into out (query_bytes,).
    Terms prepare(const float* query, float length, Scratch& scratch, std::byte* out) const;
    /// sums[32 i + row] for n blocks; `ahead` asks memory for those that follow.
    void scan(const std::byte* query, const std::byte* blocks, std::size_t n, bool ahead,
              std::int32_t* sums) const {
        signs_->sum_blocks(query, blocks, n, ahead, sums);
    }

  private:
    void use(Projection projection);

    std::size_t dim_;
    std::uint64_t seed_;
    Projection projection_;
    std::optional<SplitCodes> signs_;  // of which the first bits alone are used
    float margin_ = 0;
};

}  // namespace nearfield
