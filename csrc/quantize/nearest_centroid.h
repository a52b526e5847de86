// The nearest of many centroids, exactly, at the price of int8 products.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/buffer.h"
#include "core/types.h"
#include "kernels/metric.h"
#include "quantize/progress.h"

namespace nearfield {

/// Some rows of a matrix: all of them, or those that `slots` names.
struct RowSet {
    MatrixView matrix;
    const Slot* slots = nullptr;
    std::size_t size = 0;

    RowSet() = default;
    explicit RowSet(const MatrixView& all) : matrix(all), size(all.rows) {}
    RowSet(const MatrixView& all, const std::vector<Slot>& chosen)
        : matrix(all), slots(chosen.data()), size(chosen.size()) {}

    const float* row(std::size_t i) const { return matrix.row(slots ? slots[i] : i); }
};

/// Asks for the lines of a row that will be read soon.
inline void prefetch(const float* row, std::size_t dim) {
    constexpr std::size_t line = 64 / sizeof(float), most = 16 * line;
    for (std::size_t i = 0; i < dim && i < most; i += line) __builtin_prefetch(row + i);
}

/// An int8 copy of a row less an origin, and what it takes to bound distances with it.
struct CodeTerms {
    float factor;        // 1, or 1 / |row| under cosine (0 for a zero row)
    float scale;         // row * factor - origin = scale * code + rest
    float norm;          // |row * factor - origin|, rounded up
    float error;         // |rest|, rounded up
    float base;          // the part of the distance that no centroid changes
    std::int32_t shift;  // 128 times the sum of the code
};

/// Finds argmin_j distance(row, centroid j), where distance is what the float32 kernel of the
/// metric gives (dot and cosine: -row . centroid, times the row's factor) and ties go to the lower
/// j. An int8 product and a proven bound on what rounding lost (Cauchy-Schwarz) bound every
/// distance from below; only centroids whose bound reaches the best so far are measured, usually 1
/// to 5. So the answer depends neither on the codes nor on the first guess. Threads: any number may
/// encode and find at once, each with its scratch, not beside set_centroids.
class NearestCentroid {
  public:
    /// `origin` (dim,): where rows and centroids are counted from; near their mean is best.
    NearestCentroid(kernels::Metric metric, std::vector<float> origin);

    /// `centroids` (k, dim), k >= 1, must outlive its use.
    void set_centroids(const MatrixView& centroids, Progress& progress);

    /// A row under way to its nearest centroid.
    struct Query {
        const float* row = nullptr;
        const CodeTerms* terms = nullptr;
        Neighbor best;
        float limit = 0;  // bounds above it belong to centroids that are farther than the best
    };
    struct Scratch {
        Buffer dots;
        std::vector<float> centred, bounds;
        std::vector<std::uint32_t> slots;
        std::vector<Query> queries;
    };

    /// Bytes of a code.
    std::size_t width() const { return width_; }
    /// `code` (width,).
    CodeTerms encode(const float* row, std::int8_t* code, Scratch& scratch) const;

    /// For rows [begin, end), whose codes and terms are (end - begin, width) and (end - begin,):
    /// slots[i - begin] is any centroid, best a good guess, on entry and the nearest on exit.
    void find(const RowSet& rows, std::size_t begin, std::size_t end, const std::int8_t* codes,
              const CodeTerms* terms, Slot* slots, float* distances, Scratch& scratch) const;

    /// Rows for one call of find: enough to use the caches well, few enough to stay below 20 ms.
    std::size_t block_rows() const;

  private:
    /// Over the centroids.
    struct Largest {
        double add = 0, norm = 0, code_norm = 0;
    };
    Largest load_chunk(std::size_t first, std::size_t count);
    float measure(const Query& query, Slot centroid) const;
    void consider(Query& query, Slot centroid) const;
    void examine(Query& query, Slot first, std::size_t count, Scratch& scratch) const;

    kernels::Metric metric_;
    std::vector<float> origin_;
    double origin_norm_;
    std::size_t width_;
    float weight_;  // distance = base + add - weight * (row - origin) . (centroid - origin)

    MatrixView centroids_;
    Buffer panels_;                           // u8, packed for the tile kernel
    std::vector<float> add_, scale_, error_;  // (k,), as kernels::BoundRows
    Largest largest_;
};

}  // namespace nearfield
