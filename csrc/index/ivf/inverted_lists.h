// Inverted lists: for each, the codes of its vectors in blocks, their factors and their slots.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/buffer.h"
#include "core/column.h"
#include "core/state.h"
#include "core/types.h"
#include "quantize/residual_codes.h"

namespace nearfield {

struct InvertedList {
    Buffer blocks, rows;  // codes; the second parts of those that have two
    Column<Slot> slots;
    Column<std::uint16_t> add, scale;                           // float16 factors
    Column<std::uint16_t> first_add, first_scale, first_error;  // where codes have two parts; of
                                                                // heads those that they have
    bool viewed = false;  // the arrays lie in a file, or in memory shared by all lists

    std::size_t size() const { return slots.size(); }
};

/// Entries lie without gaps: a removed one's place goes to the last of its list.
class InvertedLists {
  public:
    using Factors = ResidualCodes::Factors;

    InvertedLists() = default;
    InvertedLists(std::size_t n, const ResidualCodes& codes)
        : codes_(&codes.blocks()),
          norms_(codes.norms()),
          lists_(n),
          blank_(codes_->code_size(), 0),
          moved_(codes_->code_size()) {}

    std::size_t size() const { return lists_.size(); }
    const InvertedList& operator[](std::size_t list) const { return lists_[list]; }

    /// Makes room for n more entries; may throw, changes nothing visible. Threads: one a list.
    void reserve(Slot list, std::size_t n);
    /// Gives back the room that is left for more. Threads: one a list.
    void trim(Slot list) { copy(lists_[list]); }
    void append(Slot list, Slot slot, const std::uint8_t* code, const Factors& factors);
    /// Place of a slot in its list; throws CorruptIndex unless the list holds it.
    std::size_t find(Slot list, Slot slot) const;
    /// Makes the list ready for remove() and truncate(), which then cannot fail.
    void unshare(Slot list) { own(lists_[list]); }
    void remove(Slot list, std::size_t place);
    /// Drops all but the first n entries.
    void truncate(Slot list, std::size_t n);
    /// Names slots anew: new_slots[old]. May throw, changing nothing.
    void rename(const std::vector<Slot>& new_slots);
    void read(Slot list, std::size_t place, std::uint8_t* code, Factors& factors) const;

    std::size_t code_bytes() const;
    std::size_t entry_bytes() const;

    /// All lists one after the other.
    void state(StateWriter& out) const;
    /// Lists that view what was read, until they change. Throws CorruptIndex unless they have
    /// `entries` in all.
    void load(StateReader& in, std::size_t entries);

  private:
    std::byte* block(InvertedList& list, std::size_t place) const {
        return list.blocks.data() + place / BlockCodes::block_rows * codes_->block_bytes();
    }
    bool two_parts() const { return codes_->row_bytes() > 0; }
    void own(InvertedList& list) const {
        if (list.viewed) copy(list);
    }
    void copy(InvertedList& list) const;
    void write(InvertedList& list, std::size_t place, const std::uint8_t* code,
               const Factors& factors) const;
    /// Columns of an entry's factors: work(column, which factor) for each.
    template <class List, class Work>
    void each_factor(List& list, const Work& work) const;

    const BlockCodes* codes_ = nullptr;
    bool norms_ = true;
    std::vector<InvertedList> lists_;
    std::vector<std::uint8_t> blank_, moved_;  // codes: of nothing, and of one that changes places
};

}  // namespace nearfield
