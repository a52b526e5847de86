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
    list_of_.reserve(slots);
    if (params_.rerank) vectors_.resize(std::max(slots, vectors_.size()));
    list_of_.resize(std::max(slots, list_of_.size()), no_slot);
}

void IvfIndex::add_rows(const MatrixView& rows, const Slot* slots, const Run& run) {
    append(rows, slots, true, run);
}

void IvfIndex::append(const MatrixView& rows, const Slot* slots, bool with_vectors,
                      const Run& run) {
    std::vector<std::size_t> before(lists_.size());
    for (std::size_t i = 0; i < before.size(); ++i) before[i] = lists_[i].size();
    std::vector<Slot> lists_before(rows.rows);
    for (std::size_t i = 0; i < rows.rows; ++i) lists_before[i] = list_of_[slots[i]];
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
        for (std::size_t i = 0; i < rows.rows; ++i) list_of_[slots[i]] = lists_before[i];
        throw;
    }
}

/// A chunk at a time: into the frame, to lists, to codes; then each list takes its own.
void IvfIndex::code(const MatrixView& rows, const Slot* slots, bool with_vectors, const Run& run) {
    const std::size_t dim = space_.dim(), size = codes_.blocks().code_size();
    std::vector<float> scratch, framed;
    std::vector<Slot> assigned(rows_at_once), order;
    std::vector<std::uint8_t> code_rows;
    std::vector<InvertedLists::Factors> factors(rows_at_once);
    std::vector<std::size_t> begin;
    for (std::size_t first = 0; first < rows.rows; first += rows_at_once) {
        const std::size_t n = std::min(rows_at_once, rows.rows - first);
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
        code_rows.resize(n * size);
        parallel_for(part, n, 128, [&](std::size_t from, std::size_t to, std::size_t) {
            std::vector<float> two(2 * dim);
            for (std::size_t i = from; i < to; ++i) {
                factors[i] = codes_.encode(view.row(i), finder_->centroid(assigned[i]),
                                           &code_rows[i * size], two.data());
                if (with_vectors && params_.rerank)
                    vectors_.put(slots[first + i], ready.row(i));
            }
        });
        begin.assign(lists_.size() + 1, 0);
        for (std::size_t i = 0; i < n; ++i) ++begin[assigned[i] + 1];
        std::partial_sum(begin.begin(), begin.end(), begin.begin());
        order.resize(n);
        std::vector<std::size_t> next(begin.begin(), begin.end() - 1);
        for (std::size_t i = 0; i < n; ++i) order[next[assigned[i]]++] = static_cast<Slot>(i);
        parallel_for(part, lists_.size(), 16, [&](std::size_t from, std::size_t to, std::size_t) {
            for (std::size_t list = from; list < to; ++list) {
                const auto into = static_cast<Slot>(list);
                lists_.reserve(into, begin[list + 1] - begin[list]);
                for (std::size_t j = begin[list]; j < begin[list + 1]; ++j) {
                    const std::size_t i = order[j];
                    lists_.append(into, slots[first + i], &code_rows[i * size], factors[i]);
                    list_of_[slots[first + i]] = into;
                }
            }
        });
    }
    if (run.tick) run.tick(rows.rows, rows.rows);
}

std::vector<IvfIndex::Entry> IvfIndex::find_entries(const Slot* slots, std::size_t n) {
    std::vector<Entry> entries(n);
    for (std::size_t i = 0; i < n; ++i) {
        const Slot list = list_of_[slots[i]];
        entries[i] = {list, lists_.find(list, slots[i])};
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
    for (std::size_t i = 0; i < n; ++i) list_of_[slots[i]] = no_slot;
}

void IvfIndex::compact_slots(const std::vector<Slot>& old_slots, const Run&) {
    std::vector<Slot> new_slots(list_of_.size(), no_slot);
    Column<Slot> moved;
    moved.resize(old_slots.size());
    for (std::size_t slot = 0; slot < old_slots.size(); ++slot) {
        new_slots[old_slots[slot]] = static_cast<Slot>(slot);
        moved[slot] = list_of_[old_slots[slot]];
    }
    lists_.rename(new_slots);
    list_of_ = std::move(moved);
    if (params_.rerank) vectors_.compact(old_slots);
}

}  // namespace nearfield
