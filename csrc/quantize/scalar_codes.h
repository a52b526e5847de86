// Codes of 1, 2, 4 or 8 bits a dimension for walking a graph: small enough that memory keeps up,
// good enough that the vectors themselves are needed only to rank the last few.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "core/buffer.h"
#include "core/state.h"
#include "core/types.h"
#include "kernels/kernels.h"
#include "quantize/projection.h"
#include "quantize/rotation.h"

namespace nearfield {

/// With r = R (x - centre) scaled to a mean squared norm of 1 and y the code on a grid symmetric
/// about 0, |r - q|^2 is estimated by |r|^2 - 2 |r|^2 / (r.y) * (y.q) + |q|^2, which is unbiased
/// for a random rotation R (RaBitQ: Gao & Long, SIGMOD 2024; more bits: arXiv:2409.09913). The two
/// factors |r|^2 and -2 |r|^2 / (r.y) travel with the code as float16. The step of the grid is the
/// one, of a few, that brings y closest in angle to r.
/// Where order by a plain dot product is wanted, the query is not centred and only the second term
/// is used. Threads: const calls may run at once.
class ScalarCodes {
  public:
    /// `code_dim`: dimensions that codes keep, those of largest variance, at most `dim`; 0 for as
    /// few as rank a sample's neighbors well, if that saves half of a code's memory lines.
    ScalarCodes(std::size_t dim, int bits, std::size_t code_dim, const kernels::MetricInfo& metric,
                std::uint64_t seed);

    /// Sets centre, scale and projection from (n, dim) vectors as they are stored.
    void train(const MatrixView& sample, const Run& run);
    bool trained() const { return scale_ > 0; }

    int bits() const { return bits_; }
    /// What estimates multiply distances by.
    double distance_scale() const { return static_cast<double>(scale_) * scale_; }
    /// Whether estimates for a metric's order are squared distances up to a constant.
    bool spatial() const { return centres_query_; }
    std::size_t code_dim() const { return code_dim_; }
    /// Dimensions that codes keep.
    std::size_t used_dim() const { return projection_.none() ? dim_ : projection_.out_dim(); }
    std::size_t rotated_dim() const { return rotated_dim_; }
    std::size_t code_bytes() const { return bytes_; }
    std::size_t stride() const { return stride_; }
    /// Centred, rotated and scaled; `out` (rotated_dim,), zeros beyond dim.
    void rotate(const float* vector, float* out) const;

    /// What one thread needs to encode or to prepare.
    struct Scratch {
        std::vector<float> rotated, projected;
        Projection::Scratch projecting;
    };
    /// Dimensions by which near neighbors are found: those a trial chose to keep, or rotated_dim().
    std::size_t compact_dim() const { return compact() ? used_dim() : rotated_dim_; }
    /// (compact_dim,), in the scratch.
    const float* make_compact(const float* vector, Scratch& scratch) const;
    /// Writes the code (stride bytes) of a vector and returns its factors, as links carry them.
    std::uint32_t encode(const float* vector, std::uint8_t* code, Scratch& scratch) const;

    /// The vector that a code stands for; whole codes only. `vector` (dim,).
    void decode(const std::uint8_t* code, std::uint32_t factors, float* vector) const;

    /// What train() found; for a trained one.
    void state(StateWriter& out) const;
    void load(StateReader& in);

    /// A query made ready; one for each thread and query under way.
    struct Query {
        Buffer codes;
        Scratch scratch;
        kernels::EstimateQuery terms{};
    };
    /// What estimates order: closeness in the metric, or in space (the same but for a dot product).
    enum class Order { metric, space };
    /// `vector` (dim,) as Space::prepare gives it.
    void prepare(const float* vector, Order order, Query& query) const;
    /// As prepare for vectors [0, n), with the same results; a projection is read once for all.
    /// `codes` has room for n * code_dim() entries, which the terms point to.
    void prepare(std::size_t n, const std::function<const float*(std::size_t)>& vector, Order order,
                 Scratch& scratch, std::int8_t* codes, kernels::EstimateQuery* terms) const;
    /// Estimated distances, up to a constant and a factor, to codes at base + slots[i] * stride;
    /// `distances` needs room for n + 16.
    void estimate(const Query& query, const std::uint8_t* base, const Slot* slots,
                  const std::uint32_t* factors, std::size_t n, float* distances) const {
        estimate_(query.terms, {base, stride_, bytes_, no_slot}, slots, factors, n, distances);
    }

    /// |r| of a vector with these factors.
    static float length(std::uint32_t factors);

    /// What an estimate lacks of the squared distance, or of -q.x where the order is that of a dot
    /// product, once it is divided by distance_scale() (twice that).
    float offset(const float* vector, Order order) const;

  private:
    struct Fit {
        float inverse_step;
        float dot;  // r.y
    };
    Fit fit(const float* values, float norm) const;
    /// What codes are made of: the rotated vector, or its projection; (code_dim,), zeros beyond the
    /// last used one.
    const float* project(Scratch& scratch) const;
    /// Into scratch.rotated; whether the query was centred.
    bool rotate_query(const float* vector, Order order, Scratch& scratch) const;
    kernels::EstimateQuery round_query(const float* values, bool centred, std::int8_t* codes) const;

    bool compact() const { return wanted_dim_ == 0 && !projection_.none(); }

    std::size_t dim_;
    int bits_;
    /// Reads what is needed of codes from the projection.
    void use(Projection projection);
    void choose(const std::vector<float>& rotated, const MatrixView& sample, const Run& run);
    double found_share(const MatrixView& sample, const std::vector<std::size_t>& truth,
                       const Run& run) const;

    std::size_t wanted_dim_;
    std::size_t rotated_dim_, code_dim_ = 0, bytes_ = 0, stride_ = 0;
    bool centres_query_;
    Rotation rotation_;
    Projection projection_;
    std::uint64_t seed_;
    float scale_ = 0;
    std::vector<float> centre_;
    kernels::EstimateFn estimate_;
};

}  // namespace nearfield
