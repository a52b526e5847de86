#include "quantize/kmeans.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "core/buffer.h"
#include "core/error.h"
#include "core/random.h"
#include "quantize/lloyd.h"
#include "quantize/seeding.h"

namespace nearfield {
namespace {

using kernels::Metric;

/// Rows as centroids: scaled to norm 1 when spherical.
std::vector<float> as_centroids(const MatrixView& rows, Metric metric) {
    std::vector<float> centroids(rows.data, rows.data + rows.rows * rows.dim);
    if (metric == Metric::l2) return centroids;
    for (std::size_t i = 0; i < rows.rows; ++i) {
        float* row = centroids.data() + i * rows.dim;
        const double norm = std::sqrt(std::inner_product(row, row + rows.dim, row, 0.0));
        for (std::size_t d = 0; d < rows.dim && norm > 0; ++d)
            row[d] = static_cast<float>(row[d] / norm);
    }
    return centroids;
}

class Trainer {
  public:
    Trainer(const KMeansParams& params, Progress& progress, Random& random)
        : params_(params), progress_(progress), random_(random) {}

    Clustering flat(const RowSet& rows, std::size_t k) {
        return lloyd(rows, first_centroids(rows, k), params_, progress_);
    }

    /// About sqrt(k) coarse clusters, each cut into its share of the k, then one pass of the whole.
    Clustering hierarchical(const RowSet& rows, std::size_t k) {
        const std::size_t coarse_k = hierarchy_width(k);
        const Clustering coarse = flat(rows, coarse_k);
        std::vector<std::vector<Slot>> parts(coarse_k);
        for (std::size_t i = 0; i < rows.size; ++i)
            parts[coarse.slots[i]].push_back(rows.slots ? rows.slots[i] : static_cast<Slot>(i));
        const std::vector<std::size_t> shares = share_out(parts, k);
        std::vector<float> centroids;
        for (std::size_t part = 0; part < coarse_k; ++part) {
            if (shares[part] == 0) continue;
            const Clustering fine = flat(RowSet(rows.matrix, parts[part]), shares[part]);
            centroids.insert(centroids.end(), fine.centroids.begin(), fine.centroids.end());
        }
        KMeansParams once = params_;
        once.max_iterations = std::min(params_.max_iterations, 1);
        Clustering whole = lloyd(rows, std::move(centroids), once, progress_);
        whole.iterations += coarse.iterations;
        return whole;
    }

    static std::size_t hierarchy_width(std::size_t k) {
        return static_cast<std::size_t>(std::lround(std::sqrt(static_cast<double>(k))));
    }

    static double work(const KMeansParams& params, std::size_t rows, bool hierarchical) {
        if (!hierarchical) return seeding_work(rows, params.k) + whole(params, rows, params.k);
        const std::size_t width = hierarchy_width(params.k);
        // Parts of uneven size cost a little more than the even ones counted here.
        return 2 * (seeding_work(rows, width) + whole(params, rows, width)) +
               lloyd_work(rows, params.k, 1);
    }

  private:
    static double whole(const KMeansParams& params, std::size_t rows, std::size_t k) {
        return lloyd_work(rows, k, params.max_iterations);
    }
    static double seeding_work(std::size_t rows, std::size_t k) {
        return static_cast<double>(seeding_rows(rows, k)) * static_cast<double>(k);
    }

    std::vector<float> first_centroids(const RowSet& rows, std::size_t k) {
        const bool plus = params_.init == KMeansInit::plus_plus;
        const std::vector<Slot> looked_at =
            sample_slots(rows.size, plus ? seeding_rows(rows.size, k) : k, random_);
        std::vector<Slot> slots;
        for (const Slot i : looked_at) slots.push_back(rows.slots ? rows.slots[i] : i);
        std::vector<float> chosen;
        const auto append = [&](const float* row) {
            chosen.insert(chosen.end(), row, row + rows.matrix.dim);
        };
        if (plus) {
            const RowSet sample(rows.matrix, slots);
            const bool unit = params_.metric != Metric::l2;
            for (const std::size_t i :
                 plus_plus(sample, k, unit, random_, progress_, seeding_work(rows.size, k)))
                append(sample.row(i));
        } else {
            for (const Slot slot : slots) append(rows.matrix.row(slot));
        }
        return as_centroids({chosen.data(), k, rows.matrix.dim}, params_.metric);
    }

    /// k in proportion to the parts' sizes, at most one for each row, at least one for a part that
    /// has rows. What the floors leave goes to the parts that have the most rows a centroid.
    static std::vector<std::size_t> share_out(const std::vector<std::vector<Slot>>& parts,
                                              std::size_t k) {
        double total = 0;
        for (const auto& part : parts) total += static_cast<double>(part.size());
        std::vector<std::size_t> shares;
        std::size_t left = k;
        for (const auto& part : parts) {
            const auto floor = static_cast<std::size_t>(static_cast<double>(k) *
                                                        static_cast<double>(part.size()) / total);
            const std::size_t share =
                std::min({std::max<std::size_t>(floor, 1), part.size(), left});
            shares.push_back(share);
            left -= share;
        }
        std::vector<std::pair<double, std::size_t>> crowded;
        const auto push = [&](std::size_t i) {
            if (shares[i] == parts[i].size()) return;
            crowded.emplace_back(
                static_cast<double>(parts[i].size()) / (static_cast<double>(shares[i]) + 1.0),
                parts.size() - i);
            std::push_heap(crowded.begin(), crowded.end());
        };
        for (std::size_t i = 0; i < parts.size(); ++i) push(i);
        for (; left > 0; --left) {
            std::pop_heap(crowded.begin(), crowded.end());
            const std::size_t i = parts.size() - crowded.back().second;
            crowded.pop_back();
            ++shares[i];
            push(i);
        }
        return shares;
    }

    const KMeansParams& params_;
    Progress& progress_;
    Random& random_;
};

}  // namespace

KMeans::KMeans(const KMeansParams& params) : params_(params) {
    require(params.k >= 1, "n_clusters must be at least 1, got ", params.k);
    require(params.max_iterations >= 0, "max_iter must be at least 0, got ", params.max_iterations);
    require(params.tolerance >= 0, "tol must be at least 0, got ", params.tolerance);
}

void KMeans::train(const MatrixView& rows, const Run& run, const float* initial) {
    require(params_.k <= rows.rows, "n_clusters must be at most the number of vectors (", rows.rows,
            "), got ", params_.k);
    require(rows.rows < no_slot, "vectors must have fewer than ", no_slot, " rows, got ",
            rows.rows);
    require(rows.dim >= 1, "vectors must have at least 1 column, got 0");
    Random random(params_.seed);
    const std::size_t wanted =
        params_.sample_per_centroid == 0 || params_.sample_per_centroid > rows.rows / params_.k
            ? rows.rows
            : params_.sample_per_centroid * params_.k;
    std::vector<Slot> slots;
    if (wanted < rows.rows) slots = sample_slots(rows.rows, wanted, random);
    const RowSet used = slots.empty() ? RowSet(rows) : RowSet(rows, slots);

    const bool two_levels = !initial && params_.k > hierarchical_k;
    const auto passes = static_cast<std::size_t>(params_.max_iterations) + 1;
    Progress progress(run, Trainer::work(params_, used.size, two_levels), used.size * passes);
    Trainer trainer(params_, progress, random);
    Clustering found;
    if (initial)
        found = lloyd(used, as_centroids({initial, params_.k, rows.dim}, params_.metric), params_,
                      progress);
    else
        found = two_levels ? trainer.hierarchical(used, params_.k) : trainer.flat(used, params_.k);

    dim_ = rows.dim;
    centroids_ = std::move(found.centroids);
    inertia_ = found.inertia;
    iterations_ = found.iterations;
    trained_rows_ = used.size;
}

void KMeans::restore(const MatrixView& centroids, double inertia, int iterations,
                     std::size_t trained_rows) {
    require(centroids.rows == params_.k && centroids.dim >= 1, "centroids must have shape (",
            params_.k, ", dim), got (", centroids.rows, ", ", centroids.dim, ")");
    require(trained_rows >= 1, "trained_rows must be at least 1, got ", trained_rows);
    centroids_.assign(centroids.data, centroids.data + centroids.rows * centroids.dim);
    dim_ = centroids.dim;
    inertia_ = inertia;
    iterations_ = iterations;
    trained_rows_ = trained_rows;
}

void KMeans::assign(const MatrixView& rows, Slot* slots, float* distances, const Run& run) const {
    if (dim_ == 0) throw NotTrained("k-means is not trained; call train() before assign()");
    require(rows.dim == dim_, "vectors must have shape (n, ", dim_, "), got (", rows.rows, ", ",
            rows.dim, ")");
    // Rows are coded round the mean of the centroids: it is at hand, and near that of the rows.
    NearestCentroid nearest(params_.metric, mean_row(RowSet(centroids()), Metric::l2));
    Progress progress(run, static_cast<double>(rows.rows), rows.rows);
    nearest.set_centroids(centroids(), progress);
    const RowSet all(rows);
    struct Worker {
        NearestCentroid::Scratch scratch;
        std::vector<std::int8_t> codes;
        std::vector<CodeTerms> terms;
    };
    std::vector<Worker> workers(static_cast<std::size_t>(resolve_threads(run.threads)));
    const std::size_t width = nearest.width();
    progress.loop(rows.rows, nearest.block_rows(), static_cast<double>(rows.rows),
                  [&](std::size_t begin, std::size_t end, std::size_t number) {
                      auto& [scratch, codes, terms] = workers[number];
                      codes.resize((end - begin) * width);
                      terms.resize(end - begin);
                      for (std::size_t i = begin; i < end; ++i)
                          terms[i - begin] = nearest.encode(
                              rows.row(i), codes.data() + (i - begin) * width, scratch);
                      std::fill(slots + begin, slots + end, Slot{0});
                      nearest.find(all, begin, end, codes.data(), terms.data(), slots + begin,
                                   distances + begin, scratch);
                  });
}

}  // namespace nearfield
