// Every allocation fails, once and for ever: a call throws std::bad_alloc, and the index goes on.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <new>
#include <numeric>

#include "check.h"
#include "use_file.h"

namespace {

thread_local std::size_t until_failure = 0;  // 0: none fails
thread_local bool for_ever = false, failed = false;

void* allocate(std::size_t bytes, std::size_t alignment) {
    if (until_failure > 0 && (--until_failure == 0 || (failed && for_ever))) {
        failed = true;
        until_failure = for_ever ? 1 : 0;
        return nullptr;
    }
    return alignment <= alignof(std::max_align_t)
               ? std::malloc(bytes)
               : std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
}

void* or_throw(void* data) {
    if (!data) throw std::bad_alloc();
    return data;
}

}  // namespace

// Inlined, compilers would find malloc and delete a mismatch.
[[gnu::noinline]] void* operator new(std::size_t n) { return or_throw(allocate(n, 1)); }
[[gnu::noinline]] void* operator new(std::size_t n, std::align_val_t alignment) {
    return or_throw(allocate(n, static_cast<std::size_t>(alignment)));
}
[[gnu::noinline]] void operator delete(void* data) noexcept { std::free(data); }
[[gnu::noinline]] void operator delete(void* data, std::size_t) noexcept { std::free(data); }
[[gnu::noinline]] void operator delete(void* data, std::align_val_t) noexcept { std::free(data); }
[[gnu::noinline]] void operator delete(void* data, std::size_t, std::align_val_t) noexcept {
    std::free(data);
}

namespace nearfield::check {
namespace {

/// Calls make(), then use(it) with the k-th allocation failing, then after(it), for all k until
/// none fails; once and for ever. Gives how many failed.
template <class Make, class Use, class After>
std::size_t fail_every_allocation(Make&& make, Use&& use, After&& after) {
    std::size_t runs = 0;
    for (const bool persistent : {false, true})
        for (std::size_t k = 1;; ++k) {
            auto held = make();
            for_ever = persistent;
            failed = false;
            until_failure = k;
            try {
                use(held);
            } catch (const std::bad_alloc&) {
            } catch (...) {
                until_failure = 0;
                throw;
            }
            until_failure = 0;
            after(held);
            if (!failed) break;
            ++runs;
        }
    return runs;
}

const Run one{1, {}};

void search(const Index& index) {
    const std::vector<float> query = random_rows(1, index.space().dim(), 11);
    std::vector<Id> ids(5);
    std::vector<float> distances(5);
    SearchParams params;
    params.k = 5;
    index.search({query.data(), 1, index.space().dim()}, params, {}, ids.data(), distances.data(),
                 one);
}

/// Runs a call that changes nothing on a fresh copy of each sample index, then looks the index
/// over.
template <class Call>
std::size_t fail_in_call(Call&& call) {
    std::size_t runs = 0;
    for (const auto& sample : sample_indexes()) {
        const std::string bytes = bytes_of(*sample);
        const ReadOptions options{ReadOptions::Map::nothing, true, ~std::uint64_t{0}, one};
        runs += fail_every_allocation([&] { return load(memory_source(bytes), options); },
                                      [&](auto& index) { call(*index); },
                                      [&](auto& index) {
                                          index->validate();
                                          search(*index);
                                          check(bytes_of(*index) == bytes);
                                      });
    }
    return runs;
}

const Test opening("opening a file without enough memory says so", [] {
    std::size_t runs = 0;
    using Map = ReadOptions::Map;
    for (const auto& sample : sample_indexes()) {
        const std::string bytes = bytes_of(*sample);
        for (const Map map : {Map::nothing, Map::rows, Map::everything})
            runs += fail_every_allocation(
                [] { return 0; },
                [&](int) { load(memory_source(bytes), {map, true, ~std::uint64_t{0}, one}); },
                [](int) {});
    }
    check(runs > 1000);
});

const Test searching("searching without enough memory says so and harms nothing", [] {
    check(fail_in_call([](const Index& index) {
              search(index);
              const std::vector<float> query = random_rows(1, index.space().dim(), 12);
              index.range_search({query.data(), 1, index.space().dim()}, 1.0f, {}, {}, one);
          }) > 100);
});

const Test saving("writing an index without enough memory says so and harms nothing",
                  [] { check(fail_in_call([](const Index& index) { bytes_of(index); }) > 100); });

/// Makes a change of a fresh copy of each sample index with every allocation failing: it happens
/// whole or not at all, as `happened` tells; and then the index answers, is saved and takes the
/// change. Both get the index and the ids that it held before.
template <class Change, class Happened>
std::size_t fail_in_change(Change&& change, Happened&& happened) {
    std::size_t runs = 0;
    for (const auto& sample : sample_indexes()) {
        const std::string bytes = bytes_of(*sample);
        const std::vector<Id> ids = sample->ids();
        const ReadOptions options{ReadOptions::Map::nothing, true, ~std::uint64_t{0}, one};
        const auto look_over = [&](const Index& index) {
            index.validate();
            search(index);
            load(memory_source(bytes_of(index)), options)->validate();
        };
        runs += fail_every_allocation([&] { return load(memory_source(bytes), options); },
                                      [&](auto& index) { change(*index, ids); },
                                      [&](auto& index) {
                                          look_over(*index);
                                          if (!happened(*index, ids)) change(*index, ids);
                                          check(happened(*index, ids));
                                          look_over(*index);
                                      });
    }
    return runs;
}

using Ids = std::vector<Id>;
constexpr std::size_t changed = 20;
const std::vector<float> new_rows = random_rows(changed, 32, 21);

const Test adding("adding without enough memory adds all or nothing", [] {
    Ids fresh(changed), given(changed);
    std::iota(fresh.begin(), fresh.end(), 1'000'000);
    const std::size_t runs = fail_in_change(
        [&](Index& index, const Ids&) {
            index.add({new_rows.data(), changed, index.space().dim()}, fresh.data(), given.data(),
                      one);
        },
        [&](const Index& index, const Ids& held) {
            const bool added = index.contains(fresh[0]);
            check(index.size() == held.size() + (added ? changed : 0));
            return added;
        });
    check(runs > 1000);
});

const Test removing("removing without enough memory removes all or nothing", [] {
    for (const std::size_t most : {std::size_t{1}, std::size_t{60}, std::size_t{1000}}) {
        const std::size_t runs = fail_in_change(
            [&](Index& index, const Ids& held) {
                index.remove(held.data(), std::min(most, held.size()), false, one);
            },
            [&](const Index& index, const Ids& held) {
                const bool removed = !index.contains(held[0]);
                check(index.size() == held.size() - (removed ? std::min(most, held.size()) : 0));
                return removed;
            });
        check(runs > 20);
    }
});

const Test updating("updating without enough memory updates all or nothing", [] {
    const std::vector<float> ones(changed * 32, 1.0f);
    const std::size_t runs = fail_in_change(
        [&](Index& index, const Ids& held) {
            index.update(held.data(), {ones.data(), changed, index.space().dim()}, one);
        },
        [&](const Index& index, const Ids& held) {
            const std::size_t dim = index.space().dim();
            std::vector<float> rows(changed * dim);
            index.get(held.data(), changed, rows.data());
            // All values of an updated vector are about alike, which those of no other are.
            const auto updated = [&](std::size_t i) {
                return std::all_of(&rows[i * dim], &rows[i * dim] + dim, [&](float value) {
                    return value > 0 && std::abs(value - rows[i * dim]) < 0.3f;
                });
            };
            for (std::size_t i = 0; i < changed; ++i) check(updated(i) == updated(0));
            return updated(0);
        });
    check(runs > 500);
});

const Test compacting("compacting without enough memory harms nothing", [] {
    const std::size_t runs = fail_in_change(
        [&](Index& index, const Ids&) { index.compact(one); },
        [&](const Index& index, const Ids& held) {
            check(index.ids() == held);
            const Stats stats = index.stats();
            return std::any_of(stats.numbers.begin(), stats.numbers.end(), [](const auto& entry) {
                return entry.first == "deleted_share" && entry.second == 0;
            });
        });
    check(runs > 200);
});

}  // namespace
}  // namespace nearfield::check
