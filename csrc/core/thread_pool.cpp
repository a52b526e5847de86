#include "core/thread_pool.h"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <exception>
#include <fstream>
#include <memory>
#include <mutex>
#include <new>
#include <string>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "core/error.h"

namespace nearfield {
namespace {

// A caller that waits for others still hears an interrupt.
constexpr auto tick_period = std::chrono::milliseconds(20);

thread_local bool inside_loop = false;

/// One parallel_for: pieces are handed out by a counter.
struct Loop {
    const Body* body;
    std::size_t n, grain;
    std::size_t max_workers;
    std::atomic<std::size_t> next{0};
    std::atomic<std::size_t> done{0};
    std::atomic<bool> stop{false};
    std::mutex mutex;
    std::condition_variable finished;
    std::size_t joined = 1;   // workers that ever entered, the caller included
    std::size_t working = 1;  // workers inside now
    std::exception_ptr error;

    bool wants_workers() const { return joined < max_workers && next.load() < n && !stop.load(); }

    void fail() {
        const std::lock_guard lock(mutex);
        if (!error) error = std::current_exception();
        stop = true;
    }

    template <class Between>
    void work(std::size_t worker, Between&& between) {
        inside_loop = true;
        try {
            while (!stop.load(std::memory_order_relaxed)) {
                const std::size_t begin = next.fetch_add(grain);
                if (begin >= n) break;
                const std::size_t end = std::min(n, begin + grain);
                (*body)(begin, end, worker);
                done += end - begin;
                between();
            }
        } catch (...) {
            fail();
        }
        inside_loop = false;
    }
};

class Pool {
  public:
    /// Joins the loop to the queue and makes sure that enough threads live.
    void submit(const std::shared_ptr<Loop>& loop) {
        {
            const std::lock_guard lock(mutex_);
            const std::size_t wanted = std::min<std::size_t>(loop->max_workers - 1, max_threads);
            while (threads_ < wanted) {
                try {
                    std::thread([this] { serve(); }).detach();
                } catch (const std::system_error&) {
                    break;  // the system has no more: fewer do the work
                }
                ++threads_;
            }
            queue_.push_back(loop);
        }
        if (loop->max_workers == 2)
            wake_.notify_one();
        else
            wake_.notify_all();
    }

    void retire(const std::shared_ptr<Loop>& loop) {
        const std::lock_guard lock(mutex_);
        std::erase(queue_, loop);
    }

  private:
    std::shared_ptr<Loop> take(std::size_t& worker) {
        for (const auto& loop : queue_) {
            const std::lock_guard lock(loop->mutex);
            if (!loop->wants_workers()) continue;
            worker = loop->joined++;
            ++loop->working;
            return loop;
        }
        return nullptr;
    }

    void serve() {
        for (;;) {
            std::shared_ptr<Loop> loop;
            std::size_t worker = 0;
            {
                std::unique_lock lock(mutex_);
                wake_.wait(lock, [&] { return (loop = take(worker)) != nullptr; });
            }
            loop->work(worker, [] {});
            const std::lock_guard lock(loop->mutex);
            if (--loop->working == 0) loop->finished.notify_all();
        }
    }

    std::mutex mutex_;
    std::condition_variable wake_;
    std::deque<std::shared_ptr<Loop>> queue_;
    std::size_t threads_ = 0;
};

// The pool is never destroyed: its threads sleep until the process ends. A forked child has none of
// them, so it forgets the parent's pool (a small leak) and makes its own when first needed.
std::mutex& pool_mutex() {
    static std::mutex mutex;
    return mutex;
}
Pool* pool_instance = nullptr;

Pool& pool() {
    const std::lock_guard lock(pool_mutex());
    if (!pool_instance) {
        static const int registered =
            pthread_atfork([] { pool_mutex().lock(); }, [] { pool_mutex().unlock(); },
                           [] {
                               new (&pool_mutex()) std::mutex;
                               pool_instance = nullptr;
                               inside_loop = false;
                           });
        (void)registered;
        pool_instance = new Pool;
    }
    return *pool_instance;
}

int cpus_allowed() {
    int cpus = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
#ifdef __linux__
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) cpus = std::max(1, CPU_COUNT(&set));
    std::ifstream quota_file("/sys/fs/cgroup/cpu.max");  // "max 100000" or "200000 100000"
    std::string quota;
    double period = 0;
    if (quota_file >> quota >> period && quota != "max" && period > 0) {
        const int by_quota = static_cast<int>(std::atof(quota.c_str()) / period + 0.999);
        cpus = std::clamp(by_quota, 1, cpus);
    }
#endif
    return cpus;
}

int default_threads() {
    if (const char* text_value = std::getenv("NEARFIELD_NUM_THREADS"); text_value && *text_value) {
        char* end = nullptr;
        const long value = std::strtol(text_value, &end, 10);
        require(*end == '\0' && value >= 1 && value <= max_threads,
                "NEARFIELD_NUM_THREADS must be an integer in 1..", max_threads, ", got '",
                text_value, "'");
        return static_cast<int>(value);
    }
    return std::min(cpus_allowed(), max_threads);
}

std::atomic<int> chosen_threads{0};

}  // namespace

int num_threads() {
    if (const int chosen = chosen_threads.load()) return chosen;
    static const int fallback = default_threads();
    return fallback;
}

void set_num_threads(int threads) {
    require(threads >= 0 && threads <= max_threads, "threads must be in 0..", max_threads, ", got ",
            threads);
    chosen_threads = threads;
}

int resolve_threads(int threads) {
    require(threads >= 0 && threads <= max_threads, "threads must be in 0..", max_threads, ", got ",
            threads);
    return threads == 0 ? num_threads() : threads;
}

void parallel_for(const Run& run, std::size_t n, std::size_t grain, const Body& body) {
    if (n == 0) return;
    grain = std::max<std::size_t>(1, grain);
    const std::size_t pieces = (n + grain - 1) / grain;
    const std::size_t threads =
        inside_loop
            ? 1
            : std::min<std::size_t>(pieces, static_cast<std::size_t>(resolve_threads(run.threads)));

    const auto tick = [&](std::size_t done) {
        if (run.tick && !inside_loop) run.tick(done, n);
    };

    if (threads == 1) {
        for (std::size_t begin = 0; begin < n; begin += grain) {
            const std::size_t end = std::min(n, begin + grain);
            body(begin, end, 0);
            tick(end);
        }
        return;
    }

    const auto loop = std::make_shared<Loop>();
    loop->body = &body;
    loop->n = n;
    loop->grain = grain;
    loop->max_workers = threads;
    Pool& shared = pool();
    shared.submit(loop);
    loop->work(0, [&] {
        inside_loop = false;
        tick(loop->done);
        inside_loop = true;
    });
    shared.retire(loop);
    {
        std::unique_lock lock(loop->mutex);
        --loop->working;
        while (loop->working > 0) {
            loop->finished.wait_for(lock, tick_period);
            if (loop->working == 0 || loop->stop) continue;
            lock.unlock();
            try {
                tick(loop->done);
            } catch (...) {
                loop->fail();
            }
            lock.lock();
        }
    }
    // Taken out of the loop, which a worker may still hold: an exception of Python's must not be
    // destroyed on a thread that Python does not know.
    if (const std::exception_ptr error = std::exchange(loop->error, nullptr))
        std::rethrow_exception(error);
}

}  // namespace nearfield
