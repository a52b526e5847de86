#include "store/id_map.h"

#include <algorithm>
#include <bit>
#include <functional>
#include <limits>

#include "core/random.h"

namespace nearfield {

std::size_t IdMap::home(Id id) const {
    return mix(static_cast<std::uint64_t>(id)) & (table_.size() - 1);
}

Slot IdMap::find(Id id) const {
    if (identity_) {
        if (id < 0 || static_cast<std::uint64_t>(id) >= ids_.size()) return no_slot;
        const auto slot = static_cast<Slot>(id);
        return live_.test(slot) ? slot : no_slot;
    }
    std::size_t at = home(id);
    // A table has room left; one in a file that changed while it was mapped might not end.
    for (std::size_t tries = 0; tries < table_.size(); ++tries) {
        const Slot slot = table_[at];
        if (slot >= ids_.size()) return no_slot;
        if (ids_[slot] == id) return slot;
        at = (at + 1) & (table_.size() - 1);
    }
    return no_slot;
}

std::vector<Slot> IdMap::plan(std::size_t n) const {
    std::vector<Slot> slots(n);
    const std::size_t reused = std::min(n, free_.size());
    for (std::size_t i = 0; i < reused; ++i) slots[i] = free_[free_.size() - 1 - i];
    for (std::size_t i = reused; i < n; ++i) slots[i] = static_cast<Slot>(ids_.size() + i - reused);
    return slots;
}

void IdMap::build_table(std::size_t entries) {
    table_.assign(std::bit_ceil(2 * entries + 2), no_slot);
    live_.for_each([&](std::size_t slot) { insert(ids_[slot], static_cast<Slot>(slot)); });
}

void IdMap::insert(Id id, Slot slot) {
    std::size_t at = home(id);
    while (table_[at] != no_slot) at = (at + 1) & (table_.size() - 1);
    table_[at] = slot;
}

void IdMap::erase(Slot slot) {
    // Backward-shift deletion (Knuth, TAOCP 3, 6.4 R): no tombstones pile up.
    const std::size_t mask = table_.size() - 1;
    std::size_t hole = home(ids_[slot]);
    while (table_[hole] != slot) hole = (hole + 1) & mask;
    for (std::size_t at = (hole + 1) & mask; table_[at] != no_slot; at = (at + 1) & mask) {
        const std::size_t from_home = (at - home(ids_[table_[at]])) & mask;
        if (from_home >= ((at - hole) & mask)) {
            table_[hole] = table_[at];
            hole = at;
        }
    }
    table_[hole] = no_slot;
}

void IdMap::reserve(const Slot* slots, const Id* ids, std::size_t n) {
    const bool keeps_identity =
        identity_ && std::equal(slots, slots + n, ids,
                                [](Slot slot, Id id) { return static_cast<Id>(slot) == id; });
    const std::size_t reused = std::min(n, free_.size());
    const std::size_t total = ids_.size() + n - reused;
    ids_.reserve(total);
    live_.resize(std::max(total, live_.size()));
    if (!keeps_identity && (identity_ || 2 * (size() + n) > table_.size())) {
        build_table(2 * (size() + n));
        identity_ = false;
    }
}

void IdMap::commit(const Slot* slots, const Id* ids, std::size_t n) {
    const std::size_t reused = std::min(n, free_.size());
    const std::size_t total = ids_.size() + n - reused;
    free_.resize(free_.size() - reused);
    ids_.resize(total);
    for (std::size_t i = 0; i < n; ++i) {
        ids_[slots[i]] = ids[i];
        live_.set(slots[i]);
        if (!identity_) insert(ids[i], slots[i]);
        constexpr Id last = std::numeric_limits<Id>::max();
        if (ids[i] >= next_id_) next_id_ = ids[i] == last ? last : ids[i] + 1;
    }
}

void IdMap::remove(const Slot* slots, std::size_t n) {
    for (std::size_t i = 0; i < n; ++i) {
        if (!identity_) erase(slots[i]);
        live_.reset(slots[i]);
    }
    if (n == 1) {
        free_.insert(std::lower_bound(free_.begin(), free_.end(), slots[0], std::greater<>()),
                     slots[0]);
    } else {
        free_.insert(free_.end(), slots, slots + n);
        std::sort(free_.begin(), free_.end(), std::greater<>());
    }
}

IdMap IdMap::compacted(const std::vector<Slot>& old_slots) const {
    IdMap map;
    map.ids_.resize(old_slots.size());
    for (std::size_t slot = 0; slot < old_slots.size(); ++slot) {
        map.ids_[slot] = ids_[old_slots[slot]];
        map.identity_ = map.identity_ && map.ids_[slot] == static_cast<Id>(slot);
    }
    map.live_ = Bitmap(old_slots.size(), true);
    map.next_id_ = next_id_;
    if (!map.identity_) map.build_table(old_slots.size());
    return map;
}

std::size_t IdMap::bytes() const {
    return ids_.bytes() + table_.bytes() + free_.capacity() * sizeof(Slot) + live_.bytes();
}

}  // namespace nearfield
