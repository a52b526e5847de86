#include "quantize/list_finder.h"

#include <algorithm>
#include <cmath>

#include "core/thread_pool.h"
#include "kernels/kernels.h"
#include "quantize/lloyd.h"

namespace nearfield {
namespace {

using kernels::Metric;
using kernels::Scalar;

constexpr std::size_t chunk = 256;   // lists ranked at a time
constexpr int zero_point = 128;      // of the centroids' unsigned bytes
constexpr std::size_t matrix_from = 3;

float largest_magnitude(const float* values, std::size_t dim) {
    float largest = 0;
    for (std::size_t i = 0; i < dim; ++i) largest = std::max(largest, std::abs(values[i]));
    return largest;
}

}  // namespace

ListFinder::ListFinder(std::vector<float> centroids, std::size_t dim, bool norms, const Run& run)
    : dim_(dim),
      width_(kernels::panel_dim(Scalar::u8, dim)),
      norms_(norms),
      centroids_(std::move(centroids)) {
    const std::size_t k = centroids_.size() / dim;
    const MatrixView all{centroids_.data(), k, dim};
    nearest_.emplace(Metric::l2, mean_row(RowSet(all), Metric::l2));
    Progress progress(run, 1, 1);
    nearest_->set_centroids(all, progress);

    norms2_.resize(k);
    steps_.resize(k);
    zeros_.assign(chunk, 0.0f);
    panels_.resize(kernels::panel_elements(Scalar::u8, k, dim));
    std::vector<std::uint8_t> rows(k * dim);
    std::vector<std::int8_t> code(dim);
    for (std::size_t j = 0; j < k; ++j) {
        const float* const row = all.row(j);
        const float largest = largest_magnitude(row, dim);
        const float step = largest > 1e-30f ? largest / 127 : 1.0f;
        kernels::kernels().to_i8(row, dim, 1 / step, code.data());
        double norm2 = 0;
        for (std::size_t d = 0; d < dim; ++d) {
            norm2 += static_cast<double>(row[d]) * row[d];
            rows[j * dim + d] = static_cast<std::uint8_t>(code[d] + zero_point);
        }
        norms2_[j] = norms ? static_cast<float>(norm2) : 0.0f;
        steps_[j] = step * (norms ? 2.0f : 1.0f);
    }
    kernels::kernels().pack_u8(rows.data(), k, dim, dim, panels_.as<std::uint8_t>());
}

void ListFinder::assign(const MatrixView& rows, Slot* lists, const Run& run) const {
    struct Worker {
        NearestCentroid::Scratch scratch;
        std::vector<std::int8_t> codes;
        std::vector<CodeTerms> terms;
        std::vector<float> distances;
    };
    std::vector<Worker> workers(static_cast<std::size_t>(resolve_threads(run.threads)));
    const RowSet all(rows);
    const std::size_t width = nearest_->width();
    const auto work = [&](std::size_t begin, std::size_t end, std::size_t w) {
        Worker& worker = workers[w];
        const std::size_t n = end - begin;
        worker.codes.resize(n * width);
        worker.terms.resize(n);
        worker.distances.resize(n);
        for (std::size_t i = 0; i < n; ++i)
            worker.terms[i] = nearest_->encode(rows.row(begin + i), &worker.codes[i * width],
                                               worker.scratch);
        std::fill(lists + begin, lists + end, Slot{0});
        nearest_->find(all, begin, end, worker.codes.data(), worker.terms.data(), lists + begin,
                       worker.distances.data(), worker.scratch);
    };
    parallel_for(run, rows.rows, nearest_->block_rows(), work);
}

IntQuery ListFinder::encode(const float* values, std::int8_t* out) const {
    const float largest = largest_magnitude(values, dim_);
    const bool usable = largest > 1e-30f;
    kernels::kernels().to_i8(values, dim_, usable ? 127 / largest : 0.0f, out);
    std::fill(out + dim_, out + width_, std::int8_t{0});
    IntQuery query{usable ? largest / 127 : 0.0f, 0, 0};
    for (std::size_t i = 0; i < dim_; ++i) {
        query.sum += out[i];
        query.norm2 += values[i] * values[i];
    }
    return query;
}

void ListFinder::rank(const std::int8_t* codes, const IntQuery* queries, std::size_t m, NearestPool* best,
                      Scratch& scratch) const {
    const kernels::Kernels& table = kernels::kernels();
    if (scratch.sums.size() < m * chunk * sizeof(std::int32_t))
        scratch.sums.resize(m * chunk * sizeof(std::int32_t));
    scratch.slots.resize(chunk);
    scratch.bounds.resize(chunk);
    auto* const sums = scratch.sums.as<std::int32_t>();
    for (std::size_t first = 0; first < size(); first += chunk) {
        const std::size_t n = std::min(chunk, size() - first);
        const auto* const panels = panels_.as<std::uint8_t>() + first * width_;
        if (m < matrix_from) {
            const std::size_t count = kernels::padded(n, kernels::panel_rows) / kernels::panel_rows;
            for (std::size_t i = 0; i < m; ++i)
                table.panel_dots[kernels::bits_index(8)](codes + i * width_, panels, count,
                                                         width_ / 4, sums + i * chunk);
        } else {
            table.tile_i8(codes, m, width_, panels, n, dim_, sums, chunk);
        }
        const kernels::BoundRows rows{norms2_.data() + first, steps_.data() + first, zeros_.data()};
        for (std::size_t i = 0; i < m; ++i) {
            const kernels::BoundQuery bound{zero_point * queries[i].sum, queries[i].unit, 0,
                                            norms_ ? -queries[i].norm2 : 0.0f};
            const std::size_t found =
                table.select_bound(sums + i * chunk, n, rows, bound, best[i].threshold(),
                                   scratch.slots.data(), scratch.bounds.data());
            for (std::size_t j = 0; j < found; ++j)
                best[i].offer({scratch.bounds[j], static_cast<Slot>(first) + scratch.slots[j]});
            best[i].merge();
        }
    }
}

std::size_t ListFinder::bytes() const {
    return centroids_.size() * sizeof(float) + panels_.size() * 2 + norms2_.size() * 5 * sizeof(float);
}

}  // namespace nearfield
