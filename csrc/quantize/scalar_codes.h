// Codes of 1, 2, 4 or 8 bits a dimension for walking a graph: small enough that memory keeps up,
// good enough that the vectors themselves are needed only to rank the last few.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/buffer.h"
#include "core/state.h"
#include "core/types.h"
#include "kernels/kernels.h"
#include "quantize/rotation.h"

namespace nearfield {

/// With r = R (x - centre) scaled to a mean squared norm of 1 and y the code on a grid symmetric
/// about 0, |r - q|^2 is estimated by |r|^2 - 2 |r|^2 / (r.y) * (y.q) + |q|^2, which is unbiased for
/// a random rotation R (RaBitQ: Gao & Long, SIGMOD 2024; more bits: arXiv:2409.09913). The two
/// factors |r|^2 and -2 |r|^2 / (r.y) travel with the code as float16. The step of the grid is the
/// one, of a few, that brings y closest in angle to r.
/// Where order by a plain dot product is wanted, the query is not centred and only the second term
/// is used. Threads: const calls may run at once.
class ScalarCodes {
  public:
    ScalarCodes(std::size_t dim, int bits, const kernels::MetricInfo& metric, std::uint64_t seed);

    /// Sets centre and scale from (n, dim) vectors as they are stored.
    void train(const MatrixView& sample);
    bool trained() const { return scale_ > 0; }

    int bits() const { return bits_; }
    std::size_t code_dim() const { return code_dim_; }
    std::size_t code_bytes() const { return bytes_; }
    std::size_t stride() const { return stride_; }
    /// Centred, rotated and scaled; `out` (code_dim,), zeros beyond dim.
    void rotate(const float* vector, float* out) const;
    /// Writes the code (stride bytes) of a rotated vector and returns its factors, as links carry
    /// them.
    std::uint32_t encode(const float* rotated, std::uint8_t* code) const;

    /// What train() found; for a trained one.
    void state(StateWriter& out) const;
    void load(StateReader& in);

    /// A query made ready; one for each thread and query under way.
    struct Query {
        Buffer codes;
        std::vector<float> rotated;
        kernels::EstimateQuery terms{};
    };
    /// What estimates order: closeness in the metric, or in space (the same but for a dot product).
    enum class Order { metric, space };
    /// `vector` (dim,) as Space::prepare gives it.
    void prepare(const float* vector, Order order, Query& query) const;
    /// Estimated distances, up to a constant and a factor, to codes at base + slots[i] * stride.
    void estimate(const Query& query, const std::uint8_t* base, const Slot* slots,
                  const std::uint32_t* factors, std::size_t n, std::int32_t* dots,
                  float* distances) const;

  private:
    struct Fit {
        float inverse_step;
        float dot;  // r.y
    };
    Fit fit(const float* rotated, float norm) const;

    std::size_t dim_;
    int bits_;
    std::size_t code_dim_, bytes_, stride_;
    bool centres_query_;
    Rotation rotation_;
    float scale_ = 0;
    std::vector<float> centre_;
    kernels::CodeGatherFn gather_;
};

}  // namespace nearfield
