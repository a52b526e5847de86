#include <algorithm>
#include <cmath>

#include "core/thread_pool.h"
#include "index/flat/flat_index.h"
#include "index/flat/flat_worker.h"

namespace nearfield {
namespace {

constexpr std::size_t rows_a_piece = 16 * scan_rows;
// Fewer queries than this are answered one by one, each by all threads.
constexpr std::size_t batch_from = 8;
// Queries that share a scan: their dot products with scan_rows rows stay in the second-level cache.
constexpr std::size_t block_queries = 256;
// One batch keeps the best k of so many queries at a time.
constexpr std::size_t queries_at_once = 8192;
// A filter that lets in fewer rows than this share is walked row by row, not scanned.
constexpr std::size_t sparse_share = 32;
// Rows measured before a scan that no limit is known for: of the nearest each is the first of its
// piece by its signs, or nearly.
constexpr std::size_t least_looked_at = 64, least_piece = 32;
// Of more rows the first say enough.
constexpr std::size_t most_looked_at = std::size_t{1} << 16;
// Where bounds fail to reject (say k near n), they are not worth reading.
constexpr std::uint64_t trial_rows = 4096;
constexpr std::uint64_t useful_share = 4;

void write(TopK& top, std::size_t k, Neighbor* out) {
    const auto& found = top.finish();
    std::copy(found.begin(), found.end(), out);
    std::fill(out + found.size(), out + k, Neighbor{});
}

}  // namespace

std::size_t FlatIndex::Worker::admit(std::size_t n, const Filter& filter) {
    if (!filter.allowed) return n;
    std::size_t kept = 0;
    for (std::size_t i = 0; i < n; ++i)
        if (filter.allowed->test(slots[i])) slots[kept++] = slots[i];
    return kept;
}

void FlatIndex::Worker::measure(std::size_t n) {
    scorer->score(slots, n, distances);
    exact += n;
}

std::size_t FlatIndex::Worker::measure_rows(Slot first, std::size_t n, float threshold,
                                            const Filter& filter) {
    scorer->score_rows(first, n, distances);
    exact += n;
    // Equal distances may matter (ties, radius), so the comparison is with the next float up.
    const float limit = std::nextafter(threshold, infinity);
    const std::size_t found =
        threshold == infinity ? n : kernels::kernels().select_below(distances, n, limit, slots);
    std::size_t kept = 0;
    for (std::size_t i = 0; i < found; ++i) {
        const std::size_t row = threshold == infinity ? i : slots[i];
        const Slot slot = first + static_cast<Slot>(row);
        if (filter.allowed && !filter.allowed->test(slot)) continue;
        distances[kept] = distances[row];
        slots[kept++] = slot;
    }
    return kept;
}

bool FlatIndex::Worker::glance(const BoundCodes::QueryBlock& block, Slot first, std::size_t n,
                               const Filter& filter) {
    const std::size_t left =
        index.codes_->glance(block, first, n, best.threshold(), slots + waiting);
    if (left == BoundCodes::too_many) return false;
    coded += n;
    waiting += left;
    if (waiting >= most_waiting) settle(block, filter);
    return true;
}

void FlatIndex::Worker::settle(const BoundCodes::QueryBlock& block, const Filter& filter) {
    if (waiting == 0) return;
    float bounds[scan_rows];
    std::size_t found = index.codes_->recheck(block, best.threshold(), waiting, slots, bounds);
    waiting = 0;
    found = admit(found, filter);
    measure(found);
    offer(found, best);
    best.tighten();
}

void FlatIndex::Worker::report(Counters* counters) {
    if (counters) {
        const std::uint64_t code_bytes = index.codes_ ? index.codes_->code_bytes() : 0;
        counters->add(coded + exact, exact, 0, coded * code_bytes + exact * index.store_.stride());
    }
    coded = exact = 0;
}

std::vector<FlatIndex::Worker> FlatIndex::make_workers(const Run& run, std::size_t k) const {
    std::vector<Worker> workers;
    const auto n = static_cast<std::size_t>(resolve_threads(run.threads));
    workers.reserve(n);
    for (std::size_t i = 0; i < n; ++i) workers.emplace_back(*this, k);
    return workers;
}

void FlatIndex::search_rows(const MatrixView& queries, const SearchParams& params,
                            const Filter& filter, Neighbor* out, const Run& run) const {
    std::vector<float> scratch;
    const MatrixView ready = space_.prepare(queries, scratch);
    if (filter.allowed && filter.count * sparse_share <= rows()) {
        search_listed(ready, params, filter, out, run);
    } else if (queries.rows < batch_from) {
        for (std::size_t i = 0; i < queries.rows; ++i)
            search_one(ready.row(i), params, filter, out + i * params.k, run);
    } else {
        for (std::size_t i = 0; i < queries.rows; i += queries_at_once)
            search_batch(ready.slice(i, std::min(queries.rows, i + queries_at_once)), params,
                         filter, out + i * params.k, run);
    }
}

void FlatIndex::search_one(const float* query, const SearchParams& params, const Filter& filter,
                           Neighbor* out, const Run& run) const {
    BoundCodes::QueryBlock block;
    if (codes_) codes_->prepare_one(query, block);
    std::vector<Worker> workers = make_workers(run, params.k);
    for (Worker& worker : workers) {
        worker.scorer->set_query(query);
        worker.best.clear(params.limit);
    }
    if (block.signs && params.limit == infinity) {
        const float limit = reach(block, params.k, filter, workers[0]);
        for (Worker& worker : workers) worker.best.clear(limit);
    }

    parallel_for(run, rows(), rows_a_piece, [&](std::size_t begin, std::size_t end, std::size_t w) {
        Worker& worker = workers[w];
        TopK& best = worker.best;
        for (std::size_t first = begin; first < end; first += scan_rows) {
            const std::size_t n = std::min(scan_rows, end - first);
            const auto slot = static_cast<Slot>(first);
            if (filter.allowed && !filter.allowed->any(first, first + n)) continue;
            const bool useful =
                worker.coded < trial_rows || worker.exact * useful_share < worker.coded;
            std::size_t found = 0;
            if (codes_ && useful) {
                const bool by_signs = block.signs && best.threshold() < infinity;
                if (by_signs && worker.glance(block, slot, n, filter)) continue;
                worker.settle(block, filter);
                float bounds[scan_rows];
                found =
                    codes_->scan_codes(block, 0, slot, n, best.threshold(), worker.slots, bounds);
                worker.coded += n;
                found = worker.admit(found, filter);
                worker.measure(found);
            } else {
                worker.settle(block, filter);
                found = worker.measure_rows(slot, n, best.threshold(), filter);
            }
            worker.offer(found, best);
            if (found) best.tighten();
        }
        worker.settle(block, filter);
    });
    TopK& best = workers[0].best;
    for (Worker& worker : workers) {
        if (&worker != &workers[0]) best.merge(worker.best);
        worker.report(params.counters);
    }
    write(best, params.k, out);
}

float FlatIndex::reach(BoundCodes::QueryBlock& block, std::size_t k, const Filter& filter,
                       Worker& worker) const {
    const std::size_t wanted = std::max(least_looked_at, 4 * k), piece = rows() / wanted;
    if (piece < least_piece || rows() > most_looked_at) return infinity;
    codes_->look(rows(), block);
    TopK best(k);
    std::size_t n = 0, measured = 0;
    const auto measure = [&] {
        worker.measure(n);
        worker.offer(n, best);
        measured += n;
        n = 0;
    };
    const auto begin = block.looks.begin();
    for (std::size_t first = 0; first + piece <= block.looks.size(); first += piece) {
        const auto from = begin + static_cast<std::ptrdiff_t>(first);
        const auto nearest = std::min_element(from, from + static_cast<std::ptrdiff_t>(piece));
        const auto slot = static_cast<Slot>(nearest - begin);
        if (filter.allowed && !filter.allowed->test(slot)) continue;
        worker.slots[n++] = slot;
        if (n == scan_rows) measure();
    }
    measure();
    return measured < k ? infinity : best.finish().back().distance;
}

void FlatIndex::search_listed(const MatrixView& queries, const SearchParams& params,
                              const Filter& filter, Neighbor* out, const Run& run) const {
    std::vector<Slot> listed;
    listed.reserve(filter.count);
    filter.allowed->for_each([&](std::size_t slot) { listed.push_back(static_cast<Slot>(slot)); });
    std::vector<Worker> workers = make_workers(run, params.k);
    parallel_for(run, queries.rows, 1, [&](std::size_t begin, std::size_t, std::size_t w) {
        Worker& worker = workers[w];
        worker.scorer->set_query(queries.row(begin));
        worker.best.clear();
        for (std::size_t first = 0; first < listed.size(); first += scan_rows) {
            const std::size_t n = std::min(scan_rows, listed.size() - first);
            std::copy_n(listed.data() + first, n, worker.slots);
            worker.measure(n);
            worker.offer(n, worker.best);
        }
        write(worker.best, params.k, out + begin * params.k);
    });
    for (Worker& worker : workers) worker.report(params.counters);
}

void FlatIndex::search_batch(const MatrixView& queries, const SearchParams& params,
                             const Filter& filter, Neighbor* out, const Run& run) const {
    const auto threads = static_cast<std::size_t>(resolve_threads(run.threads));
    const std::size_t rounds =
        (queries.rows + threads * block_queries - 1) / (threads * block_queries);
    const std::size_t block_size = (queries.rows + threads * rounds - 1) / (threads * rounds);
    const std::size_t n_blocks = (queries.rows + block_size - 1) / block_size;
    const auto block_view = [&](std::size_t b) {
        return queries.slice(b * block_size, std::min(queries.rows, (b + 1) * block_size));
    };

    std::vector<BoundCodes::QueryBlock> blocks(codes_ ? n_blocks : 0);
    std::vector<TopK> best(queries.rows, TopK(params.k));
    std::vector<Worker> workers = make_workers(run, 1);
    // A piece is one block against some rows: small enough to hear an interrupt, large enough to
    // forget the barrier.
    const std::size_t work = codes_ ? std::size_t{1} << 28 : std::size_t{1} << 26;
    const std::size_t chunk = std::max<std::size_t>(
        scan_rows, work / (block_size * space_.dim()) / scan_rows * scan_rows);
    for (std::size_t begin = 0; begin < rows(); begin += chunk) {
        const std::size_t end = std::min(rows(), begin + chunk);
        parallel_for(run, n_blocks, 1, [&](std::size_t b, std::size_t, std::size_t w) {
            Worker& worker = workers[w];
            const MatrixView view = block_view(b);
            if (codes_ && begin == 0) codes_->prepare(view, blocks[b]);
            for (std::size_t first = begin; first < end; first += scan_rows) {
                const std::size_t n = std::min(scan_rows, end - first);
                const auto slot = static_cast<Slot>(first);
                if (filter.allowed && !filter.allowed->any(first, first + n)) continue;
                if (codes_) codes_->scan(blocks[b], slot, n, worker.scratch);
                for (std::size_t i = 0; i < view.rows; ++i) {
                    TopK& top = best[b * block_size + i];
                    std::size_t found = 0;
                    if (codes_) {
                        float bounds[scan_rows];
                        found = codes_->select(blocks[b], worker.scratch, i, slot, n,
                                               top.threshold(), worker.slots, bounds);
                        worker.coded += n;
                        found = worker.admit(found, filter);
                        if (found == 0) continue;
                        worker.scorer->set_query(view.row(i));
                        worker.measure(found);
                    } else {
                        worker.scorer->set_query(view.row(i));
                        found = worker.measure_rows(slot, n, top.threshold(), filter);
                    }
                    worker.offer(found, top);
                    if (found) top.tighten();
                }
            }
        });
    }
    for (Worker& worker : workers) worker.report(params.counters);
    parallel_for(run, queries.rows, 256, [&](std::size_t from, std::size_t to, std::size_t) {
        for (std::size_t i = from; i < to; ++i) write(best[i], params.k, out + i * params.k);
    });
}

}  // namespace nearfield
