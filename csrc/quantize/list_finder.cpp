#include "quantize/list_finder.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "core/thread_pool.h"
#include "kernels/kernels.h"
#include "quantize/kmeans.h"
#include "quantize/lloyd.h"

namespace nearfield {
namespace {

using kernels::Metric;
using kernels::Scalar;

constexpr std::size_t chunk = 256;  // lists ranked at a time
constexpr std::size_t lanes = 8;    // sums side by side, so that compilers make vectors of them
constexpr int zero_point = 128;     // of the centroids' unsigned bytes
constexpr std::size_t matrix_from = 3;
// From so many lists on, a search for them in two levels is quicker than comparing all.
constexpr std::size_t least_grouped = 4096;
// It looks at this share of all lists at least, and at so many times as many as are wanted.
constexpr std::size_t looked_at_share = 8, looked_at_factor = 4;
// A second list is one of so many nearest.
constexpr std::size_t second_choices = 32;
// Weight of what two residuals have in common. Of 0, 1 and 2 the best on sentence embeddings.
constexpr float second_weight = 2;

float largest_magnitude(const float* values, std::size_t dim) {
    float largest[lanes] = {};
    const std::size_t whole = dim / lanes * lanes;
    for (std::size_t i = 0; i < whole; i += lanes)
        for (std::size_t lane = 0; lane < lanes; ++lane)
            largest[lane] = std::max(largest[lane], std::abs(values[i + lane]));
    for (std::size_t i = whole; i < dim; ++i)
        largest[0] = std::max(largest[0], std::abs(values[i]));
    return *std::max_element(largest, largest + lanes);
}

void reserve(ListFinder::Scratch& scratch, std::size_t m) {
    if (scratch.sums.size() < m * chunk * sizeof(std::int32_t))
        scratch.sums.resize(m * chunk * sizeof(std::int32_t));
    scratch.slots.resize(chunk);
    scratch.bounds.resize(chunk);
}

}  // namespace

std::vector<std::uint32_t> group_lists(std::vector<float>& centroids, std::size_t dim,
                                       std::uint64_t seed, const Run& run) {
    const std::size_t k = centroids.size() / dim;
    if (k < least_grouped) return {};
    KMeansParams params;
    params.k = static_cast<std::size_t>(std::sqrt(static_cast<double>(k)));
    params.max_iterations = 8;
    params.init = KMeansInit::sample;
    params.seed = seed;
    KMeans kmeans(params);
    const MatrixView all{centroids.data(), k, dim};
    kmeans.train(all, run);
    std::vector<Slot> group(k), order(k);
    std::vector<float> distances(k);
    kmeans.assign(all, group.data(), distances.data(), run);
    std::iota(order.begin(), order.end(), Slot{0});
    std::stable_sort(order.begin(), order.end(),
                     [&](Slot a, Slot b) { return group[a] < group[b]; });
    std::vector<std::uint32_t> sizes(params.k, 0);
    std::vector<float> sorted(centroids.size());
    for (std::size_t i = 0; i < k; ++i) {
        ++sizes[group[i]];
        std::copy_n(all.row(order[i]), dim, &sorted[i * dim]);
    }
    std::erase(sizes, 0u);
    centroids = std::move(sorted);
    return sizes;
}

ListFinder::ListFinder(std::vector<float> centroids, std::size_t dim, bool norms, const Run& run,
                       std::vector<std::uint32_t> groups)
    : dim_(dim),
      width_(kernels::panel_dim(Scalar::u8, dim)),
      norms_(norms),
      groups_(std::move(groups)),
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
    if (groups_.empty()) return;
    std::vector<float> middles(groups_.size() * dim, 0.0f);
    group_begins_.push_back(0);
    for (std::size_t g = 0; g < groups_.size(); ++g) {
        const std::size_t begin = group_begins_.back(), end = begin + groups_[g];
        for (std::size_t j = begin; j < end; ++j)
            for (std::size_t d = 0; d < dim; ++d)
                middles[g * dim + d] += all.row(j)[d] / static_cast<float>(groups_[g]);
        group_begins_.push_back(end);
    }
    middles_ = std::make_unique<ListFinder>(std::move(middles), dim, norms, run);
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
            worker.terms[i] =
                nearest_->encode(rows.row(begin + i), &worker.codes[i * width], worker.scratch);
        std::fill(lists + begin, lists + end, Slot{0});
        nearest_->find(all, begin, end, worker.codes.data(), worker.terms.data(), lists + begin,
                       worker.distances.data(), worker.scratch);
    };
    parallel_for(run, rows.rows, nearest_->block_rows(), work);
}

void ListFinder::assign_second(const MatrixView& rows, const Slot* lists, Slot* seconds,
                               const Run& run) const {
    constexpr std::size_t piece = 64;
    parallel_for(run, rows.rows, piece, [&](std::size_t begin, std::size_t end, std::size_t) {
        const std::size_t m = end - begin;
        std::vector<std::int8_t> codes(m * width_);
        std::vector<IntQuery> queries(m);
        std::vector<NearestPool> near;
        Scratch scratch;
        for (std::size_t i = 0; i < m; ++i) {
            queries[i] = encode(rows.row(begin + i), &codes[i * width_]);
            near.emplace_back(std::min(size(), second_choices));
        }
        rank_all(codes.data(), queries.data(), m, near.data(), scratch);
        for (std::size_t i = 0; i < m; ++i)
            seconds[begin + i] = second_of(rows.row(begin + i), lists[begin + i], near[i]);
    });
}

Slot ListFinder::second_of(const float* row, Slot first, const NearestPool& near) const {
    const auto products = [&](Slot list) {  // r'.r', r'.r
        const float *const a = centroid(list), *const b = centroid(first);
        float square = 0, both = 0;
        for (std::size_t d = 0; d < dim_; ++d) {
            square += (row[d] - a[d]) * (row[d] - a[d]);
            both += (row[d] - a[d]) * (row[d] - b[d]);
        }
        return std::pair{square, both};
    };
    const float norm2 = products(first).first, weight = norm2 > 0 ? second_weight / norm2 : 0.0f;
    Slot second = first == 0 ? 1 : 0;
    float least = std::numeric_limits<float>::infinity();
    for (std::size_t j = 0; j < near.size(); ++j) {
        if (near[j].slot == first) continue;
        const auto [square, both] = products(near[j].slot);
        const float loss = square + weight * both * both;
        if (loss >= least) continue;
        least = loss;
        second = near[j].slot;
    }
    return second;
}

IntQuery ListFinder::encode(const float* values, std::int8_t* out) const {
    const float largest = largest_magnitude(values, dim_);
    const bool usable = largest > 1e-30f;
    kernels::kernels().to_i8(values, dim_, usable ? 127 / largest : 0.0f, out);
    std::fill(out + dim_, out + width_, std::int8_t{0});
    IntQuery query{usable ? largest / 127 : 0.0f, 0, 0};
    float squares[lanes] = {};
    const std::size_t whole = dim_ / lanes * lanes;
    for (std::size_t i = 0; i < whole; i += lanes)
        for (std::size_t lane = 0; lane < lanes; ++lane)
            squares[lane] += values[i + lane] * values[i + lane];
    for (std::size_t i = whole; i < dim_; ++i) squares[0] += values[i] * values[i];
    for (const float square : squares) query.norm2 += square;
    for (std::size_t i = 0; i < dim_; ++i) query.sum += out[i];
    return query;
}

void ListFinder::merge(const std::int32_t* sums, const IntQuery& query, std::size_t first,
                       std::size_t n, NearestPool& best, Scratch& scratch) const {
    const kernels::BoundRows rows{norms2_.data() + first, steps_.data() + first, zeros_.data()};
    const kernels::BoundQuery bound{zero_point * query.sum, query.unit, 0,
                                    norms_ ? -query.norm2 : 0.0f};
    const std::size_t found = kernels::kernels().select_bound(
        sums, n, rows, bound, best.threshold(), scratch.slots.data(), scratch.bounds.data());
    const float enough = best.threshold() == infinity
                             ? enough_below(scratch.bounds.data(), found, best.k())
                             : infinity;
    for (std::size_t j = 0; j < found; ++j)
        if (scratch.bounds[j] <= enough)
            best.offer({scratch.bounds[j], static_cast<Slot>(first) + scratch.slots[j]});
    best.merge();
}

/// One query and lists [begin, end); panels hold 16 of them.
void ListFinder::rank_part(const std::int8_t* code, const IntQuery& query, std::size_t begin,
                           std::size_t end, NearestPool& best, Scratch& scratch) const {
    constexpr std::size_t rows = kernels::panel_rows;
    auto* const sums = scratch.sums.as<std::int32_t>();
    for (std::size_t first = begin / rows * rows; first < end; first += chunk) {
        const std::size_t n = std::min(chunk, end - first),
                          skip = begin > first ? begin - first : 0;
        kernels::kernels().panel_dots[kernels::bits_index(8)](
            code, panels_.as<std::uint8_t>() + first * width_, kernels::padded(n, rows) / rows,
            width_ / 4, sums);
        merge(sums + skip, query, first + skip, n - skip, best, scratch);
    }
}

void ListFinder::rank_groups(const std::int8_t* code, const IntQuery& query, NearestPool& best,
                             Scratch& scratch) const {
    if (!scratch.groups || scratch.groups->k() != groups_.size())
        scratch.groups.emplace(groups_.size());
    NearestPool& near = *scratch.groups;
    near.clear();
    middles_->rank_part(code, query, 0, groups_.size(), near, scratch);
    const std::size_t wanted = std::max(size() / looked_at_share, looked_at_factor * best.k());
    for (std::size_t g = 0, seen = 0; g < near.size() && seen < wanted; ++g) {
        const Slot group = near[g].slot;
        rank_part(code, query, group_begins_[group], group_begins_[group + 1], best, scratch);
        seen += groups_[group];
    }
}

void ListFinder::rank(const std::int8_t* codes, const IntQuery* queries, std::size_t m,
                      NearestPool* best, Scratch& scratch) const {
    if (m >= matrix_from) {
        rank_all(codes, queries, m, best, scratch);
    } else {
        reserve(scratch, m);
        for (std::size_t i = 0; i < m; ++i) {
            const std::int8_t* const code = codes + i * width_;
            if (middles_ && looked_at_factor * best[i].k() < size())
                rank_groups(code, queries[i], best[i], scratch);
            else
                rank_part(code, queries[i], 0, size(), best[i], scratch);
        }
    }
}

void ListFinder::rank_all(const std::int8_t* codes, const IntQuery* queries, std::size_t m,
                          NearestPool* best, Scratch& scratch) const {
    reserve(scratch, m);
    auto* const sums = scratch.sums.as<std::int32_t>();
    for (std::size_t first = 0; first < size(); first += chunk) {
        const std::size_t n = std::min(chunk, size() - first);
        kernels::kernels().tile_i8(codes, m, width_, panels_.as<std::uint8_t>() + first * width_, n,
                                   dim_, sums, chunk);
        for (std::size_t i = 0; i < m; ++i)
            merge(sums + i * chunk, queries[i], first, n, best[i], scratch);
    }
}

std::size_t ListFinder::bytes() const {
    return centroids_.size() * sizeof(float) + panels_.size() * 2 +
           norms2_.size() * 5 * sizeof(float);
}

}  // namespace nearfield
