// Scratch memory that threads borrow: made when none is free, kept for the next.
#pragma once

#include <memory>
#include <mutex>
#include <new>
#include <utility>
#include <vector>

namespace nearfield {

/// Workers not in use. Any thread may borrow at any time; `clear` only while none is lent.
template <typename Worker>
class Workers {
  public:
    /// A worker for as long as this lives.
    class Loan {
      public:
        Loan(Workers& owner, std::unique_ptr<Worker> worker)
            : owner_(owner), worker_(std::move(worker)) {}
        ~Loan() {
            const std::lock_guard lock(owner_.mutex_);
            try {
                owner_.free_.push_back(std::move(worker_));
            } catch (const std::bad_alloc&) {
                // It ends here: there is no memory to keep it by.
            }
        }
        Loan(const Loan&) = delete;
        Loan& operator=(const Loan&) = delete;
        Worker& operator*() { return *worker_; }
        Worker* operator->() { return worker_.get(); }

      private:
        Workers& owner_;
        std::unique_ptr<Worker> worker_;
    };

    /// A free worker, or a new one made of `arguments`.
    template <typename... Arguments>
    Loan borrow(const Arguments&... arguments) {
        std::unique_ptr<Worker> worker;
        {
            const std::lock_guard lock(mutex_);
            if (!free_.empty()) {
                worker = std::move(free_.back());
                free_.pop_back();
            }
        }
        if (!worker) worker = std::make_unique<Worker>(arguments...);
        return {*this, std::move(worker)};
    }

    void clear() { free_.clear(); }

  private:
    std::mutex mutex_;
    std::vector<std::unique_ptr<Worker>> free_;
};

}  // namespace nearfield
