// Buffer, Bitmap, TopK and Random against the plain way of doing the same.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <new>
#include <vector>

#include "check.h"
#include "core/bitmap.h"
#include "core/buffer.h"
#include "core/random.h"
#include "core/top_k.h"

namespace nearfield {
namespace {

using check::check;
using check::check_below;
using check::check_equal;
using check::Test;
using check::thrown;

constexpr std::size_t mib = std::size_t{1} << 20;

bool holds_ramp(const Buffer& buffer, std::size_t bytes) {
    const auto* values = buffer.as<std::uint8_t>();
    for (std::size_t i = 0; i < bytes; ++i)
        if (values[i] != static_cast<std::uint8_t>(i * 7)) return false;
    return true;
}

const Test buffer_grows("a buffer keeps its bytes, its alignment and zeros as it grows", [] {
    Buffer buffer;
    std::size_t filled = 0;
    // Past 2 MiB it moves from the heap to mapped pages, past 4 MiB it moves pages.
    for (const std::size_t bytes : {std::size_t{1}, std::size_t{100}, mib, 3 * mib, 9 * mib}) {
        buffer.resize(bytes);
        check_equal(buffer.size(), bytes);
        check_equal(reinterpret_cast<std::uintptr_t>(buffer.data()) % 64, 0U);
        check(holds_ramp(buffer, filled));
        auto* values = buffer.as<std::uint8_t>();
        check(std::all_of(values + filled, values + bytes, [](auto v) { return v == 0; }));
        for (; filled < bytes; ++filled) values[filled] = static_cast<std::uint8_t>(filled * 7);
    }
});

const Test buffer_regrows("bytes cut off a buffer come back as zeros", [] {
    for (const std::size_t bytes : {std::size_t{1000}, 5 * mib}) {
        Buffer buffer(bytes);
        std::memset(buffer.data(), 1, bytes);
        buffer.resize(10);
        buffer.resize(bytes);
        check_equal(buffer.as<std::uint8_t>()[9], 1);
        check_equal(buffer.as<std::uint8_t>()[10], 0);
        check_equal(buffer.as<std::uint8_t>()[bytes - 1], 0);
    }
});

const Test buffer_refuses("a buffer that cannot grow throws and keeps what it has", [] {
    Buffer buffer(100);
    buffer.as<std::uint8_t>()[99] = 5;
    thrown<std::bad_alloc>([&] { buffer.resize(~std::size_t{0} / 2); });
    check_equal(buffer.size(), 100U);
    check_equal(buffer.as<std::uint8_t>()[99], 5);
});

const Test bitmap_agrees("a bitmap agrees with a vector of bools", [] {
    Random random(1);
    for (const std::size_t size : {0, 1, 63, 64, 65, 1000}) {
        Bitmap bitmap(size);
        std::vector<bool> plain(size);
        for (std::size_t i = 0; i < size; ++i) {
            const std::size_t at = random.below(size);
            const bool on = random.below(3) > 0;
            on ? bitmap.set(at) : bitmap.reset(at);
            plain[at] = on;
        }
        for (std::size_t i = 0; i < size; ++i) check_equal(bitmap.test(i), plain[i]);
        check_equal(bitmap.count(),
                    static_cast<std::size_t>(std::count(plain.begin(), plain.end(), true)));
        std::vector<std::size_t> visited;
        bitmap.for_each([&](std::size_t i) { visited.push_back(i); });
        check_equal(visited.size(), bitmap.count());
        check(std::is_sorted(visited.begin(), visited.end()));
        for (const std::size_t i : visited) check(plain[i]);
    }
});

const Test bitmap_resizes("a bitmap that grows takes the new value and one that shrinks forgets",
                          [] {
                              Bitmap bitmap(10);
                              bitmap.resize(100, true);
                              check_equal(bitmap.count(), 90U);
                              check(!bitmap.any(0, 0) && bitmap.any(64, 100));
                              bitmap.resize(5);
                              check_equal(bitmap.count(), 0U);
                              bitmap.resize(70, true);
                              check_equal(bitmap.count(), 65U);
                              bitmap.resize(66);
                              bitmap.resize(128);
                              check_equal(bitmap.count(), 61U);
                          });

const Test top_k_agrees("top k agrees with a sort, ties by slot, for any order and any k", [] {
    Random random(2);
    for (const std::size_t k : {1, 2, 10, 100, 2000}) {
        std::vector<Neighbor> all;
        for (Slot slot = 0; slot < 1000; ++slot)
            all.push_back({static_cast<float>(random.below(50)), slot});  // many ties
        for (std::size_t i = all.size(); i > 1; --i) std::swap(all[i - 1], all[random.below(i)]);
        TopK first(k), second(k);
        for (std::size_t i = 0; i < all.size(); ++i) (i % 2 ? first : second).offer(all[i]);
        first.merge(second);
        std::sort(all.begin(), all.end());
        all.resize(std::min(k, all.size()));
        check(first.finish() == all);
    }
});

const Test top_k_threshold("the threshold of top k never rules out one of the k", [] {
    TopK top(3);
    check_equal(top.threshold(), infinity);
    for (Slot slot = 0; slot < 500; ++slot) {
        top.offer({static_cast<float>(500 - slot), slot});
        check(top.threshold() >= static_cast<float>(500 - slot));
    }
    top.tighten();
    check_equal(top.threshold(), 3.0f);
    top.clear();
    check_equal(top.threshold(), infinity);
});

const Test random_repeats("random numbers repeat for a seed and have the moments they should", [] {
    check_equal(Random(0).next(), 0xe220a8397b1dcdafU);  // splitmix64's published first value
    check_equal(Random(5).next(), Random(5).next());
    check(Random(5).next() != Random(6).next());

    Random random(7);
    constexpr int draws = 200'000;
    double uniform = 0, normal = 0, square = 0;
    std::vector<int> counts(10);
    for (int i = 0; i < draws; ++i) {
        uniform += random.uniform() / draws;
        const double value = random.normal();
        normal += value / draws;
        square += value * value / draws;
        ++counts[random.below(10)];
    }
    check_below(std::abs(uniform - 0.5), 0.004);  // six standard errors
    check_below(std::abs(normal), 0.014);
    check_below(std::abs(square - 1), 0.02);
    for (const int count : counts) check_below(std::abs(count - draws / 10), 810);
});

}  // namespace
}  // namespace nearfield
