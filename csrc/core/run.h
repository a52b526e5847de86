// How a long call runs: on how many threads, and whom it asks whether to go on.
#pragma once

#include <cstddef>
#include <functional>

namespace nearfield {

struct Run {
    /// 0 means every thread of the pool.
    int threads = 0;
    /// Called on the calling thread only, between pieces of a loop, with how much of that loop is
    /// done. It keeps its own pace (it may be called often) and may throw, which stops the work.
    std::function<void(std::size_t done, std::size_t total)> tick;

    /// For loops on the calling thread alone, at each step: calls tick now and then, of progress
    /// it tells nothing.
    void hear(std::size_t step) const {
        if (tick && step % steps_a_tick == 0) tick(0, 1);
    }
    static constexpr std::size_t steps_a_tick = 1 << 12;
};

}  // namespace nearfield
