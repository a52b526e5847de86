#include "quantize/projection.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/error.h"
#include "core/random.h"
#include "core/thread_pool.h"
#include "kernels/kernels.h"
#include "quantize/int_rows.h"
#include "quantize/rotation.h"

namespace nearfield {
namespace {

constexpr std::size_t rounds = 6;  // of subspace iteration; only the span must converge
constexpr std::size_t rows_a_piece = 16, rows_a_block = 32;
constexpr std::size_t slack = 64;        // the kernels read and write whole registers
constexpr std::int32_t zero_code = 128;  // codes are stored unsigned

/// Sums of products of 8-bit entries, exact and so the same on every CPU; (dim, dim).
std::vector<float> covariance(const std::vector<float>& rows, std::size_t dim) {
    const std::size_t n = rows.size() / dim, padded = kernels::padded(n, 64);
    const kernels::Kernels& table = kernels::kernels();
    const float top = table.largest(rows.data(), rows.size());
    std::vector<std::int8_t> ints(dim);
    TileScratch scratch;
    std::int8_t* const left = scratch.left(dim, padded);
    std::uint8_t* const right = scratch.right(dim, padded);
    std::memset(left, 0, dim * padded);
    std::memset(right, zero_code, dim * padded);
    for (std::size_t i = 0; i < n; ++i) {
        table.to_i8(&rows[i * dim], dim, top > 0 ? 127 / top : 0.0f, ints.data());
        for (std::size_t j = 0; j < dim; ++j) {
            left[j * padded + i] = ints[j];
            right[j * padded + i] = static_cast<std::uint8_t>(ints[j] + zero_code);
        }
    }
    std::uint8_t* const panels = scratch.panels(dim, padded);
    table.pack_u8(right, dim, padded, padded, panels);
    const std::size_t stride = kernels::padded(dim, kernels::panel_rows);
    std::int32_t* const out = scratch.out(dim, dim);
    table.tile_i8(left, dim, padded, panels, dim, padded, out, stride);
    std::vector<float> products(dim * dim);
    for (std::size_t i = 0; i < dim; ++i) {
        std::int32_t sum = 0;
        for (std::size_t k = 0; k < padded; ++k) sum += left[i * padded + k];
        for (std::size_t j = 0; j < dim; ++j)
            products[i * dim + j] = static_cast<float>(out[i * stride + j] - zero_code * sum);
    }
    return products;
}

float product(const float* a, const float* b, std::size_t n) {
    float sum[8] = {};
    std::size_t i = 0;
    for (; i + 8 <= n; i += 8)
        for (std::size_t lane = 0; lane < 8; ++lane) sum[lane] += a[i + lane] * b[i + lane];
    for (; i < n; ++i) sum[0] += a[i] * b[i];
    return ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7]));
}

void subtract(const float* x, float times, std::size_t n, float* from) {
    for (std::size_t i = 0; i < n; ++i) from[i] -= times * x[i];
}

/// To a length of 1; a row that vanishes becomes the unit vector j.
void normalise(float* row, std::size_t dim, std::size_t j) {
    const float length = std::sqrt(product(row, row, dim));
    for (std::size_t i = 0; i < dim; ++i)
        row[i] = length > 1e-12f ? row[i] / length : (i == j ? 1.0f : 0.0f);
}

/// Gram-Schmidt by blocks of rows: what lies along earlier blocks leaves all rows of one at once.
void orthonormalise(std::vector<float>& basis, std::size_t dim, int passes, const Run& run) {
    const std::size_t n = basis.size() / dim;
    const auto leave = [&](std::size_t r, std::size_t from, std::size_t to) {
        float* const row = &basis[r * dim];
        normalise(row, dim, r);
        for (std::size_t s = from; s < to; ++s)
            subtract(&basis[s * dim], product(row, &basis[s * dim], dim), dim, row);
    };
    for (std::size_t first = 0; first < n; first += rows_a_block) {
        const std::size_t last = std::min(n, first + rows_a_block);
        for (int pass = 0; pass < passes; ++pass) {
            parallel_for(run, last - first, 4,
                         [&](std::size_t begin, std::size_t end, std::size_t) {
                             for (std::size_t r = first + begin; r < first + end; ++r)
                                 leave(r, 0, first);
                         });
            for (std::size_t r = first; r < last; ++r) {
                leave(r, first, r);
                normalise(&basis[r * dim], dim, r);
            }
        }
    }
}

}  // namespace

std::vector<float> principal_basis(const std::vector<float>& rows, std::size_t dim,
                                   std::size_t out_dim, std::uint64_t seed, const Run& run) {
    const std::vector<float> products = covariance(rows, dim);
    Random random(seed);
    std::vector<float> basis(out_dim * dim), next(out_dim * dim);
    for (float& value : basis) value = static_cast<float>(random.normal());
    for (std::size_t round = 0; round < rounds; ++round) {
        orthonormalise(basis, dim, 1, run);
        parallel_for(
            run, out_dim, rows_a_piece, [&](std::size_t begin, std::size_t end, std::size_t) {
                std::fill(&next[begin * dim], &next[begin * dim] + (end - begin) * dim, 0.0f);
                for (std::size_t i = 0; i < dim; ++i)
                    for (std::size_t r = begin; r < end; ++r)
                        subtract(&products[i * dim], -basis[r * dim + i], dim, &next[r * dim]);
            });
        basis.swap(next);
    }
    orthonormalise(basis, dim, 2, run);  // once leaves what rounding adds
    return basis;
}

Projection::Projection(const std::vector<float>& basis, std::size_t dim, std::size_t out_dim,
                       std::uint64_t seed)
    : dim_(dim), stride_(kernels::padded(dim, 64)), out_dim_(out_dim) {
    std::vector<float> turned(basis.begin(),
                              basis.begin() + static_cast<std::ptrdiff_t>(out_dim * dim));
    const Rotation turn(out_dim, seed);
    std::vector<float> column(out_dim);
    for (std::size_t j = 0; j < dim; ++j) {
        for (std::size_t r = 0; r < out_dim; ++r) column[r] = turned[r * dim + j];
        turn.apply(column.data(), column.data());
        for (std::size_t r = 0; r < out_dim; ++r) turned[r * dim + j] = column[r];
    }
    const kernels::Kernels& table = kernels::kernels();
    const float top = table.largest(turned.data(), turned.size());
    step_ = std::max(top, 1e-20f) / 127;
    matrix_.resize(out_dim * stride_);
    std::memset(matrix_.data(), zero_code, matrix_.size());
    std::vector<std::int8_t> ints(dim);
    for (std::size_t r = 0; r < out_dim; ++r) {
        table.to_i8(&turned[r * dim], dim, 1 / step_, ints.data());
        std::uint8_t* const out = matrix_.as<std::uint8_t>() + r * stride_;
        for (std::size_t j = 0; j < dim; ++j)
            out[j] = static_cast<std::uint8_t>(ints[j] + zero_code);
    }
    pack();
}

void Projection::pack() {
    panels_.resize(dots_stride() * stride_ + slack);
    kernels::kernels().pack_u8(matrix_.data(), out_dim_, stride_, stride_, panels_.data());
}

Projection::Rounded Projection::round(const float* in, std::int8_t* ints) const {
    const kernels::Kernels& table = kernels::kernels();
    const float top = table.largest(in, dim_);
    const float factor = top > 1e-30f ? 127 / top : 0.0f;
    table.to_i8(in, dim_, factor, ints);
    std::memset(ints + dim_, 0, stride_ - dim_);
    std::int32_t sum = 0;
    for (std::size_t j = 0; j < dim_; ++j) sum += ints[j];
    return {factor, sum};
}

void Projection::scale(const std::int32_t* dots, const Rounded& rounded, float* out) const {
    const float scale = rounded.factor > 0 ? step_ / rounded.factor : 0.0f;
    for (std::size_t r = 0; r < out_dim_; ++r)
        out[r] = static_cast<float>(dots[r] - zero_code * rounded.sum) * scale;
}

void Projection::apply(const float* in, Scratch& scratch, float* out) const {
    put(0, 1, in, scratch);
    auto* const dots = scratch.dots.as<std::int32_t>();
    // The matrix stays in a cache from one query to the next: requests for it ahead of time would
    // take 40 % of the product.
    const std::size_t piece =
        std::max<std::size_t>((kernels::streamed_bytes - 1) / stride_ / 8 * 8, 8);
    for (std::size_t r = 0; r < out_dim_; r += piece)
        kernels::kernels().dot_u8_rows(scratch.ints.as<std::int8_t>(),
                                       matrix_.as<std::uint8_t>() + r * stride_,
                                       std::min(piece, out_dim_ - r), stride_, stride_, dots + r);
    scale(dots, scratch.rounded[0], out);
}

void Projection::put(std::size_t i, std::size_t n, const float* in, Scratch& scratch) const {
    const std::size_t dots = n * dots_stride() * sizeof(std::int32_t);
    if (scratch.ints.size() < n * stride_ + slack) scratch.ints.resize(n * stride_ + slack);
    if (scratch.dots.size() < dots + slack) scratch.dots.resize(dots + slack);
    if (scratch.rounded.size() < n) scratch.rounded.resize(n);
    scratch.rounded[i] = round(in, scratch.ints.as<std::int8_t>() + i * stride_);
}

void Projection::multiply(std::size_t n, Scratch& scratch) const {
    kernels::kernels().tile_i8(scratch.ints.as<std::int8_t>(), n, stride_,
                               panels_.as<std::uint8_t>(), out_dim_, stride_,
                               scratch.dots.as<std::int32_t>(), dots_stride());
}

void Projection::get(std::size_t i, const Scratch& scratch, float* out) const {
    scale(scratch.dots.as<std::int32_t>() + i * dots_stride(), scratch.rounded[i], out);
}

void Projection::state(StateWriter& out) const {
    if (none()) return;
    out.array("codes.matrix", matrix_.as<std::uint8_t>(), matrix_.size());
    out.array("codes.step", &step_, 1);
}

void Projection::load(StateReader& in, std::size_t dim) {
    dim_ = dim;
    stride_ = kernels::padded(dim, 64);
    const std::size_t n = in.count("codes.matrix");
    if (n == 0) return;
    if (n % stride_ != 0 || n / stride_ >= dim || dim > max_dim)
        throw CorruptIndex(text("section codes.matrix has ", n, " entries for dim ", dim),
                           "codes.matrix");
    const auto values = in.values<std::uint8_t>("codes.matrix", n);
    step_ = in.values<float>("codes.step", 1)[0];
    if (!(step_ > 0) || !std::isfinite(step_))
        throw CorruptIndex(text("section codes.step must be above 0, got ", step_), "codes.step");
    out_dim_ = n / stride_;
    matrix_.resize(n);
    std::memcpy(matrix_.data(), values.data(), n);
    pack();
}

}  // namespace nearfield
