// Every allocation fails, once and for ever: a call throws std::bad_alloc, and the index goes on.
#include <cstdlib>
#include <new>

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

void* operator new(std::size_t n) { return or_throw(allocate(n, 1)); }
void* operator new(std::size_t n, std::align_val_t alignment) {
    return or_throw(allocate(n, static_cast<std::size_t>(alignment)));
}
void operator delete(void* data) noexcept { std::free(data); }
void operator delete(void* data, std::size_t) noexcept { std::free(data); }
void operator delete(void* data, std::align_val_t) noexcept { std::free(data); }
void operator delete(void* data, std::size_t, std::align_val_t) noexcept { std::free(data); }

namespace nearfield::check {
namespace {

/// Calls make(), then use(it) with the k-th allocation failing, then after(it), for all k until none
/// fails; once and for ever. Gives how many failed.
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

/// Runs a call that changes nothing on a fresh copy of each sample index, then looks the index over.
template <class Call>
std::size_t fail_in_call(Call&& call) {
    std::size_t runs = 0;
    for (const auto& sample : sample_indexes()) {
        const std::string bytes = bytes_of(*sample);
        const ReadOptions options{ReadOptions::Map::nothing, true, ~std::uint64_t{0}, one};
        runs += fail_every_allocation(
            [&] { return load(memory_source(bytes), options); },
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
                [&](int) {
                    load(memory_source(bytes), {map, true, ~std::uint64_t{0}, one});
                },
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

}  // namespace
}  // namespace nearfield::check
