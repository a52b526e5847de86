// Which inverted lists a vector belongs to, and which a query should open.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
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

/// Puts near centroids (k, dim) side by side and returns how many make a group; none where there
/// are too few for groups to pay.
std::vector<std::uint32_t> group_lists(std::vector<float>& centroids, std::size_t dim,
                                       std::uint64_t seed, const Run& run);

/// Vectors go to the nearest centroid, exactly; the centroids that suit a query are found by
/// products of bytes, whose error is a hundredth of a distance. Threads: const calls may run at
/// once.
class ListFinder {
  public:
    /// `centroids` (k, dim). `norms`: closeness counts the centroids' norms (Euclidean), else it is
    /// a dot product. `groups`: as group_lists() gives them, or none.
    ListFinder(std::vector<float> centroids, std::size_t dim, bool norms, const Run& run,
               std::vector<std::uint32_t> groups = {});

    std::size_t size() const { return norms2_.size(); }
    const float* centroid(Slot list) const { return centroids_.data() + list * dim_; }
    const std::vector<float>& centroids() const { return centroids_; }
    const std::vector<std::uint32_t>& groups() const { return groups_; }
    std::size_t query_width() const { return width_; }

    /// lists[i]: where row i (of `rows`, (n, dim)) goes.
    void assign(const MatrixView& rows, Slot* lists, const Run& run) const;

    /// seconds[i]: another list for row i, that of lists[i] left aside: of those near it the one
    /// whose residual r' has the least |r'|^2 + w (r'.r)^2 / |r|^2, r being what the first leaves,
    /// so that errors of the two are unlike (SOAR: Sun et al., NeurIPS 2023). Needs two lists.
    void assign_second(const MatrixView& rows, const Slot* lists, Slot* seconds,
                       const Run& run) const;

    /// Bytes of a query (query_width,) of values (dim,).
    IntQuery encode(const float* values, std::int8_t* out) const;
    struct Scratch {
        Buffer sums;
        std::vector<Slot> slots;
        std::vector<float> bounds;
        std::optional<NearestPool> groups;
    };
    /// The lists that suit each of m queries best, merged into best[i], which keeps as many as it
    /// was made for; distance is |q - c|^2, or -q.c. One or two queries that want few of many lists
    /// look only into the groups nearest to them, so they may miss a list that others find.
    void rank(const std::int8_t* codes, const IntQuery* queries, std::size_t m, NearestPool* best,
              Scratch& scratch) const;

    std::size_t bytes() const;

  private:
    Slot second_of(const float* row, Slot first, const NearestPool& near) const;
    /// As rank(), all lists compared as a matrix.
    void rank_all(const std::int8_t* codes, const IntQuery* queries, std::size_t m,
                  NearestPool* best, Scratch& scratch) const;
    void rank_part(const std::int8_t* code, const IntQuery& query, std::size_t begin,
                   std::size_t end, NearestPool& best, Scratch& scratch) const;
    void rank_groups(const std::int8_t* code, const IntQuery& query, NearestPool& best,
                     Scratch& scratch) const;
    /// Merges those of lists [first, first + n), whose sums are given, into the best.
    void merge(const std::int32_t* sums, const IntQuery& query, std::size_t first, std::size_t n,
               NearestPool& best, Scratch& scratch) const;

    std::size_t dim_, width_;
    bool norms_;
    std::vector<std::uint32_t> groups_;  // sizes; the lists of one lie side by side
    std::vector<std::size_t> group_begins_;
    std::unique_ptr<ListFinder> middles_;  // of the groups
    std::vector<float> centroids_, norms2_, steps_, zeros_;
    Buffer panels_;
    std::optional<NearestCentroid> nearest_;
};

}  // namespace nearfield
