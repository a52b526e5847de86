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

void IdMap::commit(const Slot* slots, const Id* ids, std::size_t n) {
    const bool keeps_identity =
        identity_ && std::equal(slots, slots + n, ids,
                                [](Slot slot, Id id) { return static_cast<Id>(slot) == id; });
    const std::size_t reused = std::min(n, free_.size());
    const std::size_t total = ids_.size() + n - reused;
    ids_.reserve(total);
    live_.resize(std::max(total, live_.size()));
    free_.reserve(total);
    if (!keeps_identity && (identity_ || 2 * (size() + n) > table_.size())) {
        build_table(2 * (size() + n));
        identity_ = false;
    }
    // Nothing below allocates, so nothing below fails.
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

std::vector<Slot> IdMap::compact() {
    std::vector<Slot> old;
    old.reserve(size());
    live_.for_each([&](std::size_t slot) { old.push_back(static_cast<Slot>(slot)); });
    Column<Id> ids;
    ids.resize(old.size());
    bool identity = true;
    for (std::size_t slot = 0; slot < old.size(); ++slot) {
        ids[slot] = ids_[old[slot]];
        identity = identity && ids[slot] == static_cast<Id>(slot);
    }
    ids_ = std::move(ids);
    free_.clear();
    live_ = Bitmap(ids_.size(), true);
    identity_ = identity;
    table_ = Column<Slot>();
    if (!identity_) build_table(ids_.size());
    return old;
}

std::size_t IdMap::bytes() const {
    return ids_.bytes() + table_.bytes() + free_.capacity() * sizeof(Slot) + live_.bytes();
}

}  // namespace nearfield
