#include "quantize/lloyd.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/buffer.h"
#include "core/random.h"

namespace nearfield {
namespace {

using kernels::Metric;

constexpr std::size_t run_moves = 512;  // moves of one cluster that are summed in one go
constexpr std::size_t ahead = 8;        // moves whose rows are asked for in advance

/// Rows in the order of their clusters, ascending within each.
struct Members {
    std::vector<Slot> rows;
    std::vector<std::size_t> begin;  // (k + 1,)
};

Members group(const std::vector<Slot>& slots, std::size_t k) {
    Members members{std::vector<Slot>(slots.size()), std::vector<std::size_t>(k + 1, 0)};
    for (const Slot slot : slots) ++members.begin[slot + 1];
    std::partial_sum(members.begin.begin(), members.begin.end(), members.begin.begin());
    std::vector<std::size_t> next(members.begin.begin(), members.begin.end() - 1);
    for (std::size_t i = 0; i < slots.size(); ++i)
        members.rows[next[slots[i]]++] = static_cast<Slot>(i);
    return members;
}

/// A row that joined a cluster (sign 1) or left it (-1).
struct Move {
    Slot row;
    float sign;
};

/// Moves in the order of their clusters, rows ascending within each.
struct Moves {
    std::vector<Move> moves;
    std::vector<std::size_t> begin;  // (k + 1,)
};

Moves moves_between(const std::vector<Slot>& before, const std::vector<Slot>& after,
                    std::size_t k) {
    Moves result;
    result.begin.assign(k + 1, 0);
    const auto visit = [&](const auto& work) {
        for (std::size_t i = 0; i < after.size(); ++i) {
            if (before[i] == after[i]) continue;
            if (before[i] != no_slot) work(before[i], Move{static_cast<Slot>(i), -1.0f});
            work(after[i], Move{static_cast<Slot>(i), 1.0f});
        }
    };
    visit([&](Slot cluster, Move) { ++result.begin[cluster + 1]; });
    std::partial_sum(result.begin.begin(), result.begin.end(), result.begin.begin());
    std::vector<std::size_t> next(result.begin.begin(), result.begin.end() - 1);
    result.moves.resize(result.begin.back());
    visit([&](Slot cluster, Move move) { result.moves[next[cluster]++] = move; });
    return result;
}

class Lloyd {
  public:
    Lloyd(const RowSet& rows, std::vector<float> centroids, const KMeansParams& params,
          Progress& progress)
        : rows_(rows),
          params_(params),
          progress_(progress),
          dim_(rows.matrix.dim),
          k_(centroids.size() / dim_),
          spherical_(params.metric != Metric::l2),
          nearest_(params.metric, mean_row(rows, params.metric)),
          codes_(rows.size * nearest_.width()),
          terms_(rows.size),
          distances_(rows.size),
          scratch_(static_cast<std::size_t>(resolve_threads(progress.run().threads))),
          before_(rows.size, no_slot),
          sums_(k_ * dim_, 0.0),
          counts_(k_, 0) {
        result_.centroids = std::move(centroids);
        result_.slots.assign(rows.size, 0);
        encode();
    }

    Clustering iterate() {
        const double end = progress_.done() + lloyd_work(rows_.size, k_, params_.max_iterations);
        bool changed = assign();
        while (changed && result_.iterations < params_.max_iterations) {
            const double before = result_.inertia;
            move_centroids();
            const bool reseeded = reseed();
            ++result_.iterations;
            changed = assign() || reseeded;
            const double gain = before - result_.inertia;
            if (!reseeded && gain <= params_.tolerance * std::abs(before)) break;
        }
        progress_.advance(end);
        return std::move(result_);
    }

  private:
    MatrixView centroids() const { return {result_.centroids.data(), k_, dim_}; }
    float* centroid(std::size_t j) { return result_.centroids.data() + j * dim_; }

    void encode() {
        progress_.loop(rows_.size, 256, 0,
                       [&](std::size_t begin, std::size_t end, std::size_t worker) {
                           for (std::size_t i = begin; i < end; ++i)
                               terms_[i] = nearest_.encode(rows_.row(i), code(i), scratch_[worker]);
                       });
    }
    std::int8_t* code(std::size_t i) { return codes_.as<std::int8_t>() + i * nearest_.width(); }

    /// Whether any row changed its cluster.
    bool assign() {
        nearest_.set_centroids(centroids(), progress_);
        const std::size_t grain = nearest_.block_rows();
        struct Block {
            double inertia = 0;
            bool changed = false;
        };
        std::vector<Block> blocks((rows_.size + grain - 1) / grain);
        const auto work = [&](std::size_t begin, std::size_t end, std::size_t worker) {
            Block& block = blocks[begin / grain];
            nearest_.find(rows_, begin, end, code(begin), terms_.data() + begin,
                          result_.slots.data() + begin, distances_.data() + begin,
                          scratch_[worker]);
            for (std::size_t i = begin; i < end; ++i) {
                block.inertia += distances_[i];
                block.changed |= result_.slots[i] != before_[i];
            }
        };
        const double share = lloyd_work(rows_.size, k_, 0);
        progress_.loop(rows_.size, grain, share, work);
        result_.inertia = 0;
        bool changed = false;
        for (const Block& block : blocks) {
            result_.inertia += block.inertia;
            changed |= block.changed;
        }
        return changed;
    }

    /// Each centroid whose rows changed becomes their mean, scaled to norm 1 when spherical. Only
    /// the rows that joined or left are read: doubles keep the running sums right to far below a
    /// float. They are added up over fixed runs of moves, so the sums do not depend on the threads.
    void move_centroids() {
        const Moves all = moves_between(before_, result_.slots, k_);
        before_ = result_.slots;
        struct Piece {
            std::size_t begin, end;
        };
        std::vector<Piece> pieces;
        std::vector<std::size_t> first_piece(k_ + 1, 0);
        for (std::size_t j = 0; j < k_; ++j) {
            for (std::size_t b = all.begin[j]; b < all.begin[j + 1]; b += run_moves)
                pieces.push_back({b, std::min(b + run_moves, all.begin[j + 1])});
            first_piece[j + 1] = pieces.size();
        }
        std::vector<double> partial(pieces.size() * dim_, 0.0);
        progress_.loop(pieces.size(), 4, 0, [&](std::size_t first, std::size_t last, std::size_t) {
            for (std::size_t p = first; p < last; ++p)
                for (std::size_t i = pieces[p].begin; i < pieces[p].end; ++i) {
                    if (i + ahead < pieces[p].end)
                        prefetch(rows_.row(all.moves[i + ahead].row), dim_);
                    add(all.moves[i], partial.data() + p * dim_);
                }
        });
        progress_.loop(k_, 64, 0, [&](std::size_t first, std::size_t last, std::size_t) {
            for (std::size_t j = first; j < last; ++j) {
                if (all.begin[j] == all.begin[j + 1]) continue;
                double* sum = sums_.data() + j * dim_;
                for (std::size_t p = first_piece[j]; p < first_piece[j + 1]; ++p)
                    for (std::size_t d = 0; d < dim_; ++d) sum[d] += partial[p * dim_ + d];
                for (std::size_t i = all.begin[j]; i < all.begin[j + 1]; ++i)
                    counts_[j] += all.moves[i].sign > 0 ? 1 : -1;
                if (counts_[j] > 0)
                    set_centroid(j, sum, static_cast<std::size_t>(counts_[j]));
                else
                    std::fill_n(sum, dim_, 0.0);
            }
        });
    }

    void add(Move move, double* sum) const {
        const float* values = rows_.row(move.row);
        const double factor = static_cast<double>(terms_[move.row].factor) * move.sign;
        for (std::size_t d = 0; d < dim_; ++d) sum[d] += factor * values[d];
    }

    void set_centroid(std::size_t j, const double* sum, std::size_t count) {
        double divisor = static_cast<double>(count);
        if (spherical_) divisor = std::sqrt(std::inner_product(sum, sum + dim_, sum, 0.0));
        if (!(divisor > 0)) return;  // rows that cancel out have no direction: keep the old one
        for (std::size_t d = 0; d < dim_; ++d)
            centroid(j)[d] = static_cast<float>(sum[d] / divisor);
    }

    /// Gives every empty cluster a row of the cluster with the largest inertia, drawn by its share
    /// of it (k-means++ within that cluster), and counts that inertia as halved. Returns whether
    /// any centroid moved: none does once every row sits on its centroid.
    bool reseed() {
        std::vector<std::size_t> empty;
        for (std::size_t j = 0; j < k_; ++j)
            if (counts_[j] == 0) empty.push_back(j);
        if (empty.empty()) return false;

        const Members members = group(result_.slots, k_);
        std::vector<std::pair<double, std::size_t>>
            heap;  // (inertia, k - cluster): ties to the lower
        for (std::size_t j = 0; j < k_; ++j) heap.emplace_back(cost(members, j), k_ - j);
        std::make_heap(heap.begin(), heap.end());
        bool moved = false;
        for (const std::size_t j : empty) {
            std::pop_heap(heap.begin(), heap.end());
            const std::size_t largest = k_ - heap.back().second;
            if (!(heap.back().first > 0)) return moved;
            Random random(mix(params_.seed) ^ mix(static_cast<std::uint64_t>(result_.iterations)) ^
                          j);
            take_row(members, largest, random.uniform() * cost(members, largest), j);
            heap.back().first /= 2;
            std::push_heap(heap.begin(), heap.end());
            moved = true;
        }
        return moved;
    }

    /// How much farther than a centroid could be: 0 for a row that sits on its own.
    double excess(Slot row) const {
        const double distance = distances_[row];
        const float* values = rows_.row(row);
        const double square = std::inner_product(values, values + dim_, values, 0.0);
        constexpr double rounding = 1e-6;  // of a float centroid or distance
        if (!spherical_) return distance > rounding * rounding * square ? distance : 0.0;
        const double length = params_.metric == Metric::cosine ? 1.0 : std::sqrt(square);
        const double more = length + distance - kernels::info(params_.metric).offset;
        return more > rounding * length ? more : 0.0;
    }

    double cost(const Members& members, std::size_t cluster) const {
        double total = 0;
        for (std::size_t i = members.begin[cluster]; i < members.begin[cluster + 1]; ++i)
            total += excess(members.rows[i]);
        return total;
    }

    void take_row(const Members& members, std::size_t cluster, double target, std::size_t empty) {
        std::size_t i = members.begin[cluster];
        for (; i + 1 < members.begin[cluster + 1]; ++i) {
            target -= excess(members.rows[i]);
            if (target < 0) break;
        }
        std::vector<double> row(dim_, 0.0);
        add({members.rows[i], 1.0f}, row.data());
        set_centroid(empty, row.data(), 1);
    }

    const RowSet& rows_;
    const KMeansParams& params_;
    Progress& progress_;
    std::size_t dim_, k_;
    bool spherical_;
    NearestCentroid nearest_;
    Buffer codes_;
    std::vector<CodeTerms> terms_;
    std::vector<float> distances_;
    std::vector<NearestCentroid::Scratch> scratch_;
    std::vector<Slot> before_;  // the clusters whose rows are in the sums
    std::vector<double> sums_;  // (k, dim)
    std::vector<std::ptrdiff_t> counts_;
    Clustering result_;
};

}  // namespace

double lloyd_work(std::size_t rows, std::size_t k, int max_iterations) {
    return static_cast<double>(rows) * static_cast<double>(k) * (max_iterations + 1.0);
}

Clustering lloyd(const RowSet& rows, std::vector<float> centroids, const KMeansParams& params,
                 Progress& progress) {
    return Lloyd(rows, std::move(centroids), params, progress).iterate();
}

std::vector<float> mean_row(const RowSet& rows, Metric metric) {
    constexpr std::size_t enough = 16'384;
    const std::size_t dim = rows.matrix.dim;
    const std::size_t step = std::max<std::size_t>(1, rows.size / enough);
    std::vector<double> sum(dim, 0.0);
    std::size_t count = 0;
    for (std::size_t i = 0; i < rows.size; i += step, ++count) {
        const float* row = rows.row(i);
        double factor = 1.0;
        if (metric == Metric::cosine) {
            const double norm = std::sqrt(std::inner_product(row, row + dim, row, 0.0));
            factor = norm > 0 ? 1.0 / norm : 0.0;
        }
        for (std::size_t d = 0; d < dim; ++d) sum[d] += factor * row[d];
    }
    std::vector<float> mean(dim);
    for (std::size_t d = 0; d < dim; ++d)
        mean[d] = static_cast<float>(sum[d] / static_cast<double>(std::max<std::size_t>(1, count)));
    return mean;
}

}  // namespace nearfield
