#include <algorithm>
#include <functional>
#include <numeric>

#include "core/column.h"
#include "core/error.h"
#include "core/thread_pool.h"
#include "index/ivf/ivf_index.h"
#include "index/ivf/ivf_worker.h"

namespace nearfield {
namespace {

// Vectors under way at a time: bounds the memory of an addition, whatever its size.
constexpr std::size_t rows_at_once = 16'384;
// Lists that grew by this share give back the room they have left; copying them takes a fiftieth of
// the time that coding did.
constexpr std::size_t trim_share = 64;

}  // namespace

void IvfIndex::reserve_slots(std::size_t slots) {
    require_trained("add()");
    require(slots <= NearestPool::max_slots, "inverted lists must hold at most ",
            NearestPool::max_slots, " vectors, got ", slots);
    for (Column<Slot>& of : lists_of()) of.reserve(slots);
    if (params_.rerank) vectors_.resize(std::max(slots, vectors_.size()));
    for (Column<Slot>& of : lists_of()) of.resize(std::max(slots, of.size()), no_slot);
}

void IvfIndex::add_rows(const MatrixView& rows, const Slot* slots, const Run& run) {
    append(rows, slots, true, run);
}

void IvfIndex::append(const MatrixView& rows, const Slot* slots, bool with_vectors,
                      const Run& run) {
    std::vector<std::size_t> before(lists_.size());
    for (std::size_t i = 0; i < before.size(); ++i) before[i] = lists_[i].size();
    std::vector<Slot> lists_before;
    for (const Column<Slot>& of : lists_of())
        for (std::size_t i = 0; i < rows.rows; ++i) lists_before.push_back(of[slots[i]]);
    try {
        code(rows, slots, with_vectors, run);
        if (rows.rows * trim_share >= ids_map().size())
            parallel_for(Run{run.threads, nullptr}, lists_.size(), 16,
                         [&](std::size_t from, std::size_t to, std::size_t) {
                             for (std::size_t i = from; i < to; ++i)
                                 lists_.trim(static_cast<Slot>(i));
                         });
    } catch (...) {
        for (std::size_t i = 0; i < before.size(); ++i)
            if (lists_[i].size() > before[i]) lists_.truncate(static_cast<Slot>(i), before[i]);
        for (std::size_t copy = 0; copy < copies(); ++copy)
            for (std::size_t i = 0; i < rows.rows; ++i)
                of_[copy][slots[i]] = lists_before[copy * rows.rows + i];
        throw;
    }
}

/// A chunk at a time: into the frame, to lists, to codes; then each list takes its own. Of n rows
/// entries 0, ..., n - 1 are for their first lists, n, ..., 2 n - 1 for their second ones.
void IvfIndex::code(const MatrixView& rows, const Slot* slots, bool with_vectors, const Run& run) {
    const std::size_t dim = space_.dim(), size = codes_.blocks().code_size();
    std::vector<float> scratch, framed;
    std::vector<Slot> assigned(copies() * rows_at_once), order;
    std::vector<std::uint8_t> code_rows;
    std::vector<InvertedLists::Factors> factors(assigned.size());
    std::vector<std::size_t> begin;
    for (std::size_t first = 0; first < rows.rows; first += rows_at_once) {
        const std::size_t n = std::min(rows_at_once, rows.rows - first), entries = copies() * n;
        Run part{run.threads, nullptr};
        if (run.tick) {
            run.tick(first, rows.rows);
            part.tick = [&](std::size_t, std::size_t) { run.tick(first, rows.rows); };
        }
        const MatrixView ready = space_.prepare(rows.slice(first, first + n), scratch);
        framed.resize(n * dim);
        codes_.apply(ready, framed.data(), part);
        const MatrixView view{framed.data(), n, dim};
        finder_->assign(view, assigned.data(), part);
        if (params_.soar) finder_->assign_second(view, assigned.data(), &assigned[n], part);
        code_rows.resize(entries * size);
        parallel_for(part, n, 128, [&](std::size_t from, std::size_t to, std::size_t) {
            std::vector<float> two(2 * dim);
            for (std::size_t i = from; i < to; ++i) {
                for (std::size_t j = i; j < entries; j += n)
                    factors[j] = codes_.encode(view.row(i), finder_->centroid(assigned[j]),
                                               &code_rows[j * size], two.data());
                if (with_vectors && params_.rerank) vectors_.put(slots[first + i], ready.row(i));
            }
        });
        begin.assign(lists_.size() + 1, 0);
        for (std::size_t i = 0; i < entries; ++i) ++begin[assigned[i] + 1];
        std::partial_sum(begin.begin(), begin.end(), begin.begin());
        order.resize(entries);
        std::vector<std::size_t> next(begin.begin(), begin.end() - 1);
        for (std::size_t i = 0; i < n; ++i)  // by row, so that pieces of any size give the same
            for (std::size_t j = i; j < entries; j += n)
                order[next[assigned[j]]++] = static_cast<Slot>(j);
        parallel_for(part, lists_.size(), 16, [&](std::size_t from, std::size_t to, std::size_t) {
            for (std::size_t list = from; list < to; ++list) {
                const auto into = static_cast<Slot>(list);
                lists_.reserve(into, begin[list + 1] - begin[list]);
                for (std::size_t j = begin[list]; j < begin[list + 1]; ++j) {
                    const std::size_t i = order[j];
                    const Slot slot = slots[first + i % n];
                    lists_.append(into, slot, &code_rows[i * size], factors[i]);
                    (i < n ? of_[0] : of_[1])[slot] = into;
                }
            }
        });
    }
    if (run.tick) run.tick(rows.rows, rows.rows);
}

std::vector<IvfIndex::Entry> IvfIndex::find_entries(const Slot* slots, std::size_t n) {
    std::vector<Entry> entries;
    entries.reserve(copies() * n);
    for (const Column<Slot>& of : lists_of())
        for (std::size_t i = 0; i < n; ++i) {
            const Slot list = of[slots[i]];
            entries.emplace_back(list, lists_.find(list, slots[i]));
            lists_.unshare(list);
        }
    // The last of a list takes a removed one's place: from the back, the places before stay true.
    std::sort(entries.begin(), entries.end(), std::greater<>());
    return entries;
}

void IvfIndex::update_rows(const MatrixView& rows, const Slot* slots, const Run& run) {
    const std::vector<Entry> old = find_entries(slots, rows.rows);
    std::vector<float> scratch(space_.dim());
    append(rows, slots, false, run);
    // All or nothing: what may fail or be interrupted is done.
    for (const auto& [list, place] : old) lists_.remove(list, place);
    for (std::size_t i = 0; params_.rerank && i < rows.rows; ++i)
        vectors_.put(slots[i], space_.prepare(rows.row(i), scratch.data()));
}

void IvfIndex::remove_slots(const Slot* slots, std::size_t n, const Run&) {
    for (const auto& [list, place] : find_entries(slots, n)) lists_.remove(list, place);
    for (Column<Slot>& of : lists_of())
        for (std::size_t i = 0; i < n; ++i) of[slots[i]] = no_slot;
}

void IvfIndex::compact_slots(const std::vector<Slot>& old_slots, const Run&) {
    std::vector<Slot> new_slots(of_[0].size(), no_slot);
    std::vector<Column<Slot>> moved;
    for (const Column<Slot>& of : lists_of()) {
        moved.emplace_back();
        moved.back().resize(old_slots.size());
        for (std::size_t slot = 0; slot < old_slots.size(); ++slot) {
            new_slots[old_slots[slot]] = static_cast<Slot>(slot);
            moved.back()[slot] = of[old_slots[slot]];
        }
    }
    lists_.rename(new_slots);
    for (std::size_t copy = 0; copy < copies(); ++copy) of_[copy] = std::move(moved[copy]);
    if (params_.rerank) vectors_.compact(old_slots);
}

}  // namespace nearfield
