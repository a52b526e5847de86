#include "index/ivf/inverted_lists.h"

#include <algorithm>
#include <cstring>
#include <memory>

#include "core/error.h"

namespace nearfield {
namespace {

constexpr std::size_t rows = BlockCodes::block_rows;

std::size_t blocks_for(std::size_t n) { return (n + rows - 1) / rows; }

Buffer copy_of(const Buffer& from) {
    Buffer to(from.size());
    if (from.size()) std::memcpy(to.data(), from.data(), from.size());
    return to;
}

template <class T>
Column<T> copy_of(const Column<T>& from) {
    Column<T> to;
    to.resize(from.size());
    std::copy(from.begin(), from.end(), to.begin());
    return to;
}

template <class T>
void push(Column<T>& column, T value) {
    const std::size_t n = column.size();
    column.resize(n + 1);
    column[n] = value;
}

}  // namespace

void InvertedLists::own(InvertedList& list) const {
    if (!list.viewed) return;
    list.blocks = copy_of(list.blocks);
    list.slots = copy_of(list.slots);
    list.add = copy_of(list.add);
    list.scale = copy_of(list.scale);
    list.viewed = false;
}

void InvertedLists::reserve(Slot list, std::size_t n) {
    InvertedList& into = lists_[list];
    own(into);
    const std::size_t room = into.size() + n;
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
    push(into.add, factors.add);
    push(into.scale, factors.scale);
    push(into.slots, slot);
}

std::size_t InvertedLists::find(Slot list, Slot slot) const {
    if (list < lists_.size()) {
        const auto& slots = lists_[list].slots;
        const Slot* const found = std::find(slots.begin(), slots.end(), slot);
        if (found != slots.end()) return static_cast<std::size_t>(found - slots.begin());
    }
    throw CorruptIndex(text("list ", list, " does not hold slot ", slot), "lists.of");
}

void InvertedLists::read(Slot list, std::size_t place, std::uint8_t* code, Factors& factors) const {
    const InvertedList& from = lists_[list];
    codes_->unpack(from.blocks.data() + place / rows * codes_->block_bytes(), place % rows, code);
    factors = {from.add[place], from.scale[place]};
}

void InvertedLists::remove(Slot list, std::size_t place) {
    InvertedList& from = lists_[list];
    own(from);
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
    own(from);
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
    for (InvertedList& list : lists_) {
        own(list);
        for (Slot& slot : list.slots) slot = new_slots[slot];
    }
}

std::size_t InvertedLists::code_bytes() const {
    std::size_t bytes = 0;
    for (const InvertedList& list : lists_) bytes += list.blocks.size();
    return bytes;
}

std::size_t InvertedLists::entry_bytes() const {
    std::size_t bytes = lists_.size() * sizeof(InvertedList);
    for (const InvertedList& list : lists_)
        bytes += list.slots.bytes() + list.add.bytes() + list.scale.bytes();
    return bytes;
}

void InvertedLists::state(StateWriter& out) const {
    std::vector<std::uint32_t> sizes;
    std::vector<std::uint8_t> codes;
    std::vector<Slot> slots;
    std::vector<std::uint16_t> add, scale;
    codes.reserve(code_bytes());
    const auto append = [](auto& to, const auto* from, std::size_t n) {
        to.insert(to.end(), from, from + n);
    };
    for (const InvertedList& list : lists_) {
        sizes.push_back(static_cast<std::uint32_t>(list.size()));
        append(codes, list.blocks.as<std::uint8_t>(), list.blocks.size());
        append(slots, list.slots.data(), list.size());
        append(add, list.add.data(), list.size());
        append(scale, list.scale.data(), list.size());
    }
    out.array("lists.sizes", std::move(sizes));
    out.array("lists.codes", std::move(codes));
    out.array("lists.slots", std::move(slots));
    out.array("lists.add", std::move(add));
    out.array("lists.scale", std::move(scale));
}

void InvertedLists::load(StateReader& in, std::size_t entries) {
    const auto sizes = in.values<std::uint32_t>("lists.sizes", lists_.size());
    std::size_t total = 0, blocks = 0;
    for (const std::uint32_t size : sizes) {
        total += size;
        blocks += blocks_for(size);
    }
    if (total != entries)
        throw CorruptIndex(text("lists have ", total, " entries for ", entries, " vectors"),
                           "lists.sizes");
    const std::size_t bytes = codes_->block_bytes();
    struct All {
        Buffer codes, slots, add, scale;
    };
    const auto all = std::make_shared<All>();
    all->codes = in.buffer("lists.codes", Element::u8, blocks * bytes);
    all->slots = in.buffer("lists.slots", Element::u32, total);
    all->add = in.buffer("lists.add", Element::u16, total);
    all->scale = in.buffer("lists.scale", Element::u16, total);
    std::size_t entry = 0, block = 0;
    for (std::size_t i = 0; i < lists_.size(); ++i) {
        const std::size_t n = sizes[i], held = blocks_for(n);
        const auto part = [&](const Buffer& buffer, std::size_t first, std::size_t count,
                              std::size_t each) {
            return Buffer::view(buffer.data() + first * each, count * each, all);
        };
        InvertedList& list = lists_[i];
        list.viewed = true;
        list.blocks = part(all->codes, block, held, bytes);
        list.slots = Column<Slot>(part(all->slots, entry, n, sizeof(Slot)));
        list.add = Column<std::uint16_t>(part(all->add, entry, n, 2));
        list.scale = Column<std::uint16_t>(part(all->scale, entry, n, 2));
        entry += n;
        block += held;
    }
}

}  // namespace nearfield
