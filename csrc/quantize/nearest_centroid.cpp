#include "quantize/nearest_centroid.h"

#include <algorithm>
#include <cmath>

#include "kernels/kernels.h"

namespace nearfield {
namespace {

using kernels::Metric;
using kernels::Scalar;

constexpr std::size_t chunk =
    256;                         // centroids whose products with a block of rows are held at once
constexpr int zero_point = 128;  // of the centroids' unsigned codes
constexpr double epsilon = 0x1p-24;     // largest relative rounding error of a float
constexpr double up = 1 + 4 * epsilon;  // a float made from x * up is not below x

/// Four chains let it vectorise; the order is fixed.
double dot(const float* a, const float* b, std::size_t dim) {
    double sum[4] = {};
    std::size_t i = 0;
    for (; i + 4 <= dim; i += 4)
        for (std::size_t lane = 0; lane < 4; ++lane)
            sum[lane] += static_cast<double>(a[i + lane]) * b[i + lane];
    for (; i < dim; ++i) sum[0] += static_cast<double>(a[i]) * b[i];
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

double length(const float* values, std::size_t dim) { return std::sqrt(dot(values, values, dim)); }

float largest_magnitude(const float* values, std::size_t dim) {
    float lanes[8] = {};
    std::size_t i = 0;
    for (; i + 8 <= dim; i += 8)
        for (std::size_t lane = 0; lane < 8; ++lane)
            lanes[lane] = std::max(lanes[lane], std::abs(values[i + lane]));
    for (; i < dim; ++i) lanes[0] = std::max(lanes[0], std::abs(values[i]));
    return *std::max_element(lanes, lanes + 8);
}

/// |values - scale * code|
double rest_length(const float* values, const std::int8_t* code, double scale, std::size_t dim) {
    double sum[4] = {};
    const auto square = [&](std::size_t j) {
        const double rest = values[j] - scale * code[j];
        return rest * rest;
    };
    std::size_t i = 0;
    for (; i + 4 <= dim; i += 4)
        for (std::size_t lane = 0; lane < 4; ++lane) sum[lane] += square(i + lane);
    for (; i < dim; ++i) sum[0] += square(i);
    return std::sqrt((sum[0] + sum[1]) + (sum[2] + sum[3]));
}

struct Quantized {
    float scale;
    double norm, error;
};

/// Symmetric int8 codes of `values`, which are (row * factor - origin) as floats: three roundings
/// of at most epsilon * (norm + 2 * origin_norm) each, so the error counts those too.
Quantized quantize(const float* values, std::size_t dim, double origin_norm, std::int8_t* code) {
    const float largest = largest_magnitude(values, dim);
    const bool usable = largest > 1e-30f;  // else the code is zero and the error is all of it
    const float scale = usable ? largest / 127.0f : 0.0f;
    kernels::kernels().to_i8(values, dim, usable ? 127.0f / largest : 0.0f, code);
    const double norm = length(values, dim);
    const double error = rest_length(values, code, scale, dim);
    return {scale, norm, error * up + 4 * epsilon * (norm + 2 * origin_norm)};
}

}  // namespace

/// A row under way to its nearest centroid.
struct NearestCentroid::Query {
    const float* row;
    const CodeTerms& terms;
    Neighbor& best;
};

NearestCentroid::NearestCentroid(Metric metric, std::vector<float> origin)
    : metric_(metric),
      origin_(std::move(origin)),
      origin_norm_(length(origin_.data(), origin_.size())),
      width_(kernels::panel_dim(Scalar::u8, origin_.size())),
      weight_(metric == Metric::l2 ? 2.0f : 1.0f) {}

CodeTerms NearestCentroid::encode(const float* row, std::int8_t* code, Scratch& scratch) const {
    const std::size_t dim = origin_.size();
    float factor = 1.0f;
    if (metric_ == Metric::cosine) {
        const double norm = length(row, dim);
        factor = norm > 0 ? static_cast<float>(1.0 / norm) : 0.0f;
    }
    scratch.centred.resize(dim);
    float* centred = scratch.centred.data();
    for (std::size_t i = 0; i < dim; ++i) centred[i] = row[i] * factor - origin_[i];
    const Quantized made = quantize(centred, dim, origin_norm_, code);
    std::fill(code + dim, code + width_, std::int8_t{0});
    std::int32_t sum = 0;
    for (std::size_t i = 0; i < dim; ++i) sum += code[i];
    const double base =
        metric_ == Metric::l2 ? made.norm * made.norm : -dot(centred, origin_.data(), dim);
    return {factor,
            made.scale,
            static_cast<float>(made.norm * up),
            static_cast<float>(made.error * up),
            static_cast<float>(base),
            zero_point * sum};
}

/// Codes, packs and bounds centroids [first, first + count); first is a multiple of chunk.
NearestCentroid::Largest NearestCentroid::load_chunk(std::size_t first, std::size_t count) {
    const std::size_t dim = origin_.size();
    std::vector<float> centred(dim);
    std::vector<std::int8_t> code(dim);
    std::vector<std::uint8_t> rows(count * dim);
    Largest largest;
    for (std::size_t i = 0; i < count; ++i) {
        const float* centroid = centroids_.row(first + i);
        for (std::size_t j = 0; j < dim; ++j) centred[j] = centroid[j] - origin_[j];
        const Quantized made = quantize(centred.data(), dim, origin_norm_, code.data());
        for (std::size_t j = 0; j < dim; ++j)
            rows[i * dim + j] = static_cast<std::uint8_t>(code[j] + zero_point);
        const double add =
            metric_ == Metric::l2 ? made.norm * made.norm : -dot(centroid, origin_.data(), dim);
        add_[first + i] = static_cast<float>(add);
        scale_[first + i] = weight_ * made.scale;
        error_[first + i] = static_cast<float>(made.error * up);
        largest.add = std::max(largest.add, std::abs(add));
        largest.norm = std::max(largest.norm, length(centroid, dim));
        largest.code_norm = std::max(largest.code_norm, made.norm + made.error);
    }
    kernels::kernels().pack_u8(rows.data(), count, dim, dim,
                               panels_.as<std::uint8_t>() + first * width_);
    return largest;
}

void NearestCentroid::set_centroids(const MatrixView& centroids, Progress& progress) {
    const std::size_t k = centroids.rows;
    centroids_ = centroids;
    panels_.resize(kernels::panel_elements(Scalar::u8, k, origin_.size()));
    add_.resize(k);
    scale_.resize(k);
    error_.resize(k);
    largest_.resize((k + chunk - 1) / chunk);
    progress.loop(k, chunk, 0, [&](std::size_t begin, std::size_t end, std::size_t) {
        largest_[begin / chunk] = load_chunk(begin, end - begin);
    });
}

std::size_t NearestCentroid::block_rows() const {
    constexpr std::size_t products = std::size_t{1} << 29;  // 2 ms with VNNI, 10 with AVX2
    return std::clamp<std::size_t>(products / (centroids_.rows * width_), 16, 128);
}

float NearestCentroid::measure(const Query& query, Slot centroid) const {
    float distance;
    kernels::kernels()
        .gather[0][static_cast<std::size_t>(metric_ == Metric::l2 ? Metric::l2 : Metric::dot)](
            query.row, centroids_.data, &centroid, 1, origin_.size(),
            origin_.size() * sizeof(float), &distance);
    return distance * query.terms.factor;
}

/// A centroid as near as query.best has a bound of at most this. Adds to the distance the rounding
/// errors of the kernel that measures (dim terms) and of the bound's arithmetic (a handful).
float NearestCentroid::threshold(const Query& query, const Largest& largest) const {
    const CodeTerms& terms = query.terms;
    const double best = query.best.distance;
    const double measured = metric_ == Metric::l2
                                ? best
                                : (static_cast<double>(terms.norm) + origin_norm_) * largest.norm;
    const double summed = largest.add + std::abs(static_cast<double>(terms.base)) +
                          weight_ * terms.norm * largest.code_norm;
    const double slack =
        epsilon * (static_cast<double>(origin_.size() + 8) * measured + 32 * summed);
    constexpr double below_normal = 1e-35;
    return static_cast<float>(best - terms.base + slack + below_normal);
}

void NearestCentroid::search_chunk(Query& query, std::size_t chunk_number, const std::int32_t* dots,
                                   Scratch& scratch) const {
    const std::size_t first = chunk_number * chunk;
    const Largest& largest = largest_[chunk_number];
    const CodeTerms& terms = query.terms;
    const kernels::BoundRows rows{add_.data() + first, scale_.data() + first,
                                  error_.data() + first};
    const kernels::BoundQuery bound{
        terms.shift, terms.scale, weight_ * terms.norm,
        static_cast<float>(weight_ * terms.error * largest.code_norm * up)};
    const std::size_t count = kernels::kernels().select_bound(
        dots, std::min(chunk, centroids_.rows - first), rows, bound, threshold(query, largest),
        scratch.slots.data(), scratch.bounds.data());
    const bool only_itself = count == 1 && first + scratch.slots[0] == query.best.slot;
    if (count > 0 && !only_itself) examine(query, chunk_number, count, scratch);
}

/// Measures those of the `count` selected centroids that can still win.
void NearestCentroid::examine(Query& query, std::size_t chunk_number, std::size_t count,
                              Scratch& scratch) const {
    const auto first = static_cast<Slot>(chunk_number * chunk);
    const auto consider = [&](float distance, Slot slot) {
        query.best = std::min(query.best, Neighbor{distance, slot});
    };
    // The most promising one first: it may rule out the others.
    const auto lowest = static_cast<std::size_t>(
        std::min_element(scratch.bounds.begin(),
                         scratch.bounds.begin() + static_cast<std::ptrdiff_t>(count)) -
        scratch.bounds.begin());
    const Slot promising = first + scratch.slots[lowest];
    const Slot known = query.best.slot;
    if (promising != known) consider(measure(query, promising), promising);

    const float limit = threshold(query, largest_[chunk_number]);
    for (std::size_t i = 0; i < count; ++i) {
        const Slot slot = first + scratch.slots[i];
        if (i == lowest || slot == known || scratch.bounds[i] > limit) continue;
        consider(measure(query, slot), slot);
    }
}

void NearestCentroid::find(const RowSet& rows, std::size_t begin, std::size_t end,
                           const std::int8_t* codes, const CodeTerms* terms, Slot* slots,
                           float* distances, Scratch& scratch) const {
    const std::size_t m = end - begin;
    scratch.dots.resize(m * chunk * sizeof(std::int32_t));
    scratch.slots.resize(chunk);
    scratch.bounds.resize(chunk);
    scratch.best.resize(m);
    const auto query = [&](std::size_t i) {
        return Query{rows.row(begin + i), terms[i], scratch.best[i]};
    };
    for (std::size_t i = 0; i < m; ++i) scratch.best[i] = {measure(query(i), slots[i]), slots[i]};

    auto* const dots = scratch.dots.as<std::int32_t>();
    for (std::size_t c = 0; c < largest_.size(); ++c) {
        const std::size_t count = std::min(chunk, centroids_.rows - c * chunk);
        kernels::kernels().tile_i8(codes, m, width_,
                                   panels_.as<std::uint8_t>() + c * chunk * width_, count,
                                   origin_.size(), dots, chunk);
        for (std::size_t i = 0; i < m; ++i) {
            Query one = query(i);
            search_chunk(one, c, dots + i * chunk, scratch);
        }
    }
    for (std::size_t i = 0; i < m; ++i) {
        slots[i] = scratch.best[i].slot;
        distances[i] = kernels::info(metric_).offset + scratch.best[i].distance;
    }
}

}  // namespace nearfield
