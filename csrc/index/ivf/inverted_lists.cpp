#include "index/ivf/inverted_lists.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <span>

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

}  // namespace

template <class List, class Work>
void InvertedLists::each_factor(List& list, const Work& work) const {
    work(list.add, &Factors::add, "lists.add");
    work(list.scale, &Factors::scale, "lists.scale");
    if (!two_parts()) return;
    work(list.first_scale, &Factors::first_scale, "lists.first_scale");
    if (!codes_->headed() || !norms_) work(list.first_add, &Factors::first_add, "lists.first_add");
    if (!codes_->headed()) work(list.first_error, &Factors::first_error, "lists.first_error");
}

/// Into memory of its own and no larger than it must be.
void InvertedLists::copy(InvertedList& list) const {
    list.blocks = copy_of(list.blocks);
    list.rows = copy_of(list.rows);
    list.slots = copy_of(list.slots);
    each_factor(list, [](auto& column, auto, auto) { column = copy_of(column); });
    list.viewed = false;
}

void InvertedLists::reserve(Slot list, std::size_t n) {
    InvertedList& into = lists_[list];
    own(into);
    const std::size_t room = into.size() + n;
    into.blocks.reserve(blocks_for(room) * codes_->block_bytes());
    into.rows.reserve(room * codes_->row_bytes());
    each_factor(into, [&](auto& column, auto, auto) { column.reserve(room); });
    into.slots.reserve(room);
}

void InvertedLists::write(InvertedList& list, std::size_t place, const std::uint8_t* code,
                          const Factors& factors) const {
    codes_->pack(code, place % rows, block(list, place));
    if (two_parts()) codes_->pack_row(code, list.rows.data() + place * codes_->row_bytes());
    each_factor(list, [&](auto& column, auto factor, auto) { column[place] = factors.*factor; });
}

void InvertedLists::append(Slot list, Slot slot, const std::uint8_t* code, const Factors& factors) {
    reserve(list, 1);
    InvertedList& into = lists_[list];
    const std::size_t place = into.size();
    if (place % rows == 0) into.blocks.resize(blocks_for(place + 1) * codes_->block_bytes());
    into.rows.resize((place + 1) * codes_->row_bytes());
    each_factor(into, [&](auto& column, auto, auto) { column.resize(place + 1); });
    write(into, place, code, factors);
    into.slots.resize(place + 1);
    into.slots[place] = slot;
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
    if (two_parts()) codes_->unpack_row(from.rows.data() + place * codes_->row_bytes(), code);
    each_factor(from, [&](auto& column, auto factor, auto) { factors.*factor = column[place]; });
}

void InvertedLists::remove(Slot list, std::size_t place) {
    InvertedList& from = lists_[list];
    own(from);
    const std::size_t last = from.size() - 1;
    Factors factors;
    read(list, last, moved_.data(), factors);
    write(from, place, moved_.data(), factors);
    from.slots[place] = from.slots[last];
    truncate(list, last);
}

void InvertedLists::truncate(Slot list, std::size_t n) {
    InvertedList& from = lists_[list];
    own(from);
    const std::size_t kept = blocks_for(n);
    for (std::size_t place = n; place < std::min(from.size(), kept * rows); ++place)
        codes_->pack(blank_.data(), place % rows, block(from, place));
    from.blocks.resize(kept * codes_->block_bytes());
    from.rows.resize(n * codes_->row_bytes());
    each_factor(from, [&](auto& column, auto, auto) { column.resize(n); });
    from.slots.resize(n);
}

void InvertedLists::rename(const std::vector<Slot>& new_slots) {
    for (InvertedList& list : lists_) own(list);
    for (InvertedList& list : lists_)
        for (Slot& slot : list.slots) slot = new_slots[slot];
}

std::size_t InvertedLists::code_bytes() const {
    std::size_t bytes = 0;
    for (const InvertedList& list : lists_) bytes += list.blocks.size() + list.rows.size();
    return bytes;
}

std::size_t InvertedLists::entry_bytes() const {
    std::size_t bytes = lists_.size() * sizeof(InvertedList);
    for (const InvertedList& list : lists_) {
        bytes += list.slots.bytes();
        each_factor(list, [&](auto& column, auto, auto) { bytes += column.bytes(); });
    }
    return bytes;
}

void InvertedLists::state(StateWriter& out) const {
    std::vector<std::uint32_t> sizes;
    for (const InvertedList& list : lists_)
        sizes.push_back(static_cast<std::uint32_t>(list.size()));
    out.array("lists.sizes", std::move(sizes));
    /// The bytes that `part` gives for every list.
    const auto all = [&](const char* name, Element element, const auto& part) {
        std::vector<std::span<const std::byte>> parts;
        for (const InvertedList& list : lists_) parts.push_back(part(list));
        out.array(name, element, std::move(parts));
    };
    const auto bytes_of = [](const auto& column) {
        return std::as_bytes(std::span(column.data(), column.size()));
    };
    all("lists.codes", Element::u8,
        [](const InvertedList& list) { return std::span(list.blocks.data(), list.blocks.size()); });
    if (two_parts())
        all("lists.rows", Element::u8,
            [](const InvertedList& list) { return std::span(list.rows.data(), list.rows.size()); });
    all("lists.slots", Element::u32,
        [&](const InvertedList& list) { return bytes_of(list.slots); });
    const InvertedList none;
    each_factor(none, [&](auto&, auto factor, const char* name) {
        all(name, Element::u16, [&](const InvertedList& list) {
            std::span<const std::byte> part;
            each_factor(list, [&](auto& column, auto which, auto) {
                if (which == factor) part = bytes_of(column);
            });
            return part;
        });
    });
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
    /// Gives each list its share of an array: each bytes a block, or an entry.
    const auto share = [&](const char* name, Element element, bool by_block, std::size_t each,
                           const auto& take) {
        const std::size_t n = (by_block ? blocks : total) * each;
        const auto all = std::make_shared<Buffer>(
            in.buffer(name, element, element == Element::u8 ? n : n / each));
        std::size_t begin = 0;
        for (std::size_t i = 0; i < lists_.size(); ++i) {
            const std::size_t bytes = (by_block ? blocks_for(sizes[i]) : sizes[i]) * each;
            take(lists_[i], Buffer::view(all->data() + begin, bytes, all));
            begin += bytes;
        }
    };
    share("lists.codes", Element::u8, true, codes_->block_bytes(),
          [](InvertedList& list, Buffer part) { list.blocks = std::move(part); });
    if (two_parts())
        share("lists.rows", Element::u8, false, codes_->row_bytes(),
              [](InvertedList& list, Buffer part) { list.rows = std::move(part); });
    share("lists.slots", Element::u32, false, sizeof(Slot), [](InvertedList& list, Buffer part) {
        list.slots = Column<Slot>(std::move(part));
        list.viewed = true;
    });
    InvertedList none;
    each_factor(none, [&](auto&, auto factor, const char* name) {
        share(name, Element::u16, false, 2, [&](InvertedList& list, Buffer part) {
            each_factor(list, [&](auto& column, auto which, auto) {
                if (which == factor) column = Column<std::uint16_t>(std::move(part));
            });
        });
    });
}

}  // namespace nearfield
