// Exact search: every query meets every vector, or a proof that it need not.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "index/index.h"
#include "quantize/bound_codes.h"
#include "store/vector_store.h"

namespace nearfield {

struct FlatParams {
    kernels::Scalar dtype = kernels::Scalar::f32;
    enum class Prefilter { automatic, on, off } prefilter = Prefilter::automatic;
};

/// Answers are those of a full scan, ties going to the smaller slot. With the prefilter, 8-bit
/// codes are scanned first and only rows whose bound beats the k-th distance are measured.
class FlatIndex final : public Index {
  public:
    FlatIndex(Space space, const FlatParams& params);
    static std::unique_ptr<Index> from_state(StateReader& in);
    const char* kind() const override { return "flat"; }

    /// Gets memory for n more rows, and reserves addresses for `ahead`, while searches go on: what
    /// the system takes to find pages would hold them up in add().
    void make_room(std::size_t n, std::size_t ahead);
    /// As add(), but searches wait for the names of the rows alone, not while they are stored. No
    /// other change may happen meanwhile.
    void append(const MatrixView& rows, const Id* ids, const Run& run);
    /// From now on single queries pass over rows by their signs before they look at codes: a row
    /// of the answer is missed once in three million (SignCodes). For an empty index with the
    /// prefilter; not saved.
    void skim();

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
    void validate_rows() const override;
    void state_rows(StateWriter& out) const override;

  private:
    struct Worker;

    std::size_t rows() const { return ids_map().slots(); }
    bool wants_codes(std::size_t slots) const;
    /// Rows 0 .. n - 1, or those of `slots`.
    void put(VectorStore& store, const MatrixView& rows, const Slot* slots, const Run& run) const;
    /// Returns the norm that codes then have to cover.
    static float encode(BoundCodes& codes, const VectorStore& store, std::size_t n,
                        const Slot* slots, const Run& run);

    void search_one(const float* query, const SearchParams& params, const Filter& filter,
                    Neighbor* out, const Run& run) const;
    /// A distance within which k rows lie, found by measuring those whose signs look nearest; +inf
    /// where that is not worth it.
    float reach(BoundCodes::QueryBlock& block, std::size_t k, const Filter& filter,
                Worker& worker) const;
    void search_listed(const MatrixView& queries, const SearchParams& params, const Filter& filter,
                       Neighbor* out, const Run& run) const;
    void search_batch(const MatrixView& queries, const SearchParams& params, const Filter& filter,
                      Neighbor* out, const Run& run) const;
    std::vector<Worker> make_workers(const Run& run, std::size_t k) const;

    VectorStore store_;
    FlatParams params_;
    std::optional<BoundCodes> codes_;  // of every slot, once made
};

}  // namespace nearfield
