// One query step by step, as walk_one() and rank() would answer it: beside walks in other graphs,
// one waits for memory while the others compute.
#include <memory>

#include "index/hnsw/hnsw_query.h"

namespace nearfield {

class HnswIndex::Stepwise final : public Steps {
  public:
    Stepwise(const HnswIndex& index, const float* vector, const SearchParams& params,
             const Filter& filter, Neighbor* out)
        : index_(index),
          vector_(vector),
          query_(index, params, filter),
          walk_(query_.walk()),
          worker_(index.workers_.borrow(index)),
          out_(out) {}
    bool scans() const { return query_.scan(); }

    bool step() override {
        const Graph& graph = index_.graph_;
        Beam& beam = worker_->beams[0];
        switch (next_) {
            case Next::gather:
                beam.gather(graph);
                next_ = Next::score;
                return true;
            case Next::rank:
                query_.rank(*worker_, beam, ready_, query_.k(), out_);
                return false;
            case Next::start:
                worker_->prepared.resize(index_.space_.dim());
                ready_ = index_.space_.prepare(vector_, worker_->prepared.data());
                beam.start(graph, ready_, walk_);
                break;
            case Next::score:
                beam.score(graph);
                break;
        }
        next_ = Next::gather;
        if (beam.choose(graph, Beam::heads_alone)) return true;
        beam.finish();
        query_.fetch(beam);
        next_ = Next::rank;
        return true;
    }

  private:
    enum class Next { start, gather, score, rank };

    const HnswIndex& index_;
    const float* const vector_;
    const float* ready_ = nullptr;  // as Space::prepare gives it
    const Query query_;
    const Walk walk_;
    Workers<Worker>::Loan worker_;
    Neighbor* const out_;
    Next next_ = Next::start;
};

std::unique_ptr<Steps> HnswIndex::begin_rows(const float* query, const SearchParams& params,
                                             const Filter& filter, Neighbor* out) const {
    auto steps = std::make_unique<Stepwise>(*this, query, params, filter, out);
    return steps->scans() ? nullptr : std::move(steps);
}

}  // namespace nearfield
