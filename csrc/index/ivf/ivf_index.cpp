#include "index/ivf/ivf_index.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <utility>

#include "core/error.h"
#include "core/random.h"
#include "core/thread_pool.h"
#include "index/ivf/ivf_worker.h"
#include "quantize/far_rows.h"
#include "quantize/kmeans.h"
#include "quantize/seeding.h"

namespace nearfield {
namespace {

constexpr float largest_float16 = 65504.0f;
// A list chosen by default has so many training vectors at least.
constexpr std::size_t rows_a_list = 32;
// Residuals that codes are trained on.
constexpr std::size_t most_residuals = 65'536;
// Of more lists those near a query are too alike for heads: with 16 and 64 lists it takes longer.
constexpr std::size_t most_long_lists = 4;
// A query opens at most nprobe lists, and of those only the ones not much farther than the nearest:
// so few that a vector of the training sample would open this share of nprobe on average.
constexpr double opened_share = 1 / 1.5;
constexpr std::size_t limit_rows = 1000, most_limited = 256;

std::size_t checked_nprobe(std::size_t nprobe) {
    require(nprobe >= 1 && nprobe <= IvfParams::max_nlist, "nprobe must be in 1..",
            IvfParams::max_nlist, ", got ", nprobe);
    return nprobe;
}

/// The rows, or `most` of them copied.
MatrixView draw(const MatrixView& rows, std::size_t most, std::uint64_t seed,
                std::vector<float>& copies) {
    if (rows.rows <= most) return rows;
    Random random(mix(seed));
    copies.resize(most * rows.dim);
    float* to = copies.data();
    for (const Slot i : sample_slots(rows.rows, most, random))
        to = std::copy_n(rows.row(i), rows.dim, to);
    return {copies.data(), most, rows.dim};
}

/// Of most_residuals rows, in the frame, what they add to their centroids.
std::vector<float> some_residuals(const MatrixView& rows, const std::vector<float>& centroids,
                                  const Run& run) {
    const std::size_t dim = rows.dim, step = (rows.rows + most_residuals - 1) / most_residuals,
                      m = (rows.rows + step - 1) / step;
    std::vector<float> residuals(m * dim);
    for (std::size_t i = 0; i < m; ++i) std::copy_n(rows.row(i * step), dim, &residuals[i * dim]);
    const ListFinder finder(centroids, dim, true, Run{run.threads, nullptr});
    std::vector<Slot> lists(m);
    finder.assign({residuals.data(), m, dim}, lists.data(), run);
    for (std::size_t i = 0; i < m; ++i)
        for (std::size_t j = 0; j < dim; ++j)
            residuals[i * dim + j] -= centroids[lists[i] * dim + j];
    return residuals;
}

const IvfParams& checked(const IvfParams& params) {
    require(params.nlist <= IvfParams::max_nlist, "nlist must be in 1..", IvfParams::max_nlist,
            ", got ", params.nlist);
    require(params.candidates <= IvfIndex::most_candidates, "candidates must be at most ",
            IvfIndex::most_candidates, ", got ", params.candidates);
    require(!params.soar || params.nlist != 1, "nlist must be at least 2 with soar, got 1");
    checked_nprobe(params.nprobe);
    return params;
}

}  // namespace

IvfIndex::IvfIndex(Space space, const IvfParams& params)
    : Index(std::move(space)),
      params_(checked(params)),
      codes_(space_.dim(), space_.metric(), params.codes),
      vectors_(space_.dim(), params.rerank.value_or(kernels::Scalar::f16)) {
    if (params.rerank == kernels::Scalar::f16) space_.set_limit(largest_float16);
}

IvfIndex::~IvfIndex() = default;

std::size_t IvfIndex::default_nlist(std::size_t n) {
    const auto wanted =
        std::min(static_cast<std::size_t>(2 * std::sqrt(static_cast<double>(n))), n / rows_a_list);
    return std::clamp<std::size_t>(wanted < 16 ? wanted : wanted / 16 * 16, 1,
                                   IvfParams::max_nlist);
}

bool IvfIndex::trained() const {
    const auto lock = shared();
    return finder_.has_value();
}

std::size_t IvfIndex::nlist() const {
    const auto lock = shared();
    return finder_ ? finder_->size() : params_.nlist;
}

std::size_t IvfIndex::nprobe() const {
    const auto lock = shared();
    return params_.nprobe;
}

void IvfIndex::set_nprobe(std::size_t nprobe) {
    checked_nprobe(nprobe);
    const auto lock = alone();
    params_.nprobe = nprobe;
}

void IvfIndex::require_trained(const char* what) const {
    if (!finder_) throw NotTrained(text("the index is not trained; call train() before ", what));
}

void IvfIndex::train(const MatrixView& sample, const Run& run) {
    space_.check("sample", sample, run);
    const auto lock = alone();
    check_writable();
    require(ids_map().size() == 0, "train() must come before add(), got an index of ",
            ids_map().size(), " vectors");
    require(sample.rows >= 1, "sample must have at least one row, got none");
    const std::size_t k =
        params_.nlist != 0 ? params_.nlist : std::min(sample.rows, default_nlist(sample.rows));
    require(k <= sample.rows, "nlist must be at most the number of training vectors (", sample.rows,
            "), got ", k);
    require(!params_.soar || k > 1, "nlist must be at least 2 with soar, got ", k);

    KMeansParams kmeans_params;
    kmeans_params.k = k;
    kmeans_params.max_iterations = 12;
    kmeans_params.init = KMeansInit::sample;
    kmeans_params.seed = params_.codes.seed;
    std::vector<float> drawn, scratch, copies;
    const MatrixView all =
        space_.prepare(draw(sample, std::max(kmeans_params.sample_per_centroid * k, most_residuals),
                            params_.codes.seed, drawn),
                       scratch);
    const MatrixView ready = without_far(all, k, copies);
    const std::size_t dim = space_.dim(), n = ready.rows;
    ResidualCodes codes(dim, space_.metric(), params_.codes);
    train_frame(codes.frame(), ready, all);
    std::vector<float> rows(n * dim);
    const Run quiet{run.threads, nullptr};
    codes.apply(ready, rows.data(), quiet);

    KMeans kmeans(kmeans_params);
    kmeans.train({rows.data(), n, dim}, run);
    const float* const found = kmeans.centroids().data;
    std::vector<float> centroids(found, found + k * dim);

    // Those of RaBitQ have nothing to learn but heads, which are for long lists.
    if (params_.codes.kind == CodeKind::product ||
        (codes.blocks().row_bytes() > 0 && k <= most_long_lists)) {
        std::vector<float> residuals = some_residuals({rows.data(), n, dim}, centroids, run);
        codes.train(residuals, centroids, run);
    }
    codes_ = std::move(codes);
    std::vector<std::uint32_t> groups = group_lists(centroids, dim, params_.codes.seed, quiet);
    finder_.emplace(std::move(centroids), dim, codes_.norms(), quiet, std::move(groups));
    codes_.attach(*finder_);
    lists_ = InvertedLists(k, codes_);
    learn_limits(ready, quiet);
}

void IvfIndex::learn_limits(const MatrixView& rows, const Run& run) {
    const std::size_t n = std::min(rows.rows, limit_rows), step = rows.rows / n;
    const std::size_t kept = std::min(finder_->size(), 2 * most_limited);
    std::vector<float> more(n * kept);  // how much farther the j-th list of a row is than its first
    parallel_for(run, n, 64, [&](std::size_t begin, std::size_t end, std::size_t) {
        ResidualCodes::Queries queries;
        ListFinder::Scratch scratch;
        NearestPool near(kept);
        for (std::size_t i = begin; i < end; ++i) {
            codes_.prepare({rows.row(i * step), 1, rows.dim}, *finder_, queries);
            near.clear();
            finder_->rank(queries.ints.as<std::int8_t>(), queries.int_terms.data(), 1, &near,
                          scratch);
            const float norm = codes_.norms() ? 1.0f : std::sqrt(queries.int_terms[0].norm2);
            for (std::size_t j = 0; j < kept; ++j)
                more[i * kept + j] = j < near.size() && norm > 0
                                         ? (near[j].distance - near[0].distance) / norm
                                         : std::numeric_limits<float>::infinity();
        }
    });
    std::sort(more.begin(), more.end());
    limits_.clear();
    for (std::size_t nprobe = 1; nprobe <= most_limited && nprobe < finder_->size(); nprobe *= 2) {
        const double lists = opened_share * static_cast<double>(nprobe * n);
        limits_.push_back(more[std::min(static_cast<std::size_t>(lists), more.size() - 1)]);
    }
}

float IvfIndex::limit(std::size_t nprobe) const {
    const auto log = static_cast<std::size_t>(std::bit_width(nprobe) - 1);
    if (nprobe >= finder_->size() || log >= limits_.size())
        return std::numeric_limits<float>::infinity();
    const float low = limits_[log];
    if (log + 1 == limits_.size()) return low;
    const float share = static_cast<float>(nprobe - (std::size_t{1} << log)) /
                        static_cast<float>(std::size_t{1} << log);
    return low + share * (limits_[log + 1] - low);
}

void IvfIndex::get_row(Slot slot, float* out) const {
    if (params_.rerank) {
        vectors_.get(slot, out);
        return;
    }
    const Slot list = of_[0][slot];
    std::vector<std::uint8_t> code(codes_.blocks().code_size());
    InvertedLists::Factors factors;
    lists_.read(list, lists_.find(list, slot), code.data(), factors);
    codes_.decode(code.data(), factors, finder_->centroid(list), out);
}

void IvfIndex::add_stats(Stats& stats) const {
    stats.words.emplace_back("kind", "ivfpq");
    stats.words.emplace_back("codes", codes_name(params_.codes.kind));
    stats.words.emplace_back("rerank", params_.rerank ? dtype_name(*params_.rerank) : "none");
    std::size_t empty = 0, longest = 0;
    for (std::size_t i = 0; i < lists_.size(); ++i) {
        empty += lists_[i].size() == 0;
        longest = std::max(longest, lists_[i].size());
    }
    const auto number = [&](const char* name, std::size_t value) {
        stats.numbers.emplace_back(name, static_cast<double>(value));
    };
    number("nlist", finder_ ? finder_->size() : params_.nlist);
    number("nprobe", params_.nprobe);
    number("bits", static_cast<std::size_t>(params_.codes.bits));
    if (params_.codes.kind == CodeKind::product) number("pq_m", codes_.params().m);
    number("lists_a_vector", copies());
    number("empty_lists", empty);
    number("longest_list", longest);
    stats.bytes.emplace_back("vectors", vectors_.bytes());
    stats.bytes.emplace_back("codes", lists_.code_bytes());
    stats.bytes.emplace_back("lists", lists_.entry_bytes() + of_[0].bytes() + of_[1].bytes());
    stats.bytes.emplace_back("centroids", finder_ ? finder_->bytes() : 0);
}

}  // namespace nearfield
