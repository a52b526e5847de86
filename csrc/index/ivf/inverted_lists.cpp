#include "index/ivf/inverted_lists.h"

#include <algorithm>

namespace nearfield {
namespace {

constexpr std::size_t rows = BlockCodes::block_rows;

std::size_t blocks_for(std::size_t n) { return (n + rows - 1) / rows; }

}  // namespace

void InvertedLists::reserve(Slot list, std::size_t n) {
    InvertedList& into = lists_[list];
    const std::size_t least = into.size() + n, had = into.slots.capacity();
    if (least <= had) return;
    // What comes bit by bit finds room for half as much again.
    const std::size_t room = into.size() == 0 ? least : std::max(least, had + had / 2);
    into.blocks.reserve(blocks_for(room) * codes_->block_bytes());
    into.add.reserve(room);
    into.scale.reserve(room);
    into.slots.reserve(room);
}

void InvertedLists::append(Slot list, Slot slot, const std::uint8_t* code, Factors factors) {
    reserve(list, 1);
    InvertedList& into = lists_[list];
    const std::size_t place = into.size();
    if (place % rows == 0) into.blocks.resize(blocks_for(place + 1) * codes_->block_bytes());
    codes_->pack(code, place % rows, block(into, place));
    into.add.push_back(factors.add);
    into.scale.push_back(factors.scale);
    into.slots.push_back(slot);
}

std::size_t InvertedLists::find(Slot list, Slot slot) const {
    const auto& slots = lists_[list].slots;
    return static_cast<std::size_t>(std::find(slots.begin(), slots.end(), slot) - slots.begin());
}

void InvertedLists::read(Slot list, std::size_t place, std::uint8_t* code, Factors& factors) const {
    const InvertedList& from = lists_[list];
    codes_->unpack(from.blocks.data() + place / rows * codes_->block_bytes(), place % rows, code);
    factors = {from.add[place], from.scale[place]};
}

void InvertedLists::remove(Slot list, std::size_t place) {
    InvertedList& from = lists_[list];
    const std::size_t last = from.size() - 1;
    std::vector<std::uint8_t> code(codes_->code_size());
    Factors factors;
    read(list, last, code.data(), factors);
    codes_->pack(code.data(), place % rows, block(from, place));
    from.add[place] = factors.add;
    from.scale[place] = factors.scale;
    from.slots[place] = from.slots[last];
    truncate(list, last);
}

void InvertedLists::truncate(Slot list, std::size_t n) {
    InvertedList& from = lists_[list];
    const std::vector<std::uint8_t> none(codes_->code_size(), 0);
    const std::size_t kept = blocks_for(n);
    for (std::size_t place = n; place < std::min(from.size(), kept * rows); ++place)
        codes_->pack(none.data(), place % rows, block(from, place));
    from.blocks.resize(kept * codes_->block_bytes());
    from.add.resize(n);
    from.scale.resize(n);
    from.slots.resize(n);
}

void InvertedLists::rename(const std::vector<Slot>& new_slots) {
    for (InvertedList& list : lists_)
        for (Slot& slot : list.slots) slot = new_slots[slot];
}

std::size_t InvertedLists::code_bytes() const {
    std::size_t bytes = 0;
    for (const InvertedList& list : lists_) bytes += list.blocks.size();
    return bytes;
}

std::size_t InvertedLists::entry_bytes() const {
    std::size_t bytes = lists_.size() * sizeof(InvertedList);
    for (const InvertedList& list : lists_)
        bytes += list.slots.capacity() * sizeof(Slot) +
                 (list.add.capacity() + list.scale.capacity()) * sizeof(std::uint16_t);
    return bytes;
}

}  // namespace nearfield
