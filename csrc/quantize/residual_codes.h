// What a vector adds to the centroid of its list, as a code and two factors; and queries made ready
// to estimate distances from them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "core/buffer.h"
#include "core/run.h"
#include "core/state.h"
#include "core/types.h"
#include "kernels/kernels.h"
#include "kernels/metric.h"
#include "quantize/block_codes.h"
#include "quantize/frame.h"
#include "quantize/headed_codes.h"
#include "quantize/list_finder.h"

namespace nearfield {

enum class CodeKind : std::uint8_t { rabitq, product };
/// "rabitq" or "pq". Throws std::invalid_argument.
CodeKind parse_codes(std::string_view name);
const char* codes_name(CodeKind kind);

struct ResidualParams {
    CodeKind kind = CodeKind::rabitq;
    int bits = 4;
    std::size_t m = 0;  // product codes: subspaces; 0 means one for two dimensions, about
    bool opq = false;
    std::uint64_t seed = 0;
};

/// With everything in the frame, x = c + r and y the code of r, scaled by f = |r|^2 / (r.y):
/// |q - x|^2 = |q - c|^2 + |r|^2 - 2 (q - c).r, and (q - c).r is estimated by f (q - c).y, without
/// bias over random rotations (Gao & Long, SIGMOD 2024). So the error goes with |q - c|, not |q|,
/// and what concerns c is known beforehand: the estimate is
///     base(q, c) + add - scale * unit * (sum - shift),
/// add = |r|^2 + 2 f c.y, scale = 2 f. Under a plain dot product q.r is estimated in two parts,
/// along the centroid v as seen from the origin, where it is known, and beside it: scale = f, and
/// add = v.r - f v.y counts pull = q.v / |v|^2 times, so the error goes with what q has beside v.
/// Cosine is half the Euclidean distance of unit vectors. Threads: const calls may run at once.
class ResidualCodes {
  public:
    ResidualCodes(std::size_t dim, const kernels::MetricInfo& metric, const ResidualParams& params);

    struct Queries {
        std::size_t n = 0;
        std::vector<float> values;  // in the frame
        Buffer ints, codes;
        std::vector<IntQuery> int_terms;
        std::vector<BlockCodes::Terms> terms;
        std::vector<float> offsets;  // what the metric adds to a scaled estimate
    };

    const ResidualParams& params() const { return params_; }
    Frame& frame() { return frame_; }
    const Frame& frame() const { return frame_; }
    BlockCodes& blocks() { return *blocks_; }
    const BlockCodes& blocks() const { return *blocks_; }
    bool norms() const { return norms_; }
    void state(StateWriter& out) const;
    /// Throws CorruptIndex.
    void load(StateReader& in);
    /// Takes note of the centroids that vectors will be coded round.
    void attach(const ListFinder& finder);
    /// How many times `add` counts for a query and a list that is `base` away from it.
    float pull(const Queries& queries, std::size_t i, Slot list, float base) const;
    /// Rows (n, dim) as stored, into the frame.
    void apply(const MatrixView& rows, float* out, const Run& run) const;
    /// Learns from residuals (n, dim) in the frame. Product codes with `opq` turn the frame, the
    /// residuals and the centroids (k, dim).
    void train(std::vector<float>& residuals, std::vector<float>& centroids, const Run& run);

    /// float16; those of first parts, where codes have two, with the size of the error. Of heads:
    /// as scale |r|, and as add v.r where norms do not count.
    struct Factors {
        std::uint16_t add = 0, scale = 0;
        std::uint16_t first_add = 0, first_scale = 0, first_error = 0;
    };
    /// Code (code_size,) of a row in the frame; `scratch` (2 dim,).
    Factors encode(const float* row, const float* centroid, std::uint8_t* code,
                   float* scratch) const;
    /// The vector that a code stands for, (dim,), as it would be stored.
    void decode(const std::uint8_t* code, const Factors& factors, const float* centroid,
                float* row) const;

    /// Queries (n, dim) as the metric takes them.
    void prepare(const MatrixView& queries, const ListFinder& finder, Queries& out) const;
    /// The metric's distance from an estimate in the frame, and back.
    float distance(const Queries& queries, std::size_t i, float estimate) const;
    float estimate(const Queries& queries, std::size_t i, float distance) const;

    /// What the errors of first parts are multiplied by, for a query and a list that is `base` away
    /// from it, so that hardly any estimate is off by more.
    float reach(const Queries& queries, std::size_t i, float base) const;
    /// What lower bounds by whole first parts are made of, for a list that is `base` away.
    kernels::BoundQuery first_bound(const Queries& queries, std::size_t i, float base) const;
    /// A query ready to be compared with the heads of a list and with the first bits of its rows.
    /// Lower bounds have as `add` the |r|^2 of rows, or - pull v.r where norms do not count, as
    /// `scale` |r|, and no errors.
    struct HeadQuery {
        Buffer tables;
        std::vector<std::int8_t> ints;
        kernels::BoundQuery head, first;
    };
    struct Place {
        const float* centroid;
        float base, pull;
    };
    struct HeadScratch {
        std::vector<float> beside;
        HeadCodes::Scratch head;
    };
    void prepare_head(const Queries& queries, std::size_t i, const Place& place,
                      HeadScratch& scratch, HeadQuery& out) const;
    /// The part of a residual that its code misses, for Gaussian ones.
    float missed() const;

  private:
    struct Fit {
        float add, scale, error;
    };
    Fit fit(const float* centroid, const float* r, const float* y) const;

    std::size_t dim_;
    const kernels::MetricInfo* metric_;
    ResidualParams params_;
    bool norms_;
    std::vector<float> origin_;    // the centre itself, in the frame
    std::vector<float> inverses_;  // by list, 1 / |v|^2; empty when norms count
    Frame frame_;
    std::unique_ptr<BlockCodes> blocks_;
};

}  // namespace nearfield
