#include "quantize/frame.h"

#include <algorithm>
#include <cmath>

#include "core/buffer.h"
#include "core/random.h"
#include "core/thread_pool.h"
#include "kernels/kernels.h"
#include "quantize/product_quantizer.h"

namespace nearfield {
namespace {

using kernels::Scalar;

constexpr int rounds = 8;         // of codes and rotation in turn
constexpr int polar_rounds = 40;  // each brings singular values closer to 1
constexpr std::size_t most_rows = 16'384;

/// (rows of a) x (rows of b)^T, both with k columns; the work on one thread is 83 * 10^9
/// multiply-adds a second.
std::vector<float> multiply(const std::vector<float>& a, std::size_t m, const std::vector<float>& b,
                            std::size_t n, std::size_t k, const Run& run) {
    const kernels::Kernels& table = kernels::kernels();
    Buffer panels(kernels::panel_elements(Scalar::f32, n, k) * sizeof(float));
    table.pack_f32(b.data(), n, k, k * sizeof(float), panels.as<float>());
    const std::size_t stride = kernels::padded(n, kernels::panel_rows);
    Buffer out(m * stride * sizeof(float));
    parallel_for(run, m, 64, [&](std::size_t begin, std::size_t end, std::size_t) {
        table.tile_f32(a.data() + begin * k, end - begin, k, panels.as<float>(), n, k,
                       out.as<float>() + begin * stride, stride);
    });
    std::vector<float> product(m * n);
    for (std::size_t i = 0; i < m; ++i)
        std::copy_n(out.as<float>() + i * stride, n, &product[i * n]);
    return product;
}

std::vector<float> transposed(const std::vector<float>& a, std::size_t rows, std::size_t columns) {
    std::vector<float> out(a.size());
    for (std::size_t i = 0; i < rows; ++i)
        for (std::size_t j = 0; j < columns; ++j) out[j * rows + i] = a[i * columns + j];
    return out;
}

/// The orthogonal matrix nearest to a square one: Newton-Schulz, X <- 1.5 X - 0.5 X X^T X.
std::vector<float> nearest_orthogonal(std::vector<float> x, std::size_t dim, const Run& run) {
    double norm2 = 0;
    for (const float value : x) norm2 += static_cast<double>(value) * value;
    // The largest singular value is at most this norm; sqrt(3) is where the rounds would diverge.
    const auto inverse = static_cast<float>(1 / std::sqrt(std::max(norm2, 1e-30)));
    for (float& value : x) value *= inverse;
    for (int round = 0; round < polar_rounds; ++round) {
        const std::vector<float> gram = multiply(x, dim, x, dim, dim, run);
        double off = 0;
        for (std::size_t i = 0; i < dim; ++i)
            for (std::size_t j = 0; j < dim; ++j)
                off = std::max(off, std::abs(static_cast<double>(gram[i * dim + j]) - (i == j)));
        if (off < 1e-5) break;
        const std::vector<float> cubed =
            multiply(gram, dim, transposed(x, dim, dim), dim, dim, run);
        for (std::size_t i = 0; i < x.size(); ++i) x[i] = 1.5f * x[i] - 0.5f * cubed[i];
    }
    return x;
}

}  // namespace

Frame::Frame(std::size_t dim, bool random_rotation, std::uint64_t seed)
    : dim_(dim), centre_(dim, 0.0f) {
    if (random_rotation) rotation_.emplace(dim, seed);
}

void Frame::train(const MatrixView& rows) {
    std::vector<double> mean(dim_, 0.0);
    for (std::size_t i = 0; i < rows.rows; ++i)
        for (std::size_t j = 0; j < dim_; ++j) mean[j] += rows.row(i)[j];
    for (std::size_t j = 0; j < dim_; ++j)
        centre_[j] = static_cast<float>(mean[j] / static_cast<double>(rows.rows));
    double spread = 0;
    for (std::size_t i = 0; i < rows.rows; ++i)
        for (std::size_t j = 0; j < dim_; ++j) {
            const double off = static_cast<double>(rows.row(i)[j]) - centre_[j];
            spread += off * off;
        }
    spread /= static_cast<double>(rows.rows);
    scale_ = spread > 1e-30 ? static_cast<float>(1 / std::sqrt(spread)) : 1.0f;
}

void Frame::turn(std::vector<float> matrix) { matrix_ = std::move(matrix); }

void Frame::restore(std::vector<float> centre, float scale, std::vector<float> matrix) {
    centre_ = std::move(centre);
    scale_ = scale;
    matrix_ = std::move(matrix);
}

void Frame::apply(const float* in, bool centred, float* out) const {
    for (std::size_t j = 0; j < dim_; ++j) out[j] = (centred ? in[j] - centre_[j] : in[j]) * scale_;
    if (rotation_) rotation_->apply(out, out);
    if (matrix_.empty()) return;
    std::vector<float> before(out, out + dim_);
    kernels::kernels().rows[0][static_cast<std::size_t>(kernels::Metric::dot)](
        before.data(), matrix_.data(), dim_, dim_, dim_ * sizeof(float), out);
    for (std::size_t j = 0; j < dim_; ++j) out[j] = -out[j];
}

void Frame::apply_inverse(const float* in, float* out) const {
    if (matrix_.empty()) {
        std::copy_n(in, dim_, out);
    } else {
        std::fill_n(out, dim_, 0.0f);
        for (std::size_t i = 0; i < dim_; ++i)
            for (std::size_t j = 0; j < dim_; ++j) out[j] += in[i] * matrix_[i * dim_ + j];
    }
    if (rotation_) rotation_->apply_inverse(out, out);
    for (std::size_t j = 0; j < dim_; ++j) out[j] = out[j] / scale_ + centre_[j];
}

void turn_rows(const MatrixView& rows, const std::vector<float>& matrix, float* out,
               const Run& run) {
    const std::size_t dim = rows.dim;
    const auto dot = kernels::kernels().rows[0][static_cast<std::size_t>(kernels::Metric::dot)];
    parallel_for(run, rows.rows, 64, [&](std::size_t begin, std::size_t end, std::size_t) {
        for (std::size_t i = begin; i < end; ++i) {
            dot(rows.row(i), matrix.data(), dim, dim, dim * sizeof(float), out + i * dim);
            for (std::size_t j = 0; j < dim; ++j) out[i * dim + j] = -out[i * dim + j];
        }
    });
}

std::vector<float> product_rotation(const MatrixView& rows, std::size_t m, int bits,
                                    std::uint64_t seed, const Run& run) {
    const std::size_t dim = rows.dim, n = std::min(rows.rows, most_rows);
    const std::size_t step = rows.rows / n;
    std::vector<float> sample(n * dim);
    for (std::size_t i = 0; i < n; ++i) std::copy_n(rows.row(i * step), dim, &sample[i * dim]);
    const std::vector<float> columns = transposed(sample, n, dim);
    // A random start mixes dimensions that would never meet otherwise.
    std::vector<float> matrix(dim * dim), unit(dim, 0.0f);
    const Rotation start(dim, mix(seed));
    for (std::size_t i = 0; i < dim; ++i) {
        unit[i] = 1;
        start.apply(unit.data(), &matrix[i * dim]);
        unit[i] = 0;
    }
    std::vector<float> turned(n * dim), decoded(n * dim);
    ProductParams params{m, bits, 1, 6, seed};
    for (int round = 0; round < rounds; ++round) {
        turn_rows({sample.data(), n, dim}, matrix, turned.data(), run);
        ProductQuantizer quantizer(dim, params);
        quantizer.train({turned.data(), n, dim}, run);
        parallel_for(run, n, 64, [&](std::size_t begin, std::size_t end, std::size_t) {
            std::vector<std::uint8_t> code(m);
            for (std::size_t i = begin; i < end; ++i) {
                quantizer.encode(&turned[i * dim], code.data());
                quantizer.decode(code.data(), &decoded[i * dim]);
            }
        });
        // R maximises trace(R X^T Y), Y the decoded rows: the orthogonal factor of Y^T X.
        std::vector<float> product =
            multiply(transposed(decoded, n, dim), dim, columns, dim, n, run);
        double largest = 0;
        for (const float value : product) largest = std::max(largest, std::abs(double{value}));
        // Where the sample says nothing, the rotation stays as it is.
        const auto keep = static_cast<float>(1e-5 * largest + 1e-30);
        for (std::size_t i = 0; i < product.size(); ++i) product[i] += keep * matrix[i];
        matrix = nearest_orthogonal(std::move(product), dim, run);
    }
    return matrix;
}

}  // namespace nearfield
