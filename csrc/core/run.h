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
};

}  // namespace nearfield
