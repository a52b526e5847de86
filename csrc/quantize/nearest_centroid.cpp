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

constexpr std::size_t ahead = 4;  // rows whose distances are prepared for

}  // namespace

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
    std::vector<Largest> largest((k + chunk - 1) / chunk);
    progress.loop(k, chunk, 0, [&](std::size_t begin, std::size_t end, std::size_t) {
        largest[begin / chunk] = load_chunk(begin, end - begin);
    });
    largest_ = {};
    for (const Largest& one : largest) {
        largest_.add = std::max(largest_.add, one.add);
        largest_.norm = std::max(largest_.norm, one.norm);
        largest_.code_norm = std::max(largest_.code_norm, one.code_norm);
    }
}

std::size_t NearestCentroid::block_rows() const {
    constexpr std::size_t products = std::size_t{1} << 29;  // 2 ms with VNNI, 10 with AVX2
    return std::clamp<std::size_t>(products / (centroids_.rows * width_), 16, 64);
}

float NearestCentroid::measure(const Query& query, Slot centroid) const {
    float distance;
    kernels::kernels()
        .gather[0][static_cast<std::size_t>(metric_ == Metric::l2 ? Metric::l2 : Metric::dot)](
            query.row, centroids_.data, &centroid, 1, origin_.size(),
            origin_.size() * sizeof(float), &distance);
    return distance * query.terms->factor;
}

/// Measures a centroid. When it is the nearest so far, lowers the limit: what a centroid as near as
/// that can have as its bound, given the rounding errors of the kernel that measures (dim terms)
/// and of the bound's arithmetic (a handful).
void NearestCentroid::consider(Query& query, Slot centroid) const {
    const Neighbor found{measure(query, centroid), centroid};
    if (!(found < query.best)) return;
    query.best = found;
    const CodeTerms& terms = *query.terms;
    const double best = found.distance;
    const double measured = metric_ == Metric::l2
                                ? best
                                : (static_cast<double>(terms.norm) + origin_norm_) * largest_.norm;
    const double summed = largest_.add + std::abs(static_cast<double>(terms.base)) +
                          weight_ * terms.norm * largest_.code_norm;
    const double slack =
        epsilon * (static_cast<double>(origin_.size() + 8) * measured + 32 * summed);
    constexpr double below_normal = 1e-35;
    query.limit = static_cast<float>(best - terms.base + slack + below_normal);
}

/// Measures those of `count` selected centroids of the chunk at `first` that can still win.
void NearestCentroid::examine(Query& query, Slot first, std::size_t count, Scratch& scratch) const {
    // The most promising one first: it may rule out the others.
    const float* bounds = scratch.bounds.data();
    const auto lowest = static_cast<std::size_t>(std::min_element(bounds, bounds + count) - bounds);
    const Slot known = query.best.slot;
    if (first + scratch.slots[lowest] != known) consider(query, first + scratch.slots[lowest]);
    for (std::size_t i = 0; i < count; ++i) {
        const Slot slot = first + scratch.slots[i];
        if (i != lowest && slot != known && bounds[i] <= query.limit) consider(query, slot);
    }
}

void NearestCentroid::find(const RowSet& rows, std::size_t begin, std::size_t end,
                           const std::int8_t* codes, const CodeTerms* terms, Slot* slots,
                           float* distances, Scratch& scratch) const {
    const std::size_t m = end - begin;
    scratch.dots.resize(m * chunk * sizeof(std::int32_t));
    scratch.slots.resize(chunk);
    scratch.bounds.resize(chunk);
    scratch.queries.resize(m);
    for (std::size_t i = 0; i < m; ++i) {
        if (i + ahead < m) {
            prefetch(rows.row(begin + i + ahead), centroids_.dim);
            prefetch(centroids_.row(slots[i + ahead]), centroids_.dim);
        }
        scratch.queries[i] = {rows.row(begin + i), terms + i, {}, 0};
        consider(scratch.queries[i], slots[i]);
    }

    const kernels::Kernels& table = kernels::kernels();
    const auto code_norm = static_cast<float>(weight_ * largest_.code_norm * up * up);
    auto* const dots = scratch.dots.as<std::int32_t>();
    for (std::size_t first = 0; first < centroids_.rows; first += chunk) {
        const std::size_t count = std::min(chunk, centroids_.rows - first);
        table.tile_i8(codes, m, width_, panels_.as<std::uint8_t>() + first * width_, count,
                      origin_.size(), dots, chunk);
        const kernels::BoundRows bound_rows{add_.data() + first, scale_.data() + first,
                                            error_.data() + first};
        for (std::size_t i = 0; i < m; ++i) {
            Query& query = scratch.queries[i];
            const kernels::BoundQuery bound{terms[i].shift, terms[i].scale, weight_ * terms[i].norm,
                                            code_norm * terms[i].error};
            const std::size_t found =
                table.select_bound(dots + i * chunk, count, bound_rows, bound, query.limit,
                                   scratch.slots.data(), scratch.bounds.data());
            if (found == 0 || (found == 1 && first + scratch.slots[0] == query.best.slot)) continue;
            examine(query, static_cast<Slot>(first), found, scratch);
        }
    }
    for (std::size_t i = 0; i < m; ++i) {
        slots[i] = scratch.queries[i].best.slot;
        distances[i] = kernels::info(metric_).offset + scratch.queries[i].best.distance;
    }
}

}  // namespace nearfield
