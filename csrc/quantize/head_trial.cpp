// How many principal directions make a head, and how far off its estimates are, by trial.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <utility>

#include "core/thread_pool.h"
#include "quantize/head_codes.h"
#include "quantize/int_rows.h"

namespace nearfield {
namespace {

constexpr std::size_t most_rows = 32'768, fewest_rows = 1000;
constexpr std::size_t queries = 512, near = 10;
// The nearest two of a sample are among the nearest ten of a list; so many may be ruled out.
constexpr std::size_t found_rows = 2;
constexpr double lost = 0.03;
// Queries for which what passes is counted.
constexpr std::size_t counted = 128;
// Tried, in dimensions: whole steps of the look-ups.
constexpr std::size_t sizes[] = {64, 96, 128, 144, 192};
// Bytes of a row's factors, for its head and for its first bits.
constexpr double head_factors = 2, first_factors = 6;
// A row that passes takes as long as so many bytes in order: 60 ns.
constexpr double bytes_a_row = 2000;
// Of what first bits cost heads must save as much to be taken.
constexpr double worth = 0.8;

/// Rows as bytes, each with a step of its own.
struct ByteRows {
    std::size_t n, width;
    std::vector<std::int8_t> values;
    std::vector<float> steps;

    ByteRows(const float* rows, std::size_t count, std::size_t dim)
        : n(count), width(kernels::padded(dim, 64)), values(n * width, 0), steps(n) {
        const kernels::Kernels& table = kernels::kernels();
        for (std::size_t i = 0; i < n; ++i) {
            const float top = table.largest(rows + i * dim, dim);
            steps[i] = top / 127;
            table.to_i8(rows + i * dim, dim, top > 1e-30f ? 127 / top : 0.0f, &values[i * width]);
        }
    }
    std::int32_t sum(std::size_t i) const {
        std::int32_t total = 0;
        for (std::size_t j = 0; j < width; ++j) total += values[i * width + j];
        return total;
    }
};

float norm_of(const float* row, std::size_t dim) {
    return static_cast<float>(std::sqrt(kernels::kernels().squares(row, dim)));
}

/// Some rows of a sample are asked for those of all that are nearest to them. Distances are less
/// the query's squared norm.
class Trial {
  public:
    Trial(std::vector<float> rows, std::size_t dim)
        : dim_(dim), n_(rows.size() / dim), m_(std::min(queries, n_)), rows_(std::move(rows)) {
        for (std::size_t i = 0; i < n_; ++i) norms_.push_back(norm_of(&rows_[i * dim_], dim_));
        rank();
    }

    struct Found {
        float margin;
        double passed;  // of the rows of a long list
    };
    Found run(const Projection& projection, const Run& run);

  private:
    std::size_t place(std::size_t q) const { return q * n_ / m_; }
    std::size_t stride() const { return kernels::padded(n_, kernels::panel_rows); }
    void rank();
    /// Products (m, stride) with right rows (n, width), which scratch_ holds.
    const std::int32_t* multiply(const ByteRows& asked, const std::uint8_t* right);

    std::size_t dim_, n_, m_;
    std::vector<float> rows_, norms_;
    TileScratch scratch_;
    std::vector<std::uint32_t> near_;     // the found_rows nearest of each
    std::vector<float> wanted_, limits_;  // distances of the last of them, and in a long list
};

const std::int32_t* Trial::multiply(const ByteRows& asked, const std::uint8_t* right) {
    const kernels::Kernels& table = kernels::kernels();
    std::uint8_t* const panels = scratch_.panels(n_, asked.width);
    table.pack_u8(right, n_, asked.width, asked.width, panels);
    std::int32_t* const out = scratch_.out(m_, n_);
    std::int8_t* const left = scratch_.left(m_, asked.width);
    std::memcpy(left, asked.values.data(), m_ * asked.width);
    table.tile_i8(left, m_, asked.width, panels, n_, asked.width, out, stride());
    return out;
}

void Trial::rank() {
    const ByteRows all(rows_.data(), n_, dim_);
    std::vector<float> picked(m_ * dim_);
    for (std::size_t q = 0; q < m_; ++q)
        std::copy_n(&rows_[place(q) * dim_], dim_, &picked[q * dim_]);
    const ByteRows asked(picked.data(), m_, dim_);
    std::uint8_t* const right = scratch_.right(n_, all.width);
    for (std::size_t i = 0; i < n_ * all.width; ++i)
        right[i] = static_cast<std::uint8_t>(all.values[i] + 128);
    const std::int32_t* const sums = multiply(asked, right);
    std::vector<std::pair<float, std::uint32_t>> order(n_);
    for (std::size_t q = 0; q < m_; ++q) {
        const std::int32_t excess = 128 * asked.sum(q);
        for (std::size_t i = 0; i < n_; ++i) {
            const auto product = static_cast<float>(sums[q * stride() + i] - excess);
            order[i] = {norms_[i] * norms_[i] - 2 * product * asked.steps[q] * all.steps[i],
                        static_cast<std::uint32_t>(i)};
        }
        order[place(q)].first = 1e30f;
        std::partial_sort(order.begin(), order.begin() + near, order.end());
        for (std::size_t j = 0; j < found_rows; ++j) near_.push_back(order[j].second);
        wanted_.push_back(order[found_rows - 1].first);
        // A list is many times as long: the ten nearest get nearer by as much each time.
        limits_.push_back(2 * order[0].first - order[near - 1].first);
    }
}

Trial::Found Trial::run(const Projection& projection, const Run& run) {
    const std::size_t d = projection.out_dim();
    std::vector<float> values(n_ * d), picked(m_ * d);
    parallel_for(run, n_, 64, [&](std::size_t begin, std::size_t end, std::size_t) {
        Projection::Scratch scratch;
        for (std::size_t i = begin; i < end; ++i)
            projection.put(i - begin, end - begin, &rows_[i * dim_], scratch);
        projection.multiply(end - begin, scratch);
        for (std::size_t i = begin; i < end; ++i)
            projection.get(i - begin, scratch, &values[i * d]);
    });
    for (std::size_t q = 0; q < m_; ++q) std::copy_n(&values[place(q) * d], d, &picked[q * d]);
    const ByteRows asked(picked.data(), m_, d);
    std::uint8_t* const right = scratch_.right(n_, asked.width);
    std::memset(right, 0, n_ * asked.width);
    for (std::size_t i = 0; i < n_; ++i)
        for (std::size_t j = 0; j < d; ++j) right[i * asked.width + j] = !(values[i * d + j] < 0);
    const std::int32_t* const sums = multiply(asked, right);
    std::vector<float> units(m_), needed;
    std::vector<std::int32_t> signs(m_);
    /// The cosine that a head gives, and the one that a distance stands for.
    const auto given = [&](std::size_t q, std::size_t i) {
        return units[q] * static_cast<float>(2 * sums[q * stride() + i] - signs[q]);
    };
    const auto meant = [&](std::size_t q, std::size_t i, float distance) {
        const float both = 2 * norms_[place(q)] * norms_[i];
        return both > 0 ? (norms_[i] * norms_[i] - distance) / both : 0.0f;
    };
    for (std::size_t q = 0; q < m_; ++q) {
        const float size = norm_of(&picked[q * d], d) * std::sqrt(static_cast<float>(d));
        units[q] = size > 0 ? asked.steps[q] / (size * HeadCodes::sign_cosine) : 0.0f;
        signs[q] = asked.sum(q);
        for (std::size_t j = 0; j < found_rows; ++j) {
            const std::size_t i = near_[q * found_rows + j];
            needed.push_back(meant(q, i, wanted_[q]) - given(q, i));
        }
    }
    const auto kept =
        static_cast<std::ptrdiff_t>((1 - lost) * static_cast<double>(needed.size() - 1));
    std::nth_element(needed.begin(), needed.begin() + kept, needed.end());
    const float margin = std::max(needed[static_cast<std::size_t>(kept)], 0.0f);
    std::size_t passed = 0, step = (m_ + counted - 1) / counted, all = 0;
    for (std::size_t q = 0; q < m_; q += step, all += n_)
        for (std::size_t i = 0; i < n_; ++i)
            passed += meant(q, i, limits_[q]) <= given(q, i) + margin;
    return {margin, static_cast<double>(passed) / static_cast<double>(all)};
}

}  // namespace

/// Directions come from even rows, the trial is on odd ones.
void HeadCodes::train(const std::vector<float>& rows, const Run& run) {
    use(Projection());
    const std::size_t n = rows.size() / dim_, step = (n + most_rows - 1) / most_rows;
    if (n < fewest_rows || dim_ / 2 < sizes[0] || dim_ > Projection::max_dim) return;
    std::vector<float> parts[2];
    for (std::size_t i = 0; i * step < n; ++i)
        parts[i % 2].insert(parts[i % 2].end(), &rows[i * step * dim_],
                            &rows[i * step * dim_] + dim_);
    std::size_t largest = 0;
    for (const std::size_t size : sizes) largest = size <= dim_ / 2 ? size : largest;
    const std::vector<float> basis = principal_basis(parts[0], dim_, largest, seed_, run);
    Trial trial(std::move(parts[1]), dim_);
    const auto bytes = static_cast<double>(dim_) / 8;
    double best = worth * (bytes + first_factors);
    for (const std::size_t size : sizes) {
        if (size > largest) break;
        Projection projection(basis, dim_, size, seed_ + 1);
        const Trial::Found found = trial.run(projection, run);
        const double cost =
            static_cast<double>(size) / 8 + head_factors + bytes_a_row * found.passed;
        if (cost >= best) continue;
        best = cost;
        margin_ = found.margin;
        use(std::move(projection));
    }
}

}  // namespace nearfield
