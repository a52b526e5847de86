#include "quantize/seeding.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/buffer.h"
#include "kernels/kernels.h"

namespace nearfield {
namespace {

constexpr std::size_t trials = kernels::panel_rows;  // rows drawn in a round: one panel
constexpr std::size_t picks = 2;                     // of them at most become centroids
constexpr std::size_t block = 256;                   // rows whose sums are added up in order
constexpr std::size_t blocks_a_piece = 8;

struct Sums {
    double weight = 0;         // of the rows' squared distances to the nearest chosen row
    double with[trials] = {};  // the same, had trial t been chosen too
};

class Seeder {
  public:
    Seeder(const RowSet& rows, bool unit, Progress& progress)
        : n_(rows.size),
          dim_(rows.matrix.dim),
          progress_(progress),
          rows_(n_ * dim_ * sizeof(float)),
          panel_(trials * dim_ * sizeof(float)),
          distances_(n_ * trials * sizeof(float)),
          squared_norms_(n_),
          nearest_(n_, infinity),
          chosen_(n_, false),
          sums_((n_ + block - 1) / block) {
        copy(rows, unit);
    }

    std::vector<std::size_t> choose(std::size_t k, Random& random, double share) {
        std::vector<std::size_t> result;
        const double end = progress_.done() + share;
        bool anywhere = true;  // the first row, and where rounding hides what a row would gain
        while (result.size() < k) {
            const std::vector<std::size_t> drawn = draw(anywhere, random);
            measure(drawn);
            const std::size_t wanted = std::min({picks, k - result.size(), drawn.size()});
            std::size_t pick = 0;
            for (; pick < wanted; ++pick) {
                const std::size_t t = best_trial(drawn);
                if (t == trials) break;
                accept(t);
                chosen_[drawn[t]] = true;
                result.push_back(drawn[t]);
            }
            anywhere = pick == 0;
            progress_.advance(end - share * static_cast<double>(k - result.size()) /
                                        static_cast<double>(k));
        }
        return result;
    }

  private:
    /// Copies the rows less their mean, which keeps |x|^2 + |c|^2 - 2 x.c from cancelling.
    void copy(const RowSet& rows, bool unit) {
        std::vector<double> mean(dim_, 0.0);
        std::vector<float> factor(n_, 1.0f);
        for (std::size_t i = 0; i < n_; ++i) {
            const float* row = rows.row(i);
            if (unit) {
                const double norm = std::sqrt(std::inner_product(row, row + dim_, row, 0.0));
                factor[i] = norm > 0 ? static_cast<float>(1.0 / norm) : 0.0f;
            }
            for (std::size_t j = 0; j < dim_; ++j)
                mean[j] += static_cast<double>(factor[i]) * row[j] / static_cast<double>(n_);
        }
        for (std::size_t i = 0; i < n_; ++i) {
            float* out = rows_.as<float>() + i * dim_;
            for (std::size_t j = 0; j < dim_; ++j)
                out[j] = factor[i] * rows.row(i)[j] - static_cast<float>(mean[j]);
            squared_norms_[i] = static_cast<float>(std::inner_product(out, out + dim_, out, 0.0));
        }
    }

    std::vector<std::size_t> draw(bool anywhere, Random& random) {
        double total = 0;
        for (const Sums& sums : sums_) total += sums.weight;
        if (anywhere || !(total > 0)) return {unchosen(random.below(n_))};
        std::vector<std::size_t> drawn;
        while (drawn.size() < trials) drawn.push_back(row_at(random.uniform() * total));
        return drawn;
    }

    /// The first row from `start` on, going round, that has not been chosen.
    std::size_t unchosen(std::size_t start) const {
        while (chosen_[start]) start = (start + 1) % n_;
        return start;
    }

    /// The row at which the running sum of the weights passes `target`.
    std::size_t row_at(double target) const {
        std::size_t b = 0;
        std::size_t heavy = 0;  // the last block with any weight: rounding may pass them all
        for (; b < sums_.size(); ++b) {
            if (sums_[b].weight > 0) heavy = b;
            if (target < sums_[b].weight) break;
            target -= sums_[b].weight;
        }
        if (b == sums_.size()) b = heavy;
        std::size_t row = b * block;
        for (std::size_t i = b * block; i < std::min(n_, (b + 1) * block); ++i) {
            if (nearest_[i] > 0) row = i;
            if (target < nearest_[i]) break;
            target -= nearest_[i];
        }
        return row;
    }

    /// Squared distances of all rows to the drawn ones, and the sums with each of them.
    void measure(const std::vector<std::size_t>& drawn) {
        std::vector<float> rows(trials * dim_);
        float norms[trials] = {};
        for (std::size_t t = 0; t < drawn.size(); ++t) {
            std::copy_n(rows_.as<float>() + drawn[t] * dim_, dim_, rows.data() + t * dim_);
            norms[t] = squared_norms_[drawn[t]];
        }
        const auto& table = kernels::kernels();
        table.pack_f32(rows.data(), trials, dim_, dim_ * sizeof(float), panel_.as<float>());
        over_blocks([&](std::size_t b, std::size_t begin, std::size_t end) {
            float* out = distances_.as<float>() + begin * trials;
            table.tile_f32(rows_.as<float>() + begin * dim_, end - begin, dim_, panel_.as<float>(),
                           trials, dim_, out, trials);
            for (std::size_t i = begin; i < end; ++i, out += trials)
                for (std::size_t t = 0; t < trials; ++t) {
                    const float both = squared_norms_[i] + norms[t];
                    const float distance = both - 2 * out[t];
                    // What rounding leaves of the distance between equal rows.
                    out[t] = distance > both * 0x1p-20f ? distance : 0.0f;
                }
            add_up(b, begin, end);
        });
    }

    void add_up(std::size_t b, std::size_t begin, std::size_t end) {
        float weight = 0, with[trials] = {};
        const float* distance = distances_.as<float>() + begin * trials;
        for (std::size_t i = begin; i < end; ++i, distance += trials) {
            const float nearest = nearest_[i];
            weight += nearest;
            for (std::size_t t = 0; t < trials; ++t) with[t] += std::min(nearest, distance[t]);
        }
        sums_[b].weight = weight;
        std::copy_n(with, trials, sums_[b].with);
    }

    /// The trial that leaves the smallest sum; `trials` when none leaves less than there is.
    std::size_t best_trial(const std::vector<std::size_t>& drawn) const {
        Sums total;
        for (const Sums& sums : sums_) {
            total.weight += sums.weight;
            for (std::size_t t = 0; t < trials; ++t) total.with[t] += sums.with[t];
        }
        if (drawn.size() == 1) return 0;
        const auto best = static_cast<std::size_t>(
            std::min_element(total.with, total.with + drawn.size()) - total.with);
        return total.with[best] < total.weight ? best : trials;
    }

    void accept(std::size_t t) {
        over_blocks([&](std::size_t b, std::size_t begin, std::size_t end) {
            for (std::size_t i = begin; i < end; ++i)
                nearest_[i] = std::min(nearest_[i], distances_.as<float>()[i * trials + t]);
            add_up(b, begin, end);
        });
    }

    template <class Work>
    void over_blocks(const Work& work) {
        progress_.loop(sums_.size(), blocks_a_piece, 0,
                       [&](std::size_t first, std::size_t last, std::size_t) {
                           for (std::size_t b = first; b < last; ++b)
                               work(b, b * block, std::min(n_, (b + 1) * block));
                       });
    }

    std::size_t n_, dim_;
    Progress& progress_;
    Buffer rows_, panel_, distances_;  // (n, dim), one panel, (n, trials)
    std::vector<float> squared_norms_, nearest_;
    std::vector<bool> chosen_;
    std::vector<Sums> sums_;  // per block
};

}  // namespace

std::vector<Slot> sample_slots(std::size_t n, std::size_t count, Random& random) {
    // Knuth, The Art of Computer Programming 3.4.2, algorithm S.
    std::vector<Slot> slots;
    slots.reserve(count);
    for (std::size_t i = 0; slots.size() < count; ++i)
        if (random.below(n - i) < count - slots.size()) slots.push_back(static_cast<Slot>(i));
    return slots;
}

std::size_t seeding_rows(std::size_t n, std::size_t k) {
    constexpr std::size_t visits = std::size_t{1} << 22, most = std::size_t{1} << 16;
    return std::min(n, std::max(std::min(visits / k, most), 4 * k));
}

std::vector<std::size_t> plus_plus(const RowSet& rows, std::size_t k, bool unit, Random& random,
                                   Progress& progress, double share) {
    return Seeder(rows, unit, progress).choose(k, random, share);
}

}  // namespace nearfield
