// One lazy pool of std::threads for the process; re-made after fork.
#pragma once

#include <cstddef>
#include <functional>

#include "core/run.h"

namespace nearfield {

/// Threads used when a call says 0: set_num_threads, else NEARFIELD_NUM_THREADS, else the CPUs this
/// process may use (affinity and cgroup quota).
int num_threads();
/// 0 restores the default. Throws std::invalid_argument outside 0..max_threads.
void set_num_threads(int threads);
inline constexpr int max_threads = 1024;
/// `threads` as a call gave it (0 = all), as the number that will run.
int resolve_threads(int threads);

/// A piece of a loop: rows [begin, end) on worker `worker` in [0, resolve_threads(run.threads)).
using Body = std::function<void(std::size_t begin, std::size_t end, std::size_t worker)>;

/// Calls body over [0, n) in pieces of `grain` (the last may be shorter), ascending on each worker,
/// and returns when all are done. The caller works too. The first exception stops the loop and is
/// rethrown here. A loop inside a loop runs on its own thread alone.
/// Keep a piece under about 20 ms: run.tick is called between pieces.
void parallel_for(const Run& run, std::size_t n, std::size_t grain, const Body& body);

}  // namespace nearfield
