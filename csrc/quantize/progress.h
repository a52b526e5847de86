// The progress of a job made of many loops.
#pragma once

#include <algorithm>
#include <cstddef>

#include "core/run.h"
#include "core/thread_pool.h"

namespace nearfield {

class Progress {
  public:
    /// `total` in any unit of work; reported as a share of `steps`.
    Progress(const Run& run, double total, std::size_t steps)
        : run_(run), total_(std::max(total, 1.0)), steps_(steps) {}

    /// parallel_for that counts for `share` of the total.
    void loop(std::size_t n, std::size_t grain, double share, const Body& body) {
        Run part;
        part.threads = run_.threads;
        if (run_.tick)
            part.tick = [&](std::size_t done, std::size_t total) {
                report(done_ + share * static_cast<double>(done) / static_cast<double>(total));
            };
        parallel_for(part, n, grain, body);
        advance(done_ + share);
    }

    void advance(double done) {
        done_ = done;
        if (run_.tick) report(done);
    }

    double done() const { return done_; }
    const Run& run() const { return run_; }

  private:
    void report(double done) {
        const double share = std::min(1.0, done / total_);
        run_.tick(static_cast<std::size_t>(static_cast<double>(steps_) * share), steps_);
    }

    const Run& run_;
    double total_;
    std::size_t steps_;
    double done_ = 0;
};

}  // namespace nearfield
