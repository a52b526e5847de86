// The user's ids <-> slots. While ids are 0, 1, 2 ... in slot order no table is kept.
#pragma once

#include <cstddef>
#include <vector>

#include "core/bitmap.h"
#include "core/column.h"
#include "core/reserve.h"
#include "core/state.h"
#include "core/types.h"

namespace nearfield {

/// Which id lives in which slot, and which slots are free. Slots are dense: a removed one is used
/// again, lowest first.
class IdMap {
  public:
    std::size_t size() const { return ids_.size() - free_.size(); }  // ids held
    std::size_t slots() const { return ids_.size(); }  // slots ever used, free ones included
    /// One bit a slot: does it hold an id?
    const Bitmap& live() const { return live_; }
    /// no_id beyond the last slot, which a file that changed while it was mapped may name.
    Id id(Slot slot) const { return slot < ids_.size() ? ids_[slot] : no_id; }
    /// no_slot when the id is unknown.
    Slot find(Id id) const;
    /// The id an unnamed vector gets next: one more than the largest ever held.
    Id next_id() const { return next_id_; }

    /// The slots that `n` new ids would take, in order; changes nothing.
    std::vector<Slot> plan(std::size_t n) const;
    /// Makes room for commit() of the same, which then cannot fail.
    void reserve(const Slot* slots, const Id* ids, std::size_t n);
    /// Takes the slots of plan(n). Ids are new and distinct.
    void commit(const Slot* slots, const Id* ids, std::size_t n);
    /// Makes room for remove() of n ids, which then cannot fail.
    void reserve_free(std::size_t n) { reserve_more(free_, n); }
    /// Frees the slots, which are live and distinct.
    void remove(const Slot* slots, std::size_t n);
    /// The same ids without gaps: slot i has what old_slots[i] had, for all live slots.
    IdMap compacted(const std::vector<Slot>& old_slots) const;

    std::size_t bytes() const;

    void state(StateWriter& out) const;
    static IdMap from_state(StateReader& in);

  private:
    void check() const;
    void build_table(std::size_t entries);
    void insert(Id id, Slot slot);
    void erase(Slot slot);
    std::size_t home(Id id) const;

    Column<Id> ids_;          // by slot
    std::vector<Slot> free_;  // descending, so the lowest is taken from the back
    Column<Slot> table_;      // open addressing, no_slot = empty; unused while identity_
    bool identity_ = true;    // every live slot holds its own number
    Bitmap live_;
    Id next_id_ = 0;
};

}  // namespace nearfield
