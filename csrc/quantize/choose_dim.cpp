// How many dimensions codes need to keep, by trial on a sample.
#include <algorithm>
#include <cstring>
#include <limits>
#include <numeric>
#include <utility>

#include "core/thread_pool.h"
#include "quantize/scalar_codes.h"

namespace nearfield {
namespace {

constexpr std::size_t line_bits = 512;
constexpr std::size_t most_kept = 512;  // the basis of more would take too long
// Of the true nearest `near`, how many must be among the first `looked_at` estimates.
constexpr std::size_t near = 10, looked_at = 14, queries = 192;
constexpr double enough = 0.99;
constexpr std::size_t rows_a_piece = 64, queries_a_piece = 8;

/// The first n numbers by value, in no order.
template <class T>
std::vector<std::size_t> first_by(const std::vector<T>& values, std::size_t n) {
    std::vector<std::size_t> order(values.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    std::nth_element(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(n), order.end(),
                     [&](std::size_t a, std::size_t b) {
                         return values[a] != values[b] ? values[a] < values[b] : a < b;
                     });
    order.resize(n);
    return order;
}

double squared_distance(const float* a, const float* b, std::size_t dim) {
    double sum[4] = {};
    std::size_t i = 0;
    for (; i + 4 <= dim; i += 4)
        for (std::size_t lane = 0; lane < 4; ++lane) {
            const double off = static_cast<double>(a[i + lane]) - b[i + lane];
            sum[lane] += off * off;
        }
    for (; i < dim; ++i) sum[0] += (static_cast<double>(a[i]) - b[i]) * (a[i] - b[i]);
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

/// The nearest few of each query among the odd rows, itself left out; (queries, near).
std::vector<std::size_t> nearest_of(const MatrixView& sample, const Run& run) {
    const std::size_t n = sample.rows / 2;
    std::vector<std::size_t> truth(queries * near);
    parallel_for(run, queries, queries_a_piece,
                 [&](std::size_t begin, std::size_t end, std::size_t) {
                     std::vector<double> distances(n);
                     for (std::size_t q = begin; q < end; ++q) {
                         const std::size_t self = q * n / queries;
                         for (std::size_t i = 0; i < n; ++i)
                             distances[i] = squared_distance(sample.row(2 * self + 1),
                                                             sample.row(2 * i + 1), sample.dim);
                         distances[self] = std::numeric_limits<double>::infinity();
                         std::ranges::copy(first_by(distances, near), &truth[q * near]);
                     }
                 });
    return truth;
}

}  // namespace

/// The basis comes from even rows, the trial is on odd ones.
void ScalarCodes::choose(const std::vector<float>& rotated, const MatrixView& sample,
                         const Run& run) {
    std::vector<float> even;
    for (std::size_t i = 0; i < sample.rows; i += 2)
        even.insert(even.end(), &rotated[i * dim_], &rotated[i * dim_] + dim_);
    const std::size_t a_line = line_bits / static_cast<std::size_t>(bits_);
    const std::size_t most = std::min(dim_ / 2, most_kept) / a_line * a_line;
    if (most == 0) return;
    const std::vector<float> basis = principal_basis(even, dim_, most, seed_, run);
    const std::vector<std::size_t> truth = nearest_of(sample, run);
    for (std::size_t kept = a_line; kept <= most; kept += a_line) {
        use(Projection(basis, dim_, kept, seed_ + 1));
        if (found_share(sample, truth, run) >= enough) return;
    }
    use(Projection());
}

/// The share of true neighbors that estimates would find, among the odd rows of the sample.
double ScalarCodes::found_share(const MatrixView& sample, const std::vector<std::size_t>& truth,
                                const Run& run) const {
    const std::size_t n = sample.rows / 2;
    std::vector<std::uint8_t> code_rows(n * stride_);
    std::vector<std::uint32_t> factors(n);
    std::vector<Slot> slots(n);
    parallel_for(run, n, rows_a_piece, [&](std::size_t begin, std::size_t end, std::size_t) {
        Scratch scratch;
        for (std::size_t i = begin; i < end; ++i) {
            slots[i] = static_cast<Slot>(i);
            factors[i] = encode(sample.row(2 * i + 1), &code_rows[i * stride_], scratch);
        }
    });
    std::vector<std::size_t> found(queries);
    parallel_for(
        run, queries, queries_a_piece, [&](std::size_t begin, std::size_t end, std::size_t) {
            Query query;
            std::vector<float> estimates;
            for (std::size_t q = begin; q < end; ++q) {
                const std::size_t self = q * n / queries;
                prepare(sample.row(2 * self + 1), Order::space, query);
                estimates.resize(n + 16);
                estimate(query, code_rows.data(), slots.data(), factors.data(), n,
                         estimates.data());
                estimates.resize(n);
                estimates[self] = infinity;
                const auto chosen = first_by(estimates, looked_at);
                for (std::size_t i = q * near; i < (q + 1) * near; ++i)
                    found[q] += std::find(chosen.begin(), chosen.end(), truth[i]) != chosen.end();
            }
        });
    return static_cast<double>(std::accumulate(found.begin(), found.end(), std::size_t{0})) /
           static_cast<double>(near * queries);
}

}  // namespace nearfield
