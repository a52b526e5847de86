// What every index is: ids in front, slots behind, one rule for locks and one for bad input.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/bitmap.h"
#include "core/fair_mutex.h"
#include "core/run.h"
#include "core/state.h"
#include "core/types.h"
#include "store/id_map.h"
#include "store/space.h"

namespace nearfield {

/// A filter worked out once for many searches of one index. Rows added later are not in it.
struct PreparedFilter {
    std::uint64_t index = 0;     // Index::serial_
    std::uint64_t removals = 0;  // Index::removals_ when it was made
    Bitmap allowed;              // by slot
    std::size_t count = 0;
};

/// Which vectors may be results, as the user said it.
struct FilterSpec {
    enum class Kind { none, allow_ids, mask, exclude_ids, prepared };
    Kind kind = Kind::none;
    const Id* ids = nullptr;             // allow_ids, exclude_ids; unknown ids are ignored
    const std::uint8_t* mask = nullptr;  // one byte a live row, in the order of ids()
    std::size_t size = 0;
    const PreparedFilter* prepared = nullptr;
};

/// Work done by a search, summed over its queries.
struct Counters {
    std::atomic<std::uint64_t> distances{0};        // on codes or stored rows
    std::atomic<std::uint64_t> exact_distances{0};  // of those that decided the answer
    std::atomic<std::uint64_t> hops{0};             // graph nodes expanded, or lists opened
    std::atomic<std::uint64_t> bytes{0};            // of codes, rows and links read

    void add(std::uint64_t n, std::uint64_t exact, std::uint64_t n_hops, std::uint64_t n_bytes) {
        distances += n;
        exact_distances += exact;
        hops += n_hops;
        bytes += n_bytes;
    }
};

struct SearchParams {
    std::size_t k = 10;
    std::size_t ef_search = 0;  // 0: the index's own; graphs only
    std::size_t nprobe = 0;     // 0: the index's own; inverted lists only
    Counters* counters = nullptr;
    float limit = infinity;  // of distance: what is farther may be left out
    float share = 1;         // of the rows searched together; graphs look as wide as that needs
};

/// A search for one query, step by step: each step ends where the next would wait for memory, so
/// that others may go on meanwhile.
class Steps {
  public:
    virtual ~Steps() = default;
    /// False once the answer is written.
    virtual bool step() = 0;
};

/// Row i answers query i with found[lims[i]] .. found[lims[i + 1] - 1], nearest first.
struct RangeResult {
    std::vector<std::size_t> lims;
    std::vector<Id> ids;
    std::vector<float> distances;
};

struct Stats {
    std::vector<std::pair<std::string, double>> numbers;
    std::vector<std::pair<std::string, std::size_t>> bytes;  // by part
    std::vector<std::pair<std::string, std::string>> words;
};

/// Threads: any number of const calls at once; a call that changes the index waits for them and has
/// it to itself. What a call calls back may look at size, contains and ids, and read the index
/// inside a read; otherwise it gets std::runtime_error. Every argument is checked before anything
/// changes.
class Index {
  public:
    explicit Index(Space space);
    virtual ~Index() = default;
    Index(const Index&) = delete;
    Index& operator=(const Index&) = delete;

    const Space& space() const { return space_; }
    std::size_t size() const;
    bool contains(Id id) const;
    /// Live ids in slot order.
    std::vector<Id> ids() const;

    /// Adds vectors (n, dim). `ids` may be null: then they are numbered on from the largest id ever
    /// held. Writes the ids to `ids_out` (n,).
    void add(const MatrixView& vectors, const Id* ids, Id* ids_out, const Run& run);
    /// Gives ids that are held a new vector each.
    void update(const Id* ids, const MatrixView& vectors, const Run& run);
    /// Throws UnknownId, changing nothing, unless `ignore_missing`; returns how many went.
    std::size_t remove(const Id* ids, std::size_t n, bool ignore_missing, const Run& run);
    /// Writes the stored vectors to `out` (n, dim). Throws UnknownId.
    void get(const Id* ids, std::size_t n, float* out) const;
    /// Gives back the room of removed vectors; slots change, ids and their order do not.
    void compact(const Run& run);

    /// ids and distances (queries.rows, k), nearest first, padded with -1 and +inf.
    void search(const MatrixView& queries, const SearchParams& params, const FilterSpec& filter,
                Id* ids, float* distances, const Run& run) const;
    /// The same, unless somebody is changing the index: then false, at once.
    bool try_search(const MatrixView& queries, const SearchParams& params, const FilterSpec& filter,
                    Id* ids, float* distances, const Run& run) const;
    /// Whether begin_search() may give something.
    virtual bool takes_steps() const { return false; }
    /// search() for one query, step by step. Null where this index has no such search for it, and
    /// while somebody is changing it. Nobody can before what is given ends, which it has to do on
    /// the same thread, and before what was given to that thread earlier.
    std::unique_ptr<Steps> begin_search(const MatrixView& query, const SearchParams& params,
                                        const FilterSpec& filter, Id* ids, float* distances) const;
    /// Everything at distance <= radius.
    RangeResult range_search(const MatrixView& queries, float radius, const SearchParams& params,
                             const FilterSpec& filter, const Run& run) const;

    /// Works a filter out. It holds until a vector is removed or the index compacted.
    PreparedFilter prepare(const FilterSpec& filter) const;

    Stats stats() const;
    /// Throws CorruptIndex when an invariant does not hold.
    void validate() const;

    /// What this index is called in files; registry.h lists the kinds.
    virtual const char* kind() const = 0;
    /// Calls use(state) while nothing can change the index.
    void with_state(const std::function<void(const StateWriter&)>& use) const;
    /// From now on every change throws ReadOnlyIndex: the arrays view a file.
    void make_read_only() { read_only_ = true; }
    bool read_only() const { return read_only_; }

  protected:
    /// Rows that may be results: all live ones when `allowed` is null.
    struct Filter {
        const Bitmap* allowed = nullptr;
        std::size_t count = 0;
    };

    // What an index kind implements, on slots, under the lock, with checked input. Rows come as the
    // user gave them: space_.prepare() makes them what is stored.
    // Each may throw, and then the index is as it was.
    virtual void reserve_slots(std::size_t slots) = 0;  // changes nothing visible
    virtual void add_rows(const MatrixView& rows, const Slot* slots, const Run& run) = 0;
    virtual void update_rows(const MatrixView& rows, const Slot* slots, const Run& run) = 0;
    virtual void remove_slots(const Slot* slots, std::size_t n, const Run& run) = 0;
    virtual void compact_slots(const std::vector<Slot>& old_slots, const Run& run) = 0;
    virtual void get_row(Slot slot, float* out) const = 0;
    /// Writes params.k neighbors a query, nearest first, default-made ones where there are no more.
    virtual void search_rows(const MatrixView& queries, const SearchParams& params,
                             const Filter& filter, Neighbor* out, const Run& run) const = 0;
    /// search_rows() for one query, `query` (dim,), step by step; null where there is no such
    /// thing.
    virtual std::unique_ptr<Steps> begin_rows(const float* /*query*/,
                                              const SearchParams& /*params*/,
                                              const Filter& /*filter*/, Neighbor* /*out*/) const {
        return nullptr;
    }
    virtual void range_rows(const MatrixView& queries, float radius, const SearchParams& params,
                            const Filter& filter, std::vector<std::vector<Neighbor>>& out,
                            const Run& run) const = 0;
    virtual void add_stats(Stats& stats) const = 0;
    virtual void validate_rows() const = 0;
    /// Adds parameters and rows to what the base class has written.
    virtual void state_rows(StateWriter& out) const = 0;

    const IdMap& ids_map() const { return ids_; }
    /// For from_state of a kind: dim and metric, then the ids, before any row.
    static Space space_from_state(StateReader& in);
    void load_ids(StateReader& in) { ids_ = IdMap::from_state(in); }
    /// Throws ReadOnlyIndex. Every change calls it first.
    void check_writable() const;
    /// The two ends of add(): what it checks and reserves for n rows, whose slots it gives, and
    /// that they are there from now on. Writes the ids to `ids_out`.
    std::vector<Slot> begin_add(std::size_t n, const Id* ids, Id* ids_out);
    void end_add(const std::vector<Slot>& slots, const Id* ids) {
        ids_.commit(slots.data(), ids, slots.size());
    }
    /// For what a kind changes outside the calls above.
    FairLock alone() { return {mutex_, FairLock::For::change}; }
    FairLock shared() const { return {mutex_, FairLock::For::read}; }
    /// Which slots a filter means; `scratch` holds them where nothing else does.
    Filter resolve(const FilterSpec& spec, Bitmap& scratch) const;

    Space space_;

  private:
    class Beginning;
    /// Writes (n_queries, k) to (n_queries, params.k), padded.
    void name(const std::vector<Neighbor>& found, std::size_t n_queries, std::size_t k,
              const SearchParams& params, Id* ids, float* distances) const;
    /// search(), under the lock, with checked input.
    void answer(const MatrixView& queries, const SearchParams& params, const FilterSpec& filter,
                Id* ids, float* distances, const Run& run) const;
    std::vector<Slot> find_all(const Id* ids, std::size_t n, bool ignore_missing) const;

    IdMap ids_;
    const std::uint64_t serial_;  // no other index of the process has it
    std::uint64_t removals_ = 0;  // calls after which a slot may mean another vector
    bool read_only_ = false;
    mutable FairMutex mutex_;
};

}  // namespace nearfield
