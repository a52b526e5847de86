#include <algorithm>

#include "core/thread_pool.h"
#include "index/flat/flat_index.h"
#include "index/flat/flat_worker.h"

namespace nearfield {

void FlatIndex::range_rows(const MatrixView& queries, float radius, const SearchParams& params,
                           const Filter& filter, std::vector<std::vector<Neighbor>>& out,
                           const Run& run) const {
    std::vector<float> scratch;
    const MatrixView ready = space_.prepare(queries, scratch);
    std::vector<Worker> workers = make_workers(run, 1);
    std::vector<std::vector<Neighbor>> found(workers.size());
    constexpr std::size_t rows_a_piece = 16 * scan_rows;
    for (std::size_t q = 0; q < ready.rows; ++q) {
        BoundCodes::QueryBlock block;
        if (codes_) codes_->prepare(ready.slice(q, q + 1), block);
        for (Worker& worker : workers) worker.scorer->set_query(ready.row(q));
        parallel_for(
            run, rows(), rows_a_piece, [&](std::size_t begin, std::size_t end, std::size_t w) {
                Worker& worker = workers[w];
                for (std::size_t first = begin; first < end; first += scan_rows) {
                    const std::size_t n = std::min(scan_rows, end - first);
                    const auto slot = static_cast<Slot>(first);
                    if (filter.allowed && !filter.allowed->any(first, first + n)) continue;
                    std::size_t inside = 0;
                    if (codes_) {
                        float bounds[scan_rows];
                        inside = codes_->survivors(block, 0, slot, n, radius, worker.slots, bounds);
                        worker.coded += n;
                        inside = worker.admit(inside, filter);
                        worker.measure(inside);
                    } else {
                        inside = worker.measure_rows(slot, n, radius, filter);
                    }
                    for (std::size_t i = 0; i < inside; ++i)
                        if (worker.distances[i] <= radius)
                            found[w].push_back({worker.distances[i], worker.slots[i]});
                }
            });
        for (auto& part : found) {
            out[q].insert(out[q].end(), part.begin(), part.end());
            part.clear();
        }
        std::sort(out[q].begin(), out[q].end());
    }
    for (Worker& worker : workers) worker.report(params.counters);
}

}  // namespace nearfield
