// Approximate search in a few of many lists of compressed vectors.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "core/column.h"
#include "core/workers.h"
#include "index/index.h"
#include "index/ivf/inverted_lists.h"
#include "kernels/kernels.h"
#include "quantize/list_finder.h"
#include "quantize/residual_codes.h"
#include "store/vector_store.h"

namespace nearfield {

struct IvfParams {
    std::size_t nlist = 0;  // lists; 0 chooses from the training sample
    std::size_t nprobe = 24;
    ResidualParams codes;
    bool soar = false;  // every vector lies in a second list, too
    std::optional<kernels::Scalar> rerank = kernels::Scalar::f16;
    std::size_t candidates = 0;  // ranked by estimate, measured exactly; 0 chooses from k and bits

    static constexpr std::size_t max_nlist = 1 << 20;
};

/// Vectors are grouped round k-means centroids (Sivic & Zisserman, ICCV 2003; Jegou et al., PAMI
/// 2011); a query opens the nprobe lists nearest to it, ranks their vectors by codes of what they
/// add to their centroid, and the best by the vectors themselves. Many queries at once go through
/// the lists together, so that a block of codes is read for all that want it. The same vectors,
/// calls, parameters and seed give the same bytes, whatever the number of threads.
class IvfIndex final : public Index {
  public:
    /// Throws std::invalid_argument when a parameter is out of range.
    IvfIndex(Space space, const IvfParams& params);
    ~IvfIndex() override;
    static std::unique_ptr<Index> from_state(StateReader& in);
    const char* kind() const override { return "ivfpq"; }

    /// Chooses centroids and codes from vectors like those to come, once, while the index is empty.
    void train(const MatrixView& sample, const Run& run);
    bool trained() const;

    const IvfParams& params() const { return params_; }
    /// 0 before training where it is to be chosen.
    std::size_t nlist() const;
    std::size_t nprobe() const;
    /// Throws std::invalid_argument when it is out of range.
    void set_nprobe(std::size_t nprobe);
    static constexpr std::size_t most_candidates = 1 << 20;

    static std::size_t default_nlist(std::size_t n);
    /// How much farther than the nearest list may be, to be opened by a query of norm 1 (any norm
    /// where norms count) that opens nprobe at most.
    float limit(std::size_t nprobe) const;

  protected:
    void reserve_slots(std::size_t slots) override;
    void add_rows(const MatrixView& rows, const Slot* slots, const Run& run) override;
    void update_rows(const MatrixView& rows, const Slot* slots, const Run& run) override;
    void remove_slots(const Slot* slots, std::size_t n, const Run& run) override;
    void compact_slots(const std::vector<Slot>& old_slots, const Run& run) override;
    void get_row(Slot slot, float* out) const override;
    void search_rows(const MatrixView& queries, const SearchParams& params, const Filter& filter,
                     Neighbor* out, const Run& run) const override;
    void range_rows(const MatrixView& queries, float radius, const SearchParams& params,
                    const Filter& filter, std::vector<std::vector<Neighbor>>& out,
                    const Run& run) const override;
    void add_stats(Stats& stats) const override;
    void validate_rows() const override { check_lists(); }
    void state_rows(StateWriter& out) const override;

  private:
    struct Worker;
    class Search;

    void check_lists() const;
    void require_trained(const char* what) const;
    void learn_limits(const MatrixView& rows, const Run& run);
    // ivf_add.cpp
    using Entry = std::pair<Slot, std::size_t>;  // a list, a place in it
    /// Adds entries; after a failure there are none of them.
    void append(const MatrixView& rows, const Slot* slots, bool with_vectors, const Run& run);
    void code(const MatrixView& rows, const Slot* slots, bool with_vectors, const Run& run);
    /// In an order in which they may be removed, which then cannot fail.
    std::vector<Entry> find_entries(const Slot* slots, std::size_t n);
    /// Entries that a vector has.
    std::size_t copies() const { return params_.soar ? 2 : 1; }
    std::span<Column<Slot>> lists_of() { return {of_.data(), copies()}; }

    IvfParams params_;
    ResidualCodes codes_;
    std::optional<ListFinder> finder_;
    std::vector<float> limits_;  // limit() of 1, 2, 4 ... lists
    InvertedLists lists_;
    std::array<Column<Slot>, 2> of_;  // lists by slot: the first, and the second where there is one
    VectorStore vectors_;             // no rows without rerank

    mutable Workers<Worker> workers_;
};

}  // namespace nearfield
