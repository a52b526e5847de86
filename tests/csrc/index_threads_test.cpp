// A graph changed while others search it, alone, in batches and without waiting: for
// ThreadSanitizer above all.
#include <atomic>
#include <chrono>
#include <cmath>
#include <numeric>
#include <thread>
#include <vector>

#include "check.h"
#include "core/random.h"
#include "index/hnsw/hnsw_index.h"
#include "index/together.h"

namespace nearfield {
namespace {

using check::check;
using check::check_equal;
using check::Test;

constexpr std::size_t dim = 24, n_kept = 1200, n_changing = 60, k = 4, batch = 40, rounds = 12;

std::vector<float> normal_rows(std::size_t n, std::uint64_t seed) {
    Random random(seed);
    std::vector<float> rows(n * dim);
    for (float& value : rows) value = static_cast<float>(random.normal());
    return rows;
}

std::vector<Id> ids_from(std::size_t first, std::size_t n) {
    std::vector<Id> ids(n);
    std::iota(ids.begin(), ids.end(), static_cast<Id>(first));
    return ids;
}

void change(HnswIndex& index, std::size_t round) {
    const Run run{2, nullptr};
    const std::vector<float> rows = normal_rows(n_changing, 100 + round);
    std::vector<Id> ids = ids_from(n_kept, n_changing);
    if (round > 0) index.update(ids.data(), {rows.data(), n_changing, dim}, run);
    if (round > 0) index.remove(ids.data(), n_changing / 2, false, run);
    const std::size_t n = round > 0 ? n_changing / 2 : n_changing;
    index.add({rows.data(), n, dim}, ids.data(), ids.data(), run);
    if (round % 4 == 3) index.compact(run);
    if (round % 4 == 1) index.optimize(run);
}

/// What a searcher asks for: rows [first, first + n) of those that stay. False: somebody changed
/// the index meanwhile, and it was not to wait.
bool ask(const HnswIndex& index, const std::vector<float>& rows, std::size_t first, std::size_t n,
         bool wait, std::size_t& own) {
    std::vector<Id> found(n * k);
    std::vector<float> distances(n * k);
    SearchParams params;
    params.k = k;
    const MatrixView queries{&rows[first * dim], n, dim};
    const Run run{n > 1 ? 2 : 1, nullptr};
    if (wait)
        index.search(queries, params, {}, found.data(), distances.data(), run);
    else if (!index.try_search(queries, params, {}, found.data(), distances.data(), run))
        return false;
    for (const Id id : found) check(id >= 0 && id < static_cast<Id>(n_kept + n_changing));
    for (const float distance : distances) check(std::isfinite(distance));
    for (std::size_t i = 0; i < n; ++i) own += found[i * k] == static_cast<Id>(first + i);
    return true;
}

/// The same, of this graph and one that nobody changes, which take turns.
bool ask_both(const HnswIndex& index, const HnswIndex& other, const std::vector<float>& rows,
              std::size_t at, bool wait, std::size_t& own) {
    std::vector<Id> found(k);
    std::vector<float> distances(k);
    const MatrixView query{&rows[at * dim], 1, dim};
    if (!search_together({{&index, {}, 1}, {&other, {}, 1}}, query, k, Run{1, nullptr}, wait,
                         found.data(), distances.data()))
        return false;
    check(found[k - 1] >= 0);
    for (const Id id : found) own += id == static_cast<Id>(at);
    return true;
}

void searches_pass_changes_by() {
    const std::vector<float> rows = normal_rows(n_kept, 5);
    HnswIndex index(Space(dim, "l2"), HnswParams{});
    std::vector<Id> ids = ids_from(0, n_kept);
    index.add({rows.data(), n_kept, dim}, ids.data(), ids.data(), Run{1, nullptr});
    HnswIndex other(Space(dim, "l2"), HnswParams{});
    const std::vector<float> others = normal_rows(n_kept, 6);
    ids = ids_from(n_kept + n_changing, n_kept);
    other.add({others.data(), n_kept, dim}, ids.data(), ids.data(), Run{1, nullptr});
    std::atomic<bool> done = false, failed = false;
    std::atomic<std::size_t> asked = 0, own = 0, refused = 0;
    const auto searcher = [&](std::size_t n, bool wait, bool both = false) {
        return std::thread([&, n, wait, both] {
            try {
                for (std::size_t i = 0; !done; ++i) {
                    std::size_t found = 0;
                    const std::size_t at = i * 37 % (n_kept - batch);
                    if (both ? ask_both(index, other, rows, at, wait, found)
                             : ask(index, rows, at, n, wait, found)) {
                        asked += n;
                        own += found;
                    } else {
                        ++refused;
                        std::this_thread::sleep_for(std::chrono::microseconds(100));
                    }
                }
            } catch (...) {
                failed = true;
            }
        });
    };
    std::vector<std::thread> searchers;
    searchers.push_back(searcher(1, true));
    searchers.push_back(searcher(1, false));
    searchers.push_back(searcher(batch, true));
    searchers.push_back(searcher(1, true, true));
    searchers.push_back(searcher(1, false, true));
    for (std::size_t round = 0; round < rounds; ++round) {
        change(index, round);
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
    done = true;
    for (auto& thread : searchers) thread.join();
    check(!failed);
    check(asked > 0);
    check(20 * own >= 19 * asked);
    check_equal(index.size(), n_kept + n_changing);
    index.validate();
}

const Test changes("searches of a graph that changes see it whole", searches_pass_changes_by);

}  // namespace
}  // namespace nearfield
