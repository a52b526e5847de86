#include "core/thread_pool.h"

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "check.h"

namespace nearfield {
namespace {

using check::check;
using check::check_below;
using check::check_equal;
using check::Test;
using check::thrown;

void wait(int milliseconds) {
    std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
}

/// Sum of 0..n-1 over a loop of so many threads.
std::size_t sum(std::size_t n, int threads) {
    std::atomic<std::size_t> total{0};
    parallel_for({threads, {}}, n, 7, [&](std::size_t begin, std::size_t end, std::size_t) {
        for (std::size_t i = begin; i < end; ++i) total += i;
    });
    return total;
}

const Test covers("a loop visits every row once, on workers within its number of threads", [] {
    for (const int threads : {1, 2, 5, 64}) {
        for (const std::size_t n : {0, 1, 6, 7, 8, 1000}) {
            std::vector<std::atomic<int>> visits(n);
            std::atomic<bool> within{true};
            parallel_for({threads, {}}, n, 7,
                         [&](std::size_t begin, std::size_t end, std::size_t worker) {
                             if (worker >= static_cast<std::size_t>(threads)) within = false;
                             if (begin % 7 != 0 || end - begin > 7) within = false;
                             for (std::size_t i = begin; i < end; ++i) ++visits[i];
                         });
            check(within);
            for (const auto& count : visits) check_equal(count.load(), 1);
        }
    }
});

const Test parallel("two workers run at the same time", [] {
    std::atomic<int> arrived{0};
    parallel_for({2, {}}, 2, 1, [&](std::size_t, std::size_t, std::size_t) {
        ++arrived;
        for (int i = 0; i < 5000 && arrived < 2; ++i) wait(1);
        if (arrived < 2) throw std::runtime_error("alone");
    });
});

const Test rethrows("an exception stops the loop, reaches the caller and leaves the pool usable",
                    [] {
                        for (const int threads : {1, 2, 8}) {
                            std::atomic<std::size_t> visited{0};
                            const std::string message = thrown<std::runtime_error>([&] {
                                parallel_for({threads, {}}, 1'000'000, 1,
                                             [&](std::size_t begin, std::size_t, std::size_t) {
                                                 ++visited;
                                                 if (begin == 10)
                                                     throw std::runtime_error("row 10");
                                             });
                            });
                            check_equal(message, "row 10");
                            check_below(visited.load(), std::size_t{1'000'000});
                            check_equal(sum(1000, threads), 499'500U);
                        }
                    });

const Test nests("a loop inside a loop runs on its own thread alone", [] {
    std::atomic<std::size_t> total{0};
    std::atomic<bool> alone{true};
    parallel_for({4, {}}, 8, 1, [&](std::size_t, std::size_t, std::size_t) {
        const auto outer = std::this_thread::get_id();
        parallel_for({4, {}}, 100, 3, [&](std::size_t begin, std::size_t end, std::size_t worker) {
            if (worker != 0 || std::this_thread::get_id() != outer) alone = false;
            total += end - begin;
        });
    });
    check(alone);
    check_equal(total.load(), 800U);
});

const Test callers("several threads may each run a loop", [] {
    std::vector<std::thread> threads;
    std::atomic<int> right{0};
    for (int c = 0; c < 4; ++c)
        threads.emplace_back([&] {
            for (int i = 0; i < 50; ++i) right += sum(200, 3) == 19'900;
        });
    for (auto& thread : threads) thread.join();
    check_equal(right.load(), 200);
});

const Test ticks("tick runs on the calling thread, sees the work grow and may stop it", [] {
    const auto caller = std::this_thread::get_id();
    for (const int threads : {1, 2}) {
        std::vector<std::size_t> seen;
        std::atomic<std::size_t> visited{0};
        bool same_thread = true;
        Run run{threads, [&](std::size_t done, std::size_t total) {
                    same_thread &= std::this_thread::get_id() == caller && total == 10'000;
                    seen.push_back(done);
                    if (seen.size() == 3) throw std::runtime_error("stopped");
                }};
        check_equal(thrown<std::runtime_error>([&] {
                        parallel_for(run, 10'000, 1, [&](std::size_t, std::size_t, std::size_t) {
                            wait(2);
                            ++visited;
                        });
                    }),
                    "stopped");
        check(same_thread);
        check(seen[0] <= seen[1] && seen[1] <= seen[2]);
        check_below(visited.load(), std::size_t{5000});
    }
});

const Test waits("a caller that is out of pieces still ticks while others work", [] {
    int ticked = 0;
    Run run{2, [&](std::size_t, std::size_t) { ++ticked; }};
    const auto caller = std::this_thread::get_id();
    std::atomic<int> started{0};
    parallel_for(run, 2, 1, [&](std::size_t, std::size_t, std::size_t) {
        ++started;
        while (started < 2) wait(1);
        if (std::this_thread::get_id() != caller) wait(150);
    });
    check(ticked >= 2);
});

// The sanitizer's own threads do not survive a fork.
#ifndef __SANITIZE_THREAD__
const Test forks("a forked child makes a pool of its own", [] {
    check_equal(sum(1000, 4), 499'500U);
    const pid_t child = fork();
    if (child == 0) _exit(sum(1000, 4) == 499'500 ? 0 : 1);
    int status = 0;
    check_equal(waitpid(child, &status, 0), child);
    check(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    check_equal(sum(1000, 4), 499'500U);
});
#endif

const Test numbers("numbers of threads out of range are refused by name and value", [] {
    check_equal(thrown<std::invalid_argument>([] { set_num_threads(-1); }),
                "threads must be in 0..1024, got -1");
    check_equal(thrown<std::invalid_argument>([] { resolve_threads(1025); }),
                "threads must be in 0..1024, got 1025");
    set_num_threads(3);
    check_equal(resolve_threads(0), 3);
    check_equal(resolve_threads(2), 2);
    set_num_threads(0);
    check(num_threads() >= 1);
});

}  // namespace
}  // namespace nearfield
