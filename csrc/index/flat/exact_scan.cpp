#include "index/flat/exact_scan.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "core/error.h"
#include "core/thread_pool.h"

namespace nearfield {
namespace {

constexpr std::size_t scan_rows = BoundCodes::max_scan;
static_assert(scan_rows == FloatBounds::max_scan);
// Queries that share a scan: their products with scan_rows rows stay in the second-level cache.
constexpr std::size_t block_queries = 256;
constexpr std::size_t rows_a_piece = 1024;
// A piece of work is small enough to hear an interrupt.
constexpr std::size_t work_a_piece = std::size_t{1} << 29;
// Encoding a row costs as much as its float products with some hundred queries.
constexpr std::size_t encode_from_queries = 512;
constexpr std::size_t encode_from_dim = 48;

struct Candidates {
    Slot slots[scan_rows];
    float distances[scan_rows];
};

std::size_t pick(const BoundCodes& codes, const BoundCodes::QueryBlock& block,
                 const BoundCodes::Scratch& scratch, std::size_t i, Slot first, std::size_t n,
                 float threshold, Candidates& out) {
    return codes.select(block, scratch, i, first, n, threshold, out.slots, out.distances);
}

std::size_t pick(const FloatBounds& products, const FloatBounds::QueryBlock& block,
                 const FloatBounds::Scratch& scratch, std::size_t i, Slot first, std::size_t n,
                 float threshold, Candidates& out) {
    return products.select(block, scratch, i, first, n, threshold, out.slots);
}

}  // namespace

ExactScan::ExactScan(Space space, const MatrixView& queries, std::size_t k, const Run& run)
    : space_(std::move(space)),
      k_(k),
      chunk_(space_.dim(), kernels::Scalar::f32),
      codes_(space_.dim(), space_.metric()),
      products_(space_.dim(), space_.metric()) {
    require(k >= 1, "k must be at least 1, got ", k);
    space_.check("queries", queries, run);
    const MatrixView ready = space_.prepare(queries, queries_);
    if (ready.data != queries_.data())
        queries_.assign(ready.data, ready.data + ready.rows * ready.dim);
    best_.assign(queries.rows, TopK(k));
}

void ExactScan::store(const MatrixView& rows, const Run& run) {
    chunk_rows_ = rows.rows;
    if (chunk_.size() < rows.rows) chunk_.resize(rows.rows);
    parallel_for(
        run, rows.rows, rows_a_piece, [&](std::size_t begin, std::size_t end, std::size_t) {
            std::vector<float> scratch(space_.dim());
            for (std::size_t i = begin; i < end; ++i)
                chunk_.put(static_cast<Slot>(i), space_.prepare(rows.row(i), scratch.data()));
        });
}

void ExactScan::encode(const Run& run) {
    if (codes_.size() < chunk_rows_) codes_.resize(chunk_rows_);
    std::vector<float> norms((chunk_rows_ + rows_a_piece - 1) / rows_a_piece, 0.0f);
    parallel_for(run, chunk_rows_, rows_a_piece,
                 [&](std::size_t begin, std::size_t end, std::size_t) {
                     float& norm = norms[begin / rows_a_piece];
                     for (std::size_t i = begin; i < end; ++i) {
                         const auto slot = static_cast<Slot>(i);
                         const auto* row = reinterpret_cast<const float*>(chunk_.row(slot));
                         norm = std::max(norm, codes_.encode(slot, row));
                     }
                 });
    for (const float norm : norms) codes_.cover(norm);
}

template <class Bounds>
void ExactScan::scan(const Bounds& bounds, const Run& run) {
    const std::size_t nq = queries();
    const auto threads = static_cast<std::size_t>(resolve_threads(run.threads));
    const std::size_t rounds = (nq + threads * block_queries - 1) / (threads * block_queries);
    const std::size_t block_size = (nq + threads * rounds - 1) / (threads * rounds);
    const std::size_t n_blocks = (nq + block_size - 1) / block_size;
    std::vector<typename Bounds::QueryBlock> blocks(n_blocks);
    std::vector<typename Bounds::Scratch> scratch(threads);
    std::vector<std::unique_ptr<Scorer>> scorers(threads);
    for (auto& scorer : scorers) scorer = chunk_.scorer(space_.metric());
    const auto base = static_cast<Slot>(rows_);

    const std::size_t piece =
        std::max<std::size_t>(1, work_a_piece / (block_size * space_.dim()) / scan_rows) *
        scan_rows;
    for (std::size_t begin = 0; begin < chunk_rows_; begin += piece) {
        const std::size_t end = std::min(chunk_rows_, begin + piece);
        parallel_for(run, n_blocks, 1, [&](std::size_t b, std::size_t, std::size_t w) {
            const MatrixView block =
                view().slice(b * block_size, std::min(nq, (b + 1) * block_size));
            if (begin == 0) bounds.prepare(block, blocks[b]);
            Candidates near;
            for (std::size_t first = begin; first < end; first += scan_rows) {
                const std::size_t n = std::min(scan_rows, end - first);
                const auto slot = static_cast<Slot>(first);
                bounds.scan(blocks[b], slot, n, scratch[w]);
                for (std::size_t i = 0; i < block.rows; ++i) {
                    TopK& top = best_[b * block_size + i];
                    const std::size_t found =
                        pick(bounds, blocks[b], scratch[w], i, slot, n, top.threshold(), near);
                    if (found == 0) continue;
                    scorers[w]->set_query(block.row(i));
                    scorers[w]->score(near.slots, found, near.distances);
                    for (std::size_t j = 0; j < found; ++j)
                        top.offer({near.distances[j], base + near.slots[j]});
                    top.tighten();
                }
            }
        });
    }
}

void ExactScan::feed(const MatrixView& rows, const Run& run) {
    space_.check("vectors", rows, run, rows_);
    require(rows_ + rows.rows < no_slot, "vectors must be fewer than ", no_slot, ", got ",
            rows_ + rows.rows);
    if (rows.rows == 0) return;
    store(rows, run);
    if (queries() >= encode_from_queries && space_.dim() >= encode_from_dim) {
        encode(run);
        scan(codes_, run);
    } else if (queries() > 0) {
        products_.load({reinterpret_cast<const float*>(chunk_.row(0)), chunk_rows_, space_.dim()});
        scan(products_, run);
    }
    rows_ += rows.rows;
}

void ExactScan::finish(Id* ids, float* distances, const Run& run) {
    parallel_for(run, queries(), 256, [&](std::size_t begin, std::size_t end, std::size_t) {
        for (std::size_t i = begin; i < end; ++i) {
            const auto& found = best_[i].finish();
            for (std::size_t j = 0; j < k_; ++j) {
                ids[i * k_ + j] = j < found.size() ? static_cast<Id>(found[j].slot) : no_id;
                distances[i * k_ + j] = j < found.size() ? found[j].distance : infinity;
            }
        }
    });
}

}  // namespace nearfield
