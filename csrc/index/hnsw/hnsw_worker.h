// What one thread keeps while it searches, lent out by the index.
#pragma once

#include <memory>
#include <vector>

#include "index/hnsw/hnsw_index.h"

namespace nearfield {

struct HnswIndex::Worker {
    explicit Worker(const HnswIndex& owner)
        : scorer(owner.graph_.vectors.scorer(owner.space_.metric())) {}

    Beams beams;
    Beam wide;  // for another try, while the others are under way
    std::unique_ptr<Scorer> scorer;
    std::vector<float> prepared;
    std::vector<Slot> nodes;
    std::vector<float> distances;
    std::vector<Neighbor> found;
};

/// A worker for as long as this lives.
class HnswIndex::Lease {
  public:
    explicit Lease(const HnswIndex& index) : index_(index) {
        {
            const std::lock_guard lock(index_.workers_mutex_);
            if (!index_.workers_.empty()) {
                worker_ = std::move(index_.workers_.back());
                index_.workers_.pop_back();
            }
        }
        if (!worker_) worker_ = std::make_unique<Worker>(index_);
    }
    ~Lease() {
        const std::lock_guard lock(index_.workers_mutex_);
        index_.workers_.push_back(std::move(worker_));
    }
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    Worker& operator*() { return *worker_; }
    Worker* operator->() { return worker_.get(); }

  private:
    const HnswIndex& index_;
    std::unique_ptr<Worker> worker_;
};

}  // namespace nearfield
