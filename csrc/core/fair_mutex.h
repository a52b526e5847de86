// The lock of an index: many readers or one writer, and neither waits for ever.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <shared_mutex>
#include <stdexcept>

namespace nearfield {

/// std::shared_mutex alone may let readers in for as long as one is inside (glibc does): searches
/// that overlap would keep a change waiting without end. Here readers that come after a waiting
/// writer wait for it. So a thread must not lock it again while it holds it: FairLock sees to that.
class FairMutex {
  public:
    void lock() {
        waiting_.fetch_add(1, std::memory_order_relaxed);
        {
            const std::lock_guard turn(gate_);
            mutex_.lock();
        }
        waiting_.fetch_sub(1, std::memory_order_relaxed);
    }
    void unlock() { mutex_.unlock(); }

    void lock_shared() {
        if (waiting_.load(std::memory_order_relaxed) > 0) const std::lock_guard turn(gate_);
        mutex_.lock_shared();
    }
    bool try_lock_shared() {
        return waiting_.load(std::memory_order_relaxed) == 0 && mutex_.try_lock_shared();
    }
    void unlock_shared() { mutex_.unlock_shared(); }

  private:
    std::shared_mutex mutex_;
    std::mutex gate_;              // held by the writer whose turn is next
    std::atomic<int> waiting_{0};  // writers; readers that see none need not stop at the gate
};

/// Holds a FairMutex for a scope. What a long call calls, a progress callback or a signal handler,
/// may come back to the index on the same thread: a read inside a read passes, and so does a `look`
/// (at what is whole at any time) inside a change; anything else throws std::runtime_error where it
/// would wait for itself.
class [[nodiscard]] FairLock {
  public:
    enum class For : std::uint8_t { change, read, read_at_once, look };

    FairLock(FairMutex& mutex, For purpose) : mutex_(mutex), before_(newest_) {
        const FairLock* own = newest_;
        while (own && (&own->mutex_ != &mutex || own->held_ == Held::nothing)) own = own->before_;
        if (own) {
            const bool changing = own->held_ == Held::alone;
            passes_ = purpose == For::look || (purpose != For::change && !changing);
            if (!passes_ && purpose != For::read_at_once)
                throw std::runtime_error(
                    changing ? "an index must not be used, but for len(), `in` and ids, from inside"
                               " a call that changes it (a progress callback, a signal handler)"
                             : "an index must not be changed from inside a call that reads it"
                               " (a progress callback, a signal handler)");
        } else if (purpose == For::change) {
            mutex.lock();
            held_ = Held::alone;
        } else if (purpose != For::read_at_once) {
            mutex.lock_shared();
            held_ = Held::shared;
        } else if (mutex.try_lock_shared()) {
            held_ = Held::shared;
        }
        newest_ = this;
    }
    ~FairLock() {
        newest_ = before_;
        if (held_ == Held::alone) mutex_.unlock();
        if (held_ == Held::shared) mutex_.unlock_shared();
    }
    FairLock(const FairLock&) = delete;
    FairLock& operator=(const FairLock&) = delete;

    /// False only for read_at_once.
    explicit operator bool() const { return passes_ || held_ != Held::nothing; }

  private:
    enum class Held : std::uint8_t { nothing, shared, alone };
    static inline constinit thread_local FairLock* newest_ = nullptr;

    FairMutex& mutex_;
    FairLock* const before_;  // of this thread; locks end in the opposite order
    Held held_ = Held::nothing;
    bool passes_ = false;  // on the strength of one further out
};

}  // namespace nearfield
