// The lock of an index: many readers or one writer, and neither waits for ever.
#pragma once

#include <atomic>
#include <mutex>
#include <shared_mutex>

namespace nearfield {

/// For std::shared_lock and std::unique_lock. std::shared_mutex alone may let readers in for as
/// long as one is inside (glibc does): searches that overlap would keep a change waiting without
/// end. Here readers that come after a waiting writer wait for it. So a thread must not lock it
/// again while it holds it, shared or not.
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

}  // namespace nearfield
