// Which inverted lists a vector belongs to, and which a query should open.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "core/buffer.h"
#include "core/run.h"
#include "core/types.h"
#include "quantize/nearest_centroid.h"
#include "quantize/nearest_pool.h"

namespace nearfield {

/// A query as bytes: about value / unit, so that products are integers.
struct IntQuery {
    float unit = 0;
    std::int32_t sum = 0;  // of the bytes
    float norm2 = 0;       // of the query itself
};

/// Vectors go to the nearest centroid, exactly; the centroids that suit a query are found by products
/// of bytes, whose error is a hundredth of a distance. Threads: const calls may run at once.
class ListFinder {
  public:
    /// `centroids` (k, dim). `norms`: closeness counts the centroids' norms (Euclidean), else it is a
    /// dot product.
    ListFinder(std::vector<float> centroids, std::size_t dim, bool norms, const Run& run);

    std::size_t size() const { return norms2_.size(); }
    const float* centroid(Slot list) const { return centroids_.data() + list * dim_; }
    const std::vector<float>& centroids() const { return centroids_; }
    std::size_t query_width() const { return width_; }

    /// lists[i]: where row i (of `rows`, (n, dim)) goes.
    void assign(const MatrixView& rows, Slot* lists, const Run& run) const;

    /// Bytes of a query (query_width,) of values (dim,).
    IntQuery encode(const float* values, std::int8_t* out) const;
    struct Scratch {
        Buffer sums;
        std::vector<Slot> slots;
        std::vector<float> bounds;
    };
    /// The lists that suit each of m queries best, merged into best[i], which keeps as many as it was
    /// made for; distance is |q - c|^2, or -q.c.
    void rank(const std::int8_t* codes, const IntQuery* queries, std::size_t m, NearestPool* best,
              Scratch& scratch) const;

    std::size_t bytes() const;

  private:
    std::size_t dim_, width_;
    bool norms_;
    std::vector<float> centroids_, norms2_, steps_, zeros_;
    Buffer panels_;
    std::optional<NearestCentroid> nearest_;
};

}  // namespace nearfield
