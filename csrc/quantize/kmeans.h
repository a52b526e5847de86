// k-means: centroids that summarise rows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/run.h"
#include "core/types.h"
#include "kernels/metric.h"

namespace nearfield {

enum class KMeansInit : std::uint8_t {
    plus_plus,  // greedy k-means++ (Arthur & Vassilvitskii, SODA 2007) on a sample of the rows
    sample,     // distinct random rows
};

struct KMeansParams {
    std::size_t k = 8;  // 1..rows
    kernels::Metric metric = kernels::Metric::l2;
    int max_iterations = 25;  // 0..; 0 keeps the first centroids
    double tolerance = 1e-4;  // stop when the inertia falls by no more than this share
    KMeansInit init = KMeansInit::plus_plus;
    std::size_t sample_per_centroid = 256;  // rows looked at for each centroid; 0 means all
    std::uint64_t seed = 0;
};

/// Lloyd's algorithm (IEEE Trans. Inf. Theory 1982) with exact assignments. Under cosine and dot it
/// is spherical k-means (Dhillon & Modha, Machine Learning 2001): centroids have norm 1, and cosine
/// counts every row at norm 1. Above hierarchical_k it clusters in two levels, then runs one pass
/// of the whole. A cluster left empty takes over a row of the cluster with the largest inertia. The
/// same rows, parameters and seed give the same bits for any number of threads. Threads: any number
/// may assign at once; train needs the object to itself.
class KMeans {
  public:
    /// Throws std::invalid_argument when a parameter is out of range.
    explicit KMeans(const KMeansParams& params);

    static constexpr std::size_t hierarchical_k = 16'384;

    /// Finite rows (n, dim), n >= k. `initial` (k, dim), if given, replaces the init. After an
    /// exception the object is as it was before.
    void train(const MatrixView& rows, const Run& run, const float* initial = nullptr);

    /// slots[i] is the centroid nearest to row i (ties: the lower), distances[i] its distance by
    /// the metric: l2 squared, 1 - cosine, or minus the dot product. Throws NotTrained.
    void assign(const MatrixView& rows, Slot* slots, float* distances, const Run& run) const;

    /// What train left: centroids (k, dim) and three numbers about it. Throws
    /// std::invalid_argument.
    void restore(const MatrixView& centroids, double inertia, int iterations,
                 std::size_t trained_rows);

    const KMeansParams& params() const { return params_; }
    /// (k, dim), or (0, 0) before train.
    MatrixView centroids() const { return {centroids_.data(), dim_ ? params_.k : 0, dim_}; }
    /// Sum of the distances of the rows trained on to their nearest centroids.
    double inertia() const { return inertia_; }
    /// Times the centroids moved.
    int iterations() const { return iterations_; }
    std::size_t trained_rows() const { return trained_rows_; }

  private:
    KMeansParams params_;
    std::size_t dim_ = 0;
    std::vector<float> centroids_;
    double inertia_ = 0;
    int iterations_ = 0;
    std::size_t trained_rows_ = 0;
};

}  // namespace nearfield
