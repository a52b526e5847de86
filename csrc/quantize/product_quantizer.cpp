#include "quantize/product_quantizer.h"

#include <algorithm>
#include <cmath>
#include <sstream>

#include "core/error.h"
#include "core/random.h"
#include "core/thread_pool.h"
#include "quantize/kmeans.h"

namespace nearfield {
namespace {

constexpr std::size_t most_words = 256;
constexpr int most_sweeps = 4;  // over the subspaces, where errors along the vector weigh more

constexpr int refits = 4;
constexpr std::size_t most_refit_rows = 65'536;

/// x of A x = b for a symmetric positive definite A (n, n), by elimination; overwrites A and b.
void solve(double* a, double* b, std::size_t n, float* x) {
    for (std::size_t p = 0; p < n; ++p)
        for (std::size_t i = p + 1; i < n; ++i) {
            const double factor = a[i * n + p] / a[p * n + p];
            for (std::size_t j = p; j < n; ++j) a[i * n + j] -= factor * a[p * n + j];
            b[i] -= factor * b[p];
        }
    for (std::size_t i = n; i-- > 0;) {
        for (std::size_t j = i + 1; j < n; ++j) b[i] -= a[i * n + j] * b[j];
        b[i] /= a[i * n + i];
        x[i] = static_cast<float>(b[i]);
    }
}

/// The first of the least of k values, k a multiple of 16; sixteen at a time, for it to vectorise.
std::size_t least_of(const float* values, std::size_t k) {
    constexpr std::size_t lanes = 16;
    float low[lanes];
    std::copy_n(values, lanes, low);
    for (std::size_t c = lanes; c < k; c += lanes)
        for (std::size_t l = 0; l < lanes; ++l) low[l] = std::min(low[l], values[c + l]);
    const float least = *std::min_element(low, low + lanes);
    std::size_t c = 0;
    for (bool here = false; c < k; c += lanes) {
        for (std::size_t l = 0; l < lanes; ++l) here |= values[c + l] == least;
        if (here) break;
    }
    while (values[c] != least) ++c;
    return c;
}

std::string divisors(std::size_t dim) {
    std::ostringstream out;
    for (std::size_t m = 1; m <= dim; ++m)
        if (dim % m == 0) out << (m == 1 ? "" : ", ") << m;
    return out.str();
}

}  // namespace

ProductQuantizer::ProductQuantizer(std::size_t dim, const ProductParams& params)
    : dim_(dim), params_(params) {
    require(dim >= 1, "dim must be at least 1, got ", dim);
    require(params.bits == 4 || params.bits == 8, "bits must be 4 or 8 for pq codes, got ",
            params.bits);
    require(params.m >= 1 && params.m <= dim && dim % params.m == 0, "pq_m must divide dim (", dim,
            "), so be one of ", divisors(dim), ", got ", params.m);
    require(params.parallel_weight >= 1 && std::isfinite(params.parallel_weight),
            "parallel_weight must be at least 1, got ", params.parallel_weight);
}

void ProductQuantizer::set_codebooks(std::vector<float> codebooks) {
    require(codebooks.size() == k() * dim_, "codebooks must have ", k() * dim_, " values, got ",
            codebooks.size());
    codebooks_ = std::move(codebooks);
    transpose();
}

void ProductQuantizer::transpose() {
    const std::size_t w = width();
    columns_.resize(codebooks_.size());
    for (std::size_t j = 0; j < m(); ++j)
        for (std::size_t c = 0; c < k(); ++c)
            for (std::size_t d = 0; d < w; ++d) columns_[(j * w + d) * k() + c] = word(j, c)[d];
}

void ProductQuantizer::train(const MatrixView& rows, const Run& run) {
    require(rows.dim == dim_, "vectors must have shape (n, ", dim_, "), got (", rows.rows, ", ",
            rows.dim, ")");
    require(rows.rows >= k(), "vectors must have at least ", k(), " rows to train on, got ",
            rows.rows);
    const std::size_t w = width(), n = rows.rows;
    std::vector<float> codebooks(k() * dim_), part(n * w);
    for (std::size_t j = 0; j < m(); ++j) {
        for (std::size_t i = 0; i < n; ++i) std::copy_n(rows.row(i) + j * w, w, &part[i * w]);
        KMeansParams params;
        params.k = k();
        params.max_iterations = params_.max_iterations;
        params.seed = mix(params_.seed) + j;
        KMeans kmeans(params);
        Run quiet;
        quiet.threads = run.threads;
        quiet.tick = [&](std::size_t, std::size_t) {
            if (run.tick) run.tick(j, m());
        };
        kmeans.train({part.data(), n, w}, quiet);
        std::copy_n(kmeans.centroids().data, k() * w, &codebooks[j * k() * w]);
    }
    set_codebooks(std::move(codebooks));
    if (params_.parallel_weight > 1)
        for (int round = 0; round < refits; ++round) refit(rows, run);
}

/// Moves the centroids of one subspace after the other to where the weighted errors of the vectors
/// coded by them are least: with e the error of the other subspaces along the vector and u its
/// direction in this one, the solution of sum (I + w u u^T) c = sum (x + w u (e + x . u)), where w
/// = parallel_weight - 1.
void ProductQuantizer::refit(const MatrixView& rows, const Run& run) {
    const std::size_t n = std::min(rows.rows, most_refit_rows), w = width();
    const double weight = params_.parallel_weight - 1;
    std::vector<std::uint8_t> codes(n * m());
    std::vector<double> totals(n, 0.0), inverse(n, 0.0);
    const auto along = [&](std::size_t i, std::size_t j) {
        const float* const x = rows.row(i) + j * w;
        const float* const part = word(j, codes[i * m() + j]);
        double sum = 0;
        for (std::size_t d = 0; d < w; ++d) sum += (static_cast<double>(x[d]) - part[d]) * x[d];
        return sum * inverse[i];
    };
    parallel_for(run, n, 64, [&](std::size_t begin, std::size_t end, std::size_t) {
        for (std::size_t i = begin; i < end; ++i) {
            const float* const row = rows.row(i);
            encode(row, &codes[i * m()]);
            double norm2 = 0;
            for (std::size_t d = 0; d < dim_; ++d) norm2 += static_cast<double>(row[d]) * row[d];
            inverse[i] = norm2 > 1e-30 ? 1 / std::sqrt(norm2) : 0.0;
            for (std::size_t j = 0; j < m(); ++j) totals[i] += along(i, j);
        }
    });
    for (std::size_t j = 0; j < m(); ++j) {
        std::vector<double> left(k() * w * w, 0.0), right(k() * w, 0.0);
        for (std::size_t i = 0; i < n; ++i) {
            const std::size_t c = codes[i * m() + j];
            const float* const x = rows.row(i) + j * w;
            double own = 0;
            for (std::size_t d = 0; d < w; ++d) own += static_cast<double>(x[d]) * x[d];
            totals[i] -= along(i, j);
            const double pull = totals[i] + own * inverse[i];
            for (std::size_t d = 0; d < w; ++d) {
                const double u = x[d] * inverse[i];
                right[c * w + d] += x[d] + weight * u * pull;
                left[(c * w + d) * w + d] += 1;
                for (std::size_t e = 0; e < w; ++e)
                    left[(c * w + d) * w + e] += weight * u * x[e] * inverse[i];
            }
        }
        for (std::size_t c = 0; c < k(); ++c)
            if (left[c * w * w] > 0)
                solve(&left[c * w * w], &right[c * w], w, &codebooks_[(j * k() + c) * w]);
        for (std::size_t i = 0; i < n; ++i) totals[i] += along(i, j);
    }
    transpose();
}

void ProductQuantizer::squared_distances(const float* part, std::size_t j, float* out) const {
    const std::size_t w = width(), words = k();
    std::fill_n(out, words, 0.0f);
    for (std::size_t d = 0; d < w; ++d) {
        const float value = part[d];
        const float* const column = &columns_[(j * w + d) * words];
        for (std::size_t c = 0; c < words; ++c) {
            const float off = value - column[c];
            out[c] += off * off;
        }
    }
}

void ProductQuantizer::encode(const float* vector, std::uint8_t* code) const {
    float distances[most_words];
    for (std::size_t j = 0; j < m(); ++j) {
        squared_distances(vector + j * width(), j, distances);
        code[j] = static_cast<std::uint8_t>(least_of(distances, k()));
    }
    if (params_.parallel_weight > 1) weigh(vector, code);
}

/// |e|^2 + (weight - 1) (e . u)^2 for e = vector - decoded and u its direction, lowered one
/// subspace at a time.
void ProductQuantizer::weigh(const float* vector, std::uint8_t* code) const {
    const std::size_t w = width();
    float norm2 = 0;
    for (std::size_t i = 0; i < dim_; ++i) norm2 += vector[i] * vector[i];
    if (!(norm2 > 1e-30f)) return;
    const float inverse = 1 / std::sqrt(norm2);
    /// e . u of subspace j with code c.
    const auto along = [&](std::size_t j, std::size_t c) {
        float sum = 0;
        for (std::size_t d = 0; d < w; ++d) {
            const float value = vector[j * w + d];
            sum += (value - word(j, c)[d]) * value * inverse;
        }
        return sum;
    };
    float total = 0;
    for (std::size_t j = 0; j < m(); ++j) total += along(j, code[j]);
    float distances[most_words];
    for (int sweep = 0; sweep < most_sweeps; ++sweep) {
        bool changed = false;
        for (std::size_t j = 0; j < m(); ++j) {
            squared_distances(vector + j * w, j, distances);
            const float rest = total - along(j, code[j]);
            const auto loss = [&](std::size_t c) {
                const float parallel = rest + along(j, c);
                return distances[c] + (params_.parallel_weight - 1) * parallel * parallel;
            };
            std::size_t best = code[j];
            float least = loss(best);
            for (std::size_t c = 0; c < k(); ++c) {
                const float found = loss(c);
                if (found < least) least = found, best = c;
            }
            if (best == code[j]) continue;
            code[j] = static_cast<std::uint8_t>(best);
            total = rest + along(j, best);
            changed = true;
        }
        if (!changed) break;
    }
}

void ProductQuantizer::decode(const std::uint8_t* code, float* vector) const {
    for (std::size_t j = 0; j < m(); ++j)
        std::copy_n(word(j, code[j] & (k() - 1)), width(), vector + j * width());
}

void ProductQuantizer::table(const float* query, Table kind, float* out) const {
    const std::size_t w = width(), words = k();
    for (std::size_t j = 0; j < m(); ++j, out += words) {
        if (kind == Table::squared) {
            squared_distances(query + j * w, j, out);
            continue;
        }
        std::fill_n(out, words, 0.0f);
        for (std::size_t d = 0; d < w; ++d) {
            const float value = query[j * w + d];
            const float* const column = &columns_[(j * w + d) * words];
            for (std::size_t c = 0; c < words; ++c) out[c] += value * column[c];
        }
    }
}

}  // namespace nearfield
