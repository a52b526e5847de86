#include "quantize/scalar_codes.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/error.h"

namespace nearfield {
namespace {

// Steps tried, in units of the vector's root mean square: around the best uniform quantizer of a
// Gaussian (Max, IRE Trans. 1960: 1.596, 0.996, 0.335 and 0.031 at 1, 2, 4 and 8 bits).
constexpr float steps_1[] = {1.596f};
constexpr float steps_2[] = {0.8f, 0.9f, 1.0f, 1.1f, 1.25f};
constexpr float steps_4[] = {0.24f, 0.27f, 0.30f, 0.33f, 0.36f, 0.40f, 0.45f};
constexpr float steps_8[] = {0.020f, 0.024f, 0.028f, 0.032f, 0.038f};
// Factors beyond this would leave float16; only vectors some 250 times as long as the training
// sample's reach it.
constexpr float largest_factor = 65000.0f;

// Fewer dimensions are not worth a projection, nor is one that leaves more than half of the memory
// lines: 384 dimensions cut to 256 searched slower than whole ones (index/hnsw/README.md).
constexpr std::size_t least_dim = 384;

template <std::size_t n>
std::pair<const float*, std::size_t> span_of(const float (&steps)[n]) {
    return {steps, n};
}

std::pair<const float*, std::size_t> steps_of(int bits) {
    if (bits == 1) return span_of(steps_1);
    if (bits == 2) return span_of(steps_2);
    if (bits == 4) return span_of(steps_4);
    return span_of(steps_8);
}

kernels::EstimateFn estimate_of(int bits) {
    const kernels::Kernels& table = kernels::kernels();
    if (bits == 1) return table.estimate_u1;
    if (bits == 2) return table.estimate_u2;
    if (bits == 4) return table.estimate_u4;
    return table.estimate_u8;
}

}  // namespace

ScalarCodes::ScalarCodes(std::size_t dim, int bits, std::size_t code_dim,
                         const kernels::MetricInfo& metric, std::uint64_t seed)
    : dim_(dim),
      bits_(bits),
      wanted_dim_(std::min(code_dim, dim)),
      rotated_dim_(kernels::padded(dim, 64)),
      centres_query_(metric.needs_norm || metric.unit_vectors),
      rotation_(dim, seed),
      seed_(seed),
      estimate_(estimate_of(bits)) {
    require(bits == 1 || bits == 2 || bits == 4 || bits == 8, "bits must be 1, 2, 4 or 8, got ",
            bits);
    use(Projection());
}

void ScalarCodes::use(Projection projection) {
    projection_ = std::move(projection);
    const auto bits = static_cast<std::size_t>(bits_);
    code_dim_ = kernels::padded(used_dim(), 256 / bits);
    bytes_ = code_dim_ * bits / 8;
    stride_ = bytes_ < 128 ? bytes_ : kernels::padded(bytes_, 64);
}

void ScalarCodes::train(const MatrixView& sample, const Run& run) {
    std::vector<double> mean(dim_, 0.0);
    for (std::size_t i = 0; i < sample.rows; ++i)
        for (std::size_t j = 0; j < dim_; ++j) mean[j] += sample.row(i)[j];
    centre_.resize(dim_);
    for (std::size_t j = 0; j < dim_; ++j)
        centre_[j] = static_cast<float>(mean[j] / static_cast<double>(sample.rows));
    double spread = 0;
    for (std::size_t i = 0; i < sample.rows; ++i)
        for (std::size_t j = 0; j < dim_; ++j) {
            const double off = static_cast<double>(sample.row(i)[j]) - centre_[j];
            spread += off * off;
        }
    spread /= static_cast<double>(sample.rows);
    // All vectors alike: any scale will do.
    scale_ = spread > 1e-30 ? static_cast<float>(1 / std::sqrt(spread)) : 1.0f;
    // A dot product with a query that is not centred needs every dimension.
    if (!centres_query_ || wanted_dim_ >= dim_ || dim_ > Projection::max_dim) return;
    if (wanted_dim_ == 0 && (dim_ < least_dim || sample.rows < 4 * dim_)) return;
    std::vector<float> rotated(sample.rows * dim_), row(rotated_dim_);
    for (std::size_t i = 0; i < sample.rows; ++i) {
        rotate(sample.row(i), row.data());
        std::copy_n(row.data(), dim_, &rotated[i * dim_]);
    }
    if (wanted_dim_ == 0)
        choose(rotated, sample, run);
    else
        use(Projection(principal_basis(rotated, dim_, wanted_dim_, seed_, run), dim_, wanted_dim_,
                       seed_ + 1));
}

void ScalarCodes::state(StateWriter& out) const {
    out.real("codes.scale", static_cast<double>(scale_));
    out.array("codes.centre", centre_.data(), dim_);
    projection_.state(out);
}

void ScalarCodes::load(StateReader& in) {
    const auto scale = static_cast<float>(in.real("codes.scale"));
    if (!(scale > 0) || !std::isfinite(scale))
        throw CorruptIndex(text("field codes.scale must be above 0, got ", scale), "fields");
    centre_ = in.values<float>("codes.centre", dim_);
    Projection projection;
    projection.load(in, dim_);
    use(std::move(projection));
    for (const float value : centre_)
        if (!std::isfinite(value))
            throw CorruptIndex(text("codes.centre must be finite, got ", value), "codes.centre");
    scale_ = scale;
}

void ScalarCodes::rotate(const float* vector, float* out) const {
    kernels::kernels().centre(vector, centre_.data(), scale_, dim_, out);
    std::fill(out + dim_, out + rotated_dim_, 0.0f);
    rotation_.apply(out, out);
}

const float* ScalarCodes::make_compact(const float* vector, Scratch& scratch) const {
    scratch.rotated.resize(std::max(rotated_dim_, code_dim_));
    rotate(vector, scratch.rotated.data());
    return compact() ? project(scratch) : scratch.rotated.data();
}

const float* ScalarCodes::project(Scratch& scratch) const {
    if (projection_.none()) {
        scratch.rotated.resize(std::max(rotated_dim_, code_dim_));
        return scratch.rotated.data();
    }
    scratch.projected.resize(code_dim_);
    projection_.apply(scratch.rotated.data(), scratch.projecting, scratch.projected.data());
    return scratch.projected.data();
}

ScalarCodes::Fit ScalarCodes::fit(const float* rotated, float norm) const {
    const std::size_t used = used_dim();
    const float rms = std::sqrt(norm / static_cast<float>(used));
    const float half = static_cast<float>((1 << bits_) - 1) / 2;
    const auto [steps, n_steps] = steps_of(bits_);
    Fit best{0, 0};
    float best_cosine = -1;
    for (std::size_t s = 0; s < n_steps; ++s) {
        const float inverse = 1 / (rms * steps[s]);
        float dot[4] = {}, length[4] = {};
        const auto add = [&](std::size_t i, std::size_t lane) {
            const float level =
                std::min(std::max(rotated[i] * inverse + half + 0.5f, 0.0f), 2 * half + 0.5f);
            const float y = static_cast<float>(static_cast<std::int32_t>(level)) - half;
            dot[lane] += y * rotated[i];
            length[lane] += y * y;
        };
        std::size_t i = 0;
        for (; i + 4 <= used; i += 4)
            for (std::size_t lane = 0; lane < 4; ++lane) add(i + lane, lane);
        for (; i < used; ++i) add(i, 0);
        const float all_dot = (dot[0] + dot[1]) + (dot[2] + dot[3]);
        const float all_length = (length[0] + length[1]) + (length[2] + length[3]);
        const float cosine = all_dot * all_dot / all_length;
        if (cosine > best_cosine) {
            best_cosine = cosine;
            best = {inverse, all_dot};
        }
    }
    return best;
}

std::uint32_t ScalarCodes::encode(const float* vector, std::uint8_t* code, Scratch& scratch) const {
    const auto squares = [](const float* values, std::size_t n) {
        float sum = 0;
        for (std::size_t i = 0; i < n; ++i) sum += values[i] * values[i];
        return sum;
    };
    scratch.rotated.resize(rotated_dim_);
    rotate(vector, scratch.rotated.data());
    const float whole = squares(scratch.rotated.data(), dim_);
    const float* const values = project(scratch);
    const float norm = projection_.none() ? whole : squares(values, used_dim());
    std::memset(code, 0, stride_);
    if (!(norm > 1e-20f)) return 0;
    const Fit best = fit(values, norm);
    const float half = static_cast<float>((1 << bits_) - 1) / 2;
    int shift = 0;
    for (std::size_t first = 0; first < used_dim(); first += bytes_, shift += bits_) {
        const std::size_t n = std::min(bytes_, used_dim() - first);
        for (std::size_t i = 0; i < n; ++i) {
            const float level =
                std::min(std::max(values[first + i] * best.inverse_step + half + 0.5f, 0.0f),
                         2 * half + 0.5f);
            code[i] =
                static_cast<std::uint8_t>(code[i] | static_cast<std::int32_t>(level) << shift);
        }
    }
    const float factors[2] = {std::min(whole, largest_factor),
                              std::max(-2 * norm / best.dot, -largest_factor)};
    std::uint16_t halves[2];
    kernels::kernels().to_f16(factors, 2, halves);
    return std::uint32_t{halves[0]} | std::uint32_t{halves[1]} << 16;
}

void ScalarCodes::decode(const std::uint8_t* code, std::uint32_t factors, float* vector) const {
    const auto half_factor = static_cast<std::uint16_t>(factors >> 16);
    float scale;
    kernels::kernels().from_f16(&half_factor, 1, &scale);
    const float half = static_cast<float>((1 << bits_) - 1) / 2;
    const auto mask = static_cast<unsigned>((1 << bits_) - 1);
    std::vector<float> rotated(rotated_dim_, 0.0f);
    for (std::size_t i = 0; i < dim_; ++i) {
        const unsigned level =
            code[i % bytes_] >> (i / bytes_ * static_cast<std::size_t>(bits_)) & mask;
        rotated[i] = -0.5f * scale * (static_cast<float>(level) - half);
    }
    rotation_.apply_inverse(rotated.data(), rotated.data());
    for (std::size_t i = 0; i < dim_; ++i) vector[i] = rotated[i] / scale_ + centre_[i];
}

float ScalarCodes::length(std::uint32_t factors) {
    const auto half = static_cast<std::uint16_t>(factors);
    float square;
    kernels::kernels().from_f16(&half, 1, &square);
    return std::sqrt(square);
}

float ScalarCodes::offset(const float* vector, Order order) const {
    const bool centred = centres_query_ || order == Order::space;
    double sum = 0;
    for (std::size_t i = 0; i < dim_; ++i) {
        const double off = static_cast<double>(vector[i]) - (centred ? centre_[i] : 0.0f);
        sum += centred ? off * off : -off * centre_[i];
    }
    return static_cast<float>(sum);
}

bool ScalarCodes::rotate_query(const float* vector, Order order, Scratch& scratch) const {
    const bool centred = centres_query_ || order == Order::space;
    scratch.rotated.resize(rotated_dim_);
    float* const rotated = scratch.rotated.data();
    if (centred) {
        rotate(vector, rotated);
    } else {
        for (std::size_t j = 0; j < dim_; ++j) rotated[j] = vector[j] * scale_;
        std::fill(rotated + dim_, rotated + rotated_dim_, 0.0f);
        rotation_.apply(rotated, rotated);
    }
    return centred;
}

void ScalarCodes::prepare(const float* vector, Order order, Query& query) const {
    const bool centred = rotate_query(vector, order, query.scratch);
    if (query.codes.size() < code_dim_) query.codes.resize(code_dim_);
    query.terms = round_query(project(query.scratch), centred, query.codes.as<std::int8_t>());
}

void ScalarCodes::prepare(std::size_t n, const std::function<const float*(std::size_t)>& vector,
                          Order order, Scratch& scratch, std::int8_t* codes,
                          kernels::EstimateQuery* terms) const {
    bool centred = true;
    for (std::size_t i = 0; i < n; ++i) {
        centred = rotate_query(vector(i), order, scratch);
        if (projection_.none())
            terms[i] = round_query(project(scratch), centred, codes + i * code_dim_);
        else
            projection_.put(i, n, scratch.rotated.data(), scratch.projecting);
    }
    if (projection_.none()) return;
    projection_.multiply(n, scratch.projecting);
    scratch.projected.resize(code_dim_);
    for (std::size_t i = 0; i < n; ++i) {
        projection_.get(i, scratch.projecting, scratch.projected.data());
        terms[i] = round_query(scratch.projected.data(), centred, codes + i * code_dim_);
    }
}

kernels::EstimateQuery ScalarCodes::round_query(const float* values, bool centred,
                                                std::int8_t* codes) const {
    const float largest = kernels::kernels().largest(values, used_dim());
    const float factor = largest > 1e-30f ? 127 / largest : 0.0f;
    kernels::kernels().to_i8(values, code_dim_, factor, codes);
    std::int32_t sum = 0, squares = 0;
    for (std::size_t i = 0; i < code_dim_; ++i) {
        sum += codes[i];
        squares += codes[i] * codes[i];
    }
    const auto levels = static_cast<double>((1 << bits_) - 1);
    const float unit = factor > 0 ? 1 / factor : 0.0f;
    return {codes, centred ? 1.0f : 0.0f, unit,
            static_cast<std::int32_t>(std::lrint(levels / 2 * sum)),
            unit * unit * static_cast<float>(squares)};
}

}  // namespace nearfield
