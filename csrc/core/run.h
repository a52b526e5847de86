// How a long call runs: on how many threads, and whom it asks whether to go on.
#pragma once

#include <cstddef>
#include <functional>

namespace nearfield {

struct Run {
    /// 0 means every thread of the pool.
    int threads = 0;
    /// Called on the calling thread only, at most every 20 ms, with the share of work done; it may
    /// throw, which stops the work and reaches the caller.
    std::function<void(std::size_t done, std::size_t total)> tick;
};

}  // namespace nearfield
