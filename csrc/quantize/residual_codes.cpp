#include "quantize/residual_codes.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/random.h"
#include "core/thread_pool.h"
#include "kernels/kernels.h"
#include "quantize/headed_codes.h"
#include "quantize/panel_codes.h"
#include "quantize/product_codes.h"
#include "quantize/split_codes.h"

namespace nearfield {
namespace {

// Factors beyond this would leave float16; only vectors some 250 times as far from their centroid
// as vectors are from the centre reach it.
constexpr float largest_factor = 65000.0f;
constexpr float largest_norm2 = 50000.0f;
// A code less aligned than this with its vector is scaled for least error, not for no bias.
constexpr float least_cosine = 0.2f;

// The sine of the angle between Gaussian residuals and their grid codes, by bits; product codes of
// a few bits a subspace count as the first.
constexpr float missed_part[8] = {0.61f, 0.34f, 0.193f, 0.107f, 0.059f, 0.032f, 0.017f, 0.01f};
// A first part rules out a row whose estimate is beyond what is wanted by so many deviations.
constexpr float deviations = 1.5f;
// More than any sum of look-ups.
constexpr float all_steps = 1e9f;

/// One subspace for two dimensions where that divides dim, else the most below.
std::size_t default_m(std::size_t dim) {
    for (std::size_t m = (dim + 1) / 2; m > 1; --m)
        if (dim % m == 0) return m;
    return 1;
}

std::unique_ptr<BlockCodes> make_blocks(std::size_t dim, const ResidualParams& params) {
    if (params.kind == CodeKind::rabitq) {
        if (SplitCodes::offers(params.bits)) return std::make_unique<SplitCodes>(dim, params.bits);
        return std::make_unique<PanelCodes>(dim, params.bits);
    }
    ProductParams product;
    product.m = params.m;
    product.bits = params.bits;
    product.seed = params.seed;
    return std::make_unique<ProductCodes>(dim, product);
}

ResidualParams completed(ResidualParams params, std::size_t dim) {
    if (params.m == 0) params.m = default_m(dim);
    return params;
}

float dot(const float* a, const float* b, std::size_t dim) {
    float sum[4] = {};
    std::size_t i = 0;
    for (; i + 4 <= dim; i += 4)
        for (std::size_t lane = 0; lane < 4; ++lane) sum[lane] += a[i + lane] * b[i + lane];
    for (; i < dim; ++i) sum[0] += a[i] * b[i];
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

float half_value(std::uint16_t half) {
    float value;
    kernels::kernels().from_f16(&half, 1, &value);
    return value;
}

}  // namespace

void require_finite(const char* section, const std::vector<float>& values) {
    for (const float value : values)
        if (!std::isfinite(value))
            throw CorruptIndex(text(section, " must be finite, got ", value), section);
}

CodeKind parse_codes(std::string_view name) {
    require(name == "rabitq" || name == "pq", "codes must be 'rabitq' or 'pq', got '", name, "'");
    return name == "pq" ? CodeKind::product : CodeKind::rabitq;
}

const char* codes_name(CodeKind kind) { return kind == CodeKind::product ? "pq" : "rabitq"; }

ResidualCodes::ResidualCodes(std::size_t dim, const kernels::MetricInfo& metric,
                             const ResidualParams& params)
    : dim_(dim),
      metric_(&metric),
      params_(completed(params, dim)),
      norms_(metric.needs_norm || metric.unit_vectors),
      frame_(dim, params.kind == CodeKind::rabitq, params.seed),
      blocks_(make_blocks(dim, params_)) {}

void ResidualCodes::apply(const MatrixView& rows, float* out, const Run& run) const {
    parallel_for(run, rows.rows, 256, [&](std::size_t begin, std::size_t end, std::size_t) {
        for (std::size_t i = begin; i < end; ++i) frame_.apply(rows.row(i), true, out + i * dim_);
    });
}

void ResidualCodes::train(std::vector<float>& residuals, std::vector<float>& centroids,
                          const Run& run) {
    const std::size_t n = residuals.size() / dim_, k = centroids.size() / dim_;
    if (params_.opq && params_.kind == CodeKind::product) {
        std::vector<float> matrix = product_rotation({residuals.data(), n, dim_}, params_.m,
                                                     params_.bits, params_.seed, run);
        std::vector<float> turned(residuals.size());
        turn_rows({residuals.data(), n, dim_}, matrix, turned.data(), run);
        residuals = std::move(turned);
        turned.resize(centroids.size());
        turn_rows({centroids.data(), k, dim_}, matrix, turned.data(), run);
        centroids = std::move(turned);
        frame_.turn(std::move(matrix));
    }
    blocks_->train({residuals.data(), n, dim_}, run);
    if (blocks_->row_bytes() == 0) return;
    HeadCodes heads(dim_, mix(params_.seed));
    heads.train(residuals, run);
    if (!heads.none())
        blocks_ = std::make_unique<HeadedCodes>(dim_, params_.bits, std::move(heads));
}

void ResidualCodes::state(StateWriter& out) const {
    out.real("frame.scale", static_cast<double>(frame_.scale()));
    out.array("frame.centre", frame_.centre().data(), dim_);
    if (!frame_.matrix().empty())
        out.array("frame.matrix", frame_.matrix().data(), frame_.matrix().size());
    blocks_->state(out);
}

void ResidualCodes::load(StateReader& in) {
    const auto scale = static_cast<float>(in.real("frame.scale"));
    if (!(scale > 0) || !std::isfinite(scale))
        throw CorruptIndex(text("field frame.scale must be above 0, got ", scale), "fields");
    std::vector<float> centre = in.values<float>("frame.centre", dim_), matrix;
    require_finite("frame.centre", centre);
    if (in.has("frame.matrix")) matrix = in.values<float>("frame.matrix", dim_ * dim_);
    require_finite("frame.matrix", matrix);
    frame_.restore(std::move(centre), scale, std::move(matrix));
    blocks_->load(in);
    if (blocks_->row_bytes() == 0) return;
    HeadCodes heads(dim_, mix(params_.seed));
    heads.load(in);  // where there are none, first bits are read
    if (!heads.none())
        blocks_ = std::make_unique<HeadedCodes>(dim_, params_.bits, std::move(heads));
}

void ResidualCodes::attach(const ListFinder& finder) {
    if (norms_) return;
    origin_.resize(dim_);
    frame_.apply(frame_.centre().data(), false, origin_.data());
    inverses_.resize(finder.size());
    std::vector<float> v(dim_);
    for (std::size_t list = 0; list < finder.size(); ++list) {
        const float* const centroid = finder.centroid(static_cast<Slot>(list));
        for (std::size_t j = 0; j < dim_; ++j) v[j] = origin_[j] + centroid[j];
        const float norm2 = dot(v.data(), v.data(), dim_);
        inverses_[list] = norm2 > 1e-20f ? 1 / norm2 : 0.0f;
    }
}

float ResidualCodes::pull(const Queries& queries, std::size_t i, Slot list, float base) const {
    if (norms_) return 0;
    const float square = frame_.scale() * frame_.scale();
    return (-base - queries.offsets[i] * square) * inverses_[list];
}

/// Factors of a code y of r: its estimates of r . q have a deviation of `error` |q - c| / 2 over
/// random rotations (Gao & Long, SIGMOD 2024).
ResidualCodes::Fit ResidualCodes::fit(const float* centroid, const float* r, const float* y) const {
    const float norm2 = dot(r, r, dim_), length2 = dot(y, y, dim_), both = dot(r, y, dim_);
    float f = 0;
    if (both * both > least_cosine * least_cosine * norm2 * length2 && both > 0)
        f = norm2 / both;
    else if (length2 > 0)
        f = std::max(0.0f, both / length2);
    const float beside = std::max(0.0f, norm2 - 2 * f * both + f * f * length2);
    const float error = std::sqrt(beside / static_cast<float>(std::max<std::size_t>(dim_ - 1, 1)));
    if (norms_) return {norm2 + 2 * f * dot(centroid, y, dim_), 2 * f, 2 * error};
    return {dot(centroid, r, dim_) + dot(origin_.data(), r, dim_) -
                f * (dot(centroid, y, dim_) + dot(origin_.data(), y, dim_)),
            f, error};
}

ResidualCodes::Factors ResidualCodes::encode(const float* row, const float* centroid,
                                             std::uint8_t* code, float* scratch) const {
    float* const r = scratch;
    float* const y = scratch + dim_;
    for (std::size_t i = 0; i < dim_; ++i) r[i] = row[i] - centroid[i];
    if (const float norm2 = dot(r, r, dim_); norms_ && norm2 > largest_norm2) {
        // Farther than factors can say: as far as they can, the same way.
        const float shrunk = std::sqrt(largest_norm2 / norm2);
        for (std::size_t i = 0; i < dim_; ++i) r[i] *= shrunk;
    }
    blocks_->encode(r, code);
    blocks_->decode(code, y);
    const Fit whole = fit(centroid, r, y);
    Fit first{0, 0, 0};
    if (blocks_->headed()) {
        first.scale = std::sqrt(dot(r, r, dim_));
        if (!norms_) first.add = dot(centroid, r, dim_) + dot(origin_.data(), r, dim_);
    } else if (blocks_->row_bytes() > 0) {
        blocks_->decode_first(code, y);
        first = fit(centroid, r, y);
    }
    const auto bounded = [](float x) { return std::clamp(x, -largest_factor, largest_factor); };
    const float factors[5] = {bounded(whole.add), bounded(whole.scale), bounded(first.add),
                              bounded(first.scale), bounded(first.error)};
    std::uint16_t halves[5];
    kernels::kernels().to_f16(factors, 5, halves);
    return {halves[0], halves[1], halves[2], halves[3], halves[4]};
}

float ResidualCodes::reach(const Queries& queries, std::size_t i, float base) const {
    const float norm2 = queries.int_terms[i].norm2;
    // Beside the code's own error there is that of a query of bytes.
    return deviations * std::sqrt(norms_ ? std::max(base, 0.0f) + 1e-3f * norm2 : norm2);
}

kernels::BoundQuery ResidualCodes::first_bound(const Queries& queries, std::size_t i,
                                               float base) const {
    const BlockCodes::Terms& terms = queries.terms[i];
    return {terms.shift, terms.unit, reach(queries, i, base), -base};
}

/// p . r is estimated by |p| |r| times a cosine, p = q - c or what q has beside v.
void ResidualCodes::prepare_head(const Queries& queries, std::size_t i, const Place& place,
                                 HeadScratch& scratch, HeadQuery& out) const {
    const HeadedCodes& codes = *blocks_->headed();
    const HeadCodes& heads = codes.heads();
    const float* const q = &queries.values[i * dim_];
    std::vector<float>& p = scratch.beside;
    p.resize(dim_);
    for (std::size_t j = 0; j < dim_; ++j)
        p[j] = q[j] - (norms_ ? place.centroid[j] : place.pull * (origin_[j] + place.centroid[j]));
    const float length = std::sqrt(dot(p.data(), p.data(), dim_));
    const float whole = (norms_ ? 2.0f : 1.0f) * length;
    /// A cosine is unit * (sum - shift), off by `margin` at most; a unit of 0 says nothing.
    const auto bound = [&](float unit, std::int32_t shift, float margin) {
        const float steps = margin < all_steps * unit ? margin / unit : all_steps;
        return kernels::BoundQuery{shift - static_cast<std::int32_t>(steps), whole * unit, 0,
                                   -place.base};
    };
    if (out.tables.size() < heads.query_bytes()) out.tables.resize(heads.query_bytes());
    const HeadCodes::Terms terms = heads.prepare(p.data(), length, scratch.head, out.tables.data());
    out.head = bound(terms.unit, terms.shift, heads.margin());
    if (terms.unit == 0) out.head.a = whole;  // every row passes
    const kernels::Kernels& table = kernels::kernels();
    const float top = table.largest(p.data(), dim_);
    out.ints.assign(codes.query_ints(), 0);
    table.to_i8(p.data(), dim_, top > 1e-30f ? 127 / top : 0.0f, out.ints.data());
    std::int32_t sum = 0;
    for (const std::int8_t value : out.ints) sum += value;
    const float size = length * std::sqrt(static_cast<float>(dim_)) * HeadCodes::sign_cosine;
    // Signs of all values are off by sqrt((pi / 2 - 1) / dim), and a row's own cosine with them is
    // not the mean.
    out.first = bound(top > 1e-30f ? 2 * top / 127 / size : 0.0f, sum / 2,
                      deviations * std::sqrt(0.7f / static_cast<float>(dim_)));
    if (!(top > 1e-30f)) out.first.a = whole;
}

float ResidualCodes::missed() const {
    if (params_.kind == CodeKind::product) return missed_part[0];
    return missed_part[static_cast<std::size_t>(params_.bits - 1)];
}

void ResidualCodes::decode(const std::uint8_t* code, const Factors& factors, const float* centroid,
                           float* row) const {
    std::vector<float> y(dim_);
    blocks_->decode(code, y.data());
    // The nearest point to the vector is not as long as what makes products right.
    const float f =
        params_.kind == CodeKind::product
            ? 1.0f
            : half_value(factors.scale) / (norms_ ? 2.0f : 1.0f) * (1 - missed() * missed());
    for (std::size_t i = 0; i < dim_; ++i) y[i] = centroid[i] + f * y[i];
    frame_.apply_inverse(y.data(), row);
}

void ResidualCodes::prepare(const MatrixView& queries, const ListFinder& finder,
                            Queries& out) const {
    const std::size_t n = queries.rows, width = finder.query_width();
    const std::size_t bytes = blocks_->query_bytes();
    out.n = n;
    out.values.resize(n * dim_);
    if (out.ints.size() < n * width) out.ints.resize(n * width);
    if (out.codes.size() < n * bytes) out.codes.resize(n * bytes);
    out.int_terms.resize(n);
    out.terms.resize(n);
    out.offsets.assign(n, 0.0f);
    for (std::size_t i = 0; i < n; ++i) {
        const float* const query = queries.row(i);
        float* const values = &out.values[i * dim_];
        frame_.apply(query, norms_, values);
        std::int8_t* const ints = out.ints.as<std::int8_t>() + i * width;
        out.int_terms[i] = finder.encode(values, ints);
        out.terms[i] = blocks_->prepare({values, ints, out.int_terms[i].unit, out.int_terms[i].sum},
                                        out.codes.data() + i * bytes);
        if (!norms_) out.offsets[i] = -dot(query, frame_.centre().data(), dim_);
    }
}

float ResidualCodes::distance(const Queries& queries, std::size_t i, float estimate) const {
    const float scaled = estimate / (frame_.scale() * frame_.scale());
    if (!norms_) return scaled + queries.offsets[i];
    return std::max(0.0f, metric_->unit_vectors ? scaled / 2 : scaled);
}

float ResidualCodes::estimate(const Queries& queries, std::size_t i, float distance) const {
    const float square = frame_.scale() * frame_.scale();
    if (!norms_) return (distance - queries.offsets[i]) * square;
    return (metric_->unit_vectors ? 2 * distance : distance) * square;
}

}  // namespace nearfield
