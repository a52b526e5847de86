// The exact nearest neighbours of fixed queries among rows that pass by once and are not kept.
#pragma once

#include <cstddef>
#include <vector>

#include "core/run.h"
#include "core/top_k.h"
#include "core/types.h"
#include "quantize/bound_codes.h"
#include "quantize/float_bounds.h"
#include "store/space.h"
#include "store/vector_store.h"

namespace nearfield {

/// Rows are numbered 0, 1, 2 ... in the order of feeding; ties go to the smaller number. Memory:
/// the queries, k neighbors each, and one chunk. One thread owns it; it uses many.
class ExactScan {
  public:
    /// Copies `queries` (nq, dim). Throws std::invalid_argument for what Space::check refuses.
    ExactScan(Space space, const MatrixView& queries, std::size_t k, const Run& run);

    /// Checks and measures the next rows (n, dim). After an exception the scan is of no use.
    void feed(const MatrixView& rows, const Run& run);
    /// ids and distances (nq, k), nearest first, padded with -1 and +inf.
    void finish(Id* ids, float* distances, const Run& run);

    const Space& space() const { return space_; }
    std::size_t queries() const { return queries_.size() / space_.dim(); }
    std::size_t k() const { return k_; }
    std::size_t rows() const { return rows_; }

  private:
    MatrixView view() const { return {queries_.data(), queries(), space_.dim()}; }
    void store(const MatrixView& rows, const Run& run);
    void encode(const Run& run);
    template <class Bounds>
    void scan(const Bounds& bounds, const Run& run);

    Space space_;
    std::size_t k_;
    std::vector<float> queries_;  // prepared
    std::vector<TopK> best_;      // one a query
    std::size_t rows_ = 0;        // fed so far
    std::size_t chunk_rows_ = 0;
    VectorStore chunk_;
    BoundCodes codes_;
    FloatBounds products_;
};

}  // namespace nearfield
