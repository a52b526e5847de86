#include <algorithm>
#include <cmath>

#include "core/thread_pool.h"
#include "index/ivf/ivf_search.h"

namespace nearfield {
namespace {

// A vector inside is let through unless its estimate is off by more than so many deviations.
constexpr float deviations = 4;

}  // namespace

/// Lists are opened nearest first, twice as many at a time, until a round finds nothing, even of
/// what the filter keeps out: all that it lets in may lie beyond. What the estimates let through is
/// measured.
void IvfIndex::range_rows(const MatrixView& queries, float radius, const SearchParams& params,
                          const Filter& filter, std::vector<std::vector<Neighbor>>& out,
                          const Run& run) const {
    require_trained("range_search()");
    const Filter nothing{nullptr, ids_map().size()};
    const Search allowed(*this, params, filter), search(*this, params, nothing);
    const std::size_t nlist = finder_->size();
    const float miss = codes_.missed();
    parallel_for(run, queries.rows, 1, [&](std::size_t q, std::size_t, std::size_t) {
        auto worker = workers_.borrow(*this);
        const MatrixView ready = space_.prepare(queries.slice(q, q + 1), worker->prepared);
        search.reserve(*worker, 1);
        worker->found.clear();
        codes_.prepare(ready, *finder_, worker->queries);
        NearestPool every(nlist);
        finder_->rank(worker->queries.ints.as<std::int8_t>(), worker->queries.int_terms.data(), 1,
                      &every, worker->ranking);
        const float limit = codes_.estimate(worker->queries, 0, radius);
        const float norm2 = worker->queries.int_terms[0].norm2;
        std::size_t opened = 0, batch = allowed.nprobe();
        for (bool more = true; more && opened < nlist; batch *= 2) {
            const std::size_t end = std::min(nlist, opened + batch);
            for (; opened < end; ++opened) {
                const float away = codes_.norms() ? std::max(every[opened].distance, 0.0f) : norm2;
                const float off = 2 * miss * std::sqrt(away / static_cast<float>(space_.dim()));
                const float most = limit + (params_.rerank ? deviations * off : 0.0f);
                const float base = every[opened].distance;
                const Worker::Visit visit{
                    0, base, codes_.pull(worker->queries, 0, every[opened].slot, base)};
                const auto threshold = [&](std::uint32_t) { return most; };
                // A vector is met in its first list alone.
                const auto sink = [&](std::uint32_t, float estimate, Slot slot) {
                    if (of_[1].size() == 0 || of_[0][slot] == every[opened].slot)
                        worker->found.push_back({estimate, slot});
                };
                search.scan(*worker, every[opened].slot, &visit, 1, 0, threshold, sink);
                search.settle(*worker, threshold, sink);
            }
            const std::size_t before = out[q].size();
            search.keep_within(*worker, ready.row(0), radius, out[q]);
            more = out[q].size() > before;
            out[q].erase(
                std::remove_if(out[q].begin() + static_cast<std::ptrdiff_t>(before), out[q].end(),
                               [&](const Neighbor& found) { return !allowed.allows(found.slot); }),
                out[q].end());
        }
        std::sort(out[q].begin(), out[q].end());
        search.report(*worker);
    });
}

}  // namespace nearfield
