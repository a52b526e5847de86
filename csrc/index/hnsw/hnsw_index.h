// Approximate search by walking a graph of low-bit codes and ranking what it finds by the vectors.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <vector>

#include "core/column.h"
#include "core/workers.h"
#include "index/hnsw/beam.h"
#include "index/hnsw/graph.h"
#include "index/index.h"

namespace nearfield {

class VectorPruner;

/// A navigable small-world graph (Malkov & Yashunin, arXiv:1603.09320) in one layer with k-means
/// medoids as entry points. Below `graph_from` vectors, and where a filter lets few in, every
/// vector is measured. The same vectors, calls, parameters and seed give the same bytes, whatever
/// the number of threads.
class HnswIndex final : public Index {
  public:
    /// Throws std::invalid_argument when a parameter is out of range.
    HnswIndex(Space space, const HnswParams& params);
    ~HnswIndex() override;
    static std::unique_ptr<Index> from_state(StateReader& in);
    const char* kind() const override { return "hnsw"; }
    bool takes_steps() const override { return true; }
    const HnswParams& params() const { return params_; }
    /// Candidates kept by a search that is not given its own number.
    std::size_t ef_search() const;
    /// Throws std::invalid_argument when it is out of range.
    void set_ef_search(std::size_t ef_search);

    /// What a vector takes, its int64 id included.
    std::size_t vector_bytes() const;
    /// Gives back the room of removed nodes, and puts together in memory what is searched together.
    void optimize(const Run& run);
    /// Makes ways between vectors that are near the same queries though not near each other.
    void adapt(const MatrixView& queries, const Run& run);

    static constexpr std::size_t graph_from = 256;

    class Pages;  // hnsw_pages.h

  protected:
    void reserve_slots(std::size_t slots) override;
    void add_rows(const MatrixView& rows, const Slot* slots, const Run& run) override;
    void update_rows(const MatrixView& rows, const Slot* slots, const Run& run) override;
    void remove_slots(const Slot* slots, std::size_t n, const Run& run) override;
    void compact_slots(const std::vector<Slot>& old_slots, const Run& run) override;
    void get_row(Slot slot, float* out) const override;
    void search_rows(const MatrixView& queries, const SearchParams& params, const Filter& filter,
                     Neighbor* out, const Run& run) const override;
    std::unique_ptr<Steps> begin_rows(const float* query, const SearchParams& params,
                                      const Filter& filter, Neighbor* out) const override;
    void range_rows(const MatrixView& queries, float radius, const SearchParams& params,
                    const Filter& filter, std::vector<std::vector<Neighbor>>& out,
                    const Run& run) const override;
    void add_stats(Stats& stats) const override;
    void validate_rows() const override;
    void state_rows(StateWriter& out) const override;

  private:
    struct Worker;
    class Query;
    class Stepwise;
    struct Batch;

    // hnsw_batch.cpp
    void walk_rows(const MatrixView& queries, const Query& query, Neighbor* out,
                   const Run& run) const;
    void make_ready(const MatrixView& queries, const Query& query, Batch& batch,
                    const Run& run) const;
    void walk_ordered(const MatrixView& queries, const Query& query, const Batch& batch,
                      Neighbor* out, const Run& run) const;
    // hnsw_insert.cpp
    void rebuild(const MatrixView& rows, const Slot* slots, const Run& run);
    void append(const MatrixView& rows, const Slot* slots);
    void insert(const MatrixView& rows, const Slot* slots, const Run& run);
    void insert_batch(const MatrixView& rows, const std::vector<Slot>& nodes, const Run& run);
    /// Gives each pair's first node a link to its second, if the rule keeps it.
    void link_back(std::vector<std::pair<Slot, Slot>>& pairs, const Run& run);
    std::vector<Slot> take_nodes(std::size_t n);
    /// After a failure: links may lead to the first `led_to` nodes.
    void give_back(const std::vector<Slot>& nodes, std::size_t led_to);
    void changed();
    // hnsw_remove.cpp
    void mend(const Run& run);
    /// Once many are dead.
    void mend_in_time(const Run& run);
    void replace_seeds();
    std::vector<Slot> live_seeds(const Seeds& seeds) const;
    void reorder(const std::vector<Slot>& order);
    // hnsw_adapt.cpp
    std::vector<Slot> answers_to(const MatrixView& queries, const Run& run) const;
    void grant(Slot node, const std::vector<Slot>& targets, VectorPruner& pruner);
    // hnsw_state.cpp
    void check_nodes() const;
    void check_links() const;

    std::size_t live_nodes() const { return graph_.size() - graph_.unused.size() - graph_.dead; }

    HnswParams params_;
    Graph graph_;
    Column<Slot> node_of_;         // by slot
    std::size_t built_ = 0;        // vectors when the graph was last built whole
    std::size_t unconnected_ = 0;  // vectors added since reachability was last made sure of
    std::uint64_t changes_ = 0;    // of anything that a walk under way relies on

    // Searching needs memory that is worth keeping: visited marks, pools, a query's codes.
    mutable Workers<Worker> workers_;
    mutable Workers<Batch> batches_;  // so is what a call makes of its queries
};

}  // namespace nearfield
