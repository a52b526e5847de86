// Which of a node's candidates become its links.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "core/scorer.h"
#include "core/types.h"
#include "index/hnsw/graph.h"
#include "quantize/int_rows.h"

namespace nearfield {

/// Links chosen for one node: the first `kept` survived the rule as it is, the rest fill the row;
/// either part nearest first.
struct Chosen {
    std::vector<Slot> links;
    std::size_t kept = 0;
};

struct PruneRule {
    std::size_t degree;
    /// A candidate t is dropped for a chosen s when slack * d(s, t) < d(node, t). 1 keeps the
    /// sparsest rows; looser rounds make up for it.
    float slack;
};
/// 1.05 on distances, squared: 1.0 and 1.1 need more distances at recall 0.99 (README.md).
PruneRule prune_rule(const Graph& graph);

/// A bit for each of a node's candidates.
class Marks {
  public:
    static constexpr std::size_t words = 3;

    bool test(std::size_t i) const { return (bits[i / 64] >> (i % 64) & 1) != 0; }
    void set(std::size_t i) { bits[i / 64] |= std::uint64_t{1} << (i % 64); }
    void reset(std::size_t i) { bits[i / 64] &= ~(std::uint64_t{1} << (i % 64)); }
    /// The lowest one set, or 64 * words.
    std::size_t first() const;

    std::array<std::uint64_t, words> bits{};
};

/// Candidates of a node, nearest first; equals in a ring that begins after the node, so that the
/// copies of one vector link to one another and not all to the same few.
class Candidates {
  public:
    /// No more are looked at.
    static constexpr std::size_t most = 160;

    /// Takes nodes[0, n), all different.
    void rank(Slot node, const Slot* nodes, const float* distances, std::size_t n);
    std::size_t size() const { return size_; }
    Slot node(std::size_t i) const { return nodes_[i]; }
    const Slot* nodes() const { return nodes_.data(); }
    float distance(std::size_t i) const { return distances_[i]; }
    const float* distances() const { return distances_.data(); }

    Marks twins;  // those that hold the same bytes as the node itself

  private:
    // The last places are for the kernels.
    std::array<float, most + kernels::pool_slack> distances_{};
    std::array<Slot, most + kernels::pool_slack> nodes_{};
    std::size_t size_ = 0;
    std::vector<Neighbor> many_;
};

/// Drops repeats from short lists.
class Distinct {
  public:
    Distinct() { table_.fill(no_slot); }
    /// Keeps the first of each in `nodes`, and none that is `node`.
    void run(std::vector<Slot>& nodes, Slot node);

  private:
    static constexpr int bits = 9;
    std::array<Slot, std::size_t{1} << bits> table_;
};

/// Distances between candidates, as the kernels give them: d(i, j) = terms[i] + terms[j] - 2
/// (dots[i * stride + j] - shifts[i]), and limits[i] to the node itself.
struct PairDistances {
    const std::int32_t* dots;
    std::size_t stride;
    const float *terms, *limits;
    const std::int32_t* shifts;
};

/// Robust prune (Subramanya et al., NeurIPS 2019), then with more and more slack until the row is
/// full, and by the nearest of those still dropped: filled rows search faster than sparse ones at
/// any recall, and those that no other link makes up for find more (README.md). Twins never drop
/// others and only a few are kept, or thousands of copies of a vector would link to nothing but
/// themselves.
void robust_prune(const Candidates& candidates, const PruneRule& rule, const PairDistances& pairs,
                  Chosen& chosen);

/// Prunes on 8-bit rows: all distances between the candidates by one tile product.
class TilePruner {
  public:
    TilePruner(const IntRows& rows, const PruneRule& rule) : rows_(rows), rule_(rule) {}
    /// `nodes` may repeat and hold the node itself.
    const Chosen& run(Slot node, std::vector<Slot>& nodes);
    /// Leaves the nearest n of nodes, in any order.
    void keep_nearest(Slot node, std::vector<Slot>& nodes, std::size_t n);
    /// Of nodes[0, n), all different, at these distances.
    const Chosen& run(Slot node, const Slot* nodes, const float* distances, std::size_t n);

  private:
    /// To distances_.
    void measure(Slot node, const std::vector<Slot>& nodes);

    const IntRows& rows_;
    PruneRule rule_;
    TileScratch scratch_;
    Distinct distinct_;
    Candidates candidates_;
    std::vector<std::int32_t> dots_;
    std::vector<float> distances_;
    std::vector<Neighbor> many_;
    Chosen chosen_;
};

/// Prunes on stored vectors, for a few nodes at a time: as they lie round the node, rounded to 8
/// bits. Where closeness in the metric is not nearness (a dot product), a quarter of the links go
/// to what is near and the others to what is close, which is where searches go: those t that no
/// chosen s is closer to (ip-NSW: Morozov & Babenko, NeurIPS 2018).
class VectorPruner {
  public:
    explicit VectorPruner(const Graph& graph);
    /// `nodes` may repeat and hold the node itself.
    const Chosen& run(Slot node, std::vector<Slot>& nodes);

  private:
    void round();
    void add_close();

    const Graph& graph_;
    PruneRule rule_;
    std::unique_ptr<Scorer> scorer_, closeness_;
    std::vector<float> vector_, distances_, offsets_;
    std::vector<Slot> rest_;
    std::vector<Neighbor> by_closeness_;
    TileScratch scratch_;
    Distinct distinct_;
    Candidates candidates_;
    Chosen chosen_;
};

}  // namespace nearfield
