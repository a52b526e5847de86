#include <bit>
#include <functional>
#include <limits>

#include "core/error.h"
#include "store/id_map.h"

namespace nearfield {

void IdMap::state(StateWriter& out) const {
    out.number("slots", slots());
    out.number("vectors", size());
    out.number("next_id", static_cast<std::uint64_t>(next_id_));
    out.number("ids_are_slots", identity_);
    out.array("ids.by_slot", ids_.data(), ids_.size());
    if (!identity_) out.array("ids.table", table_.data(), table_.size());
    if (!free_.empty()) out.array("ids.live", live_.words(), (slots() + 63) / 64);
}

IdMap IdMap::from_state(StateReader& in) {
    IdMap map;
    const std::size_t slots = in.number("slots", 0, no_slot - 1);
    const std::size_t held = in.number("vectors", 0, slots);
    map.next_id_ = static_cast<Id>(in.number("next_id", 0, std::numeric_limits<Id>::max()));
    map.identity_ = in.number("ids_are_slots", 0, 1) == 1;
    map.ids_ = in.column<Id>("ids.by_slot", slots);
    if (!map.identity_) {
        const std::size_t places = in.count("ids.table");
        if (!std::has_single_bit(places) || places < 2 * held)
            throw CorruptIndex(
                text("section ids.table must have 2^i >= ", 2 * held, " places, got ", places),
                "ids.table");
        map.table_ = in.column<Slot>("ids.table", places);
    }
    map.live_ = Bitmap(slots, true);
    if (held < slots) {
        map.live_ = Bitmap(slots, in.values<std::uint64_t>("ids.live", (slots + 63) / 64));
        for (std::size_t slot = slots; slot-- > 0;)
            if (!map.live_.test(slot)) map.free_.push_back(static_cast<Slot>(slot));
    }
    if (map.live_.count() != held || map.size() != held)
        throw CorruptIndex(
            text("section ids.live has ", map.live_.count(), " slots of ", held, " vectors"),
            "ids.live");
    if (in.whole()) map.check();
    return map;
}

/// Every id is held once and found where it is.
void IdMap::check() const {
    for (std::size_t slot = 0; slot < slots(); ++slot) {
        const Id id = ids_[slot];
        if (!live_.test(slot)) continue;
        const bool named = identity_ ? id == static_cast<Id>(slot) : find(id) == slot;
        if (!named)
            throw CorruptIndex(text("id ", id, " does not lead to slot ", slot), "ids.by_slot");
        if (id >= next_id_ && id != std::numeric_limits<Id>::max())
            throw CorruptIndex(text("id ", id, " must be below next_id ", next_id_), "fields");
    }
    if (identity_) return;
    std::size_t used = 0;
    for (const Slot slot : table_) {
        used += slot != no_slot;
        if (slot != no_slot && (slot >= slots() || !live_.test(slot)))
            throw CorruptIndex(text("place of slot ", slot, ", which holds nothing"), "ids.table");
    }
    if (used != size())
        throw CorruptIndex(text("section ids.table names ", used, " slots of ", size()),
                           "ids.table");
}

}  // namespace nearfield
