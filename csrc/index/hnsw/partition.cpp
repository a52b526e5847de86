#include "index/hnsw/partition.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

#include "core/random.h"
#include "core/thread_pool.h"

namespace nearfield {
namespace {

constexpr std::size_t iterations = 5;
constexpr std::size_t rows_a_centroid = 64;
constexpr std::size_t rows_a_piece = 1024;
constexpr std::size_t rows_a_tile = 32;
constexpr std::size_t lanes = kernels::panel_rows;
constexpr std::size_t rows_a_bucket = 64;
// A cluster this many times too large (copies of one vector, say) is cut without regard to
// distance.
constexpr std::size_t largest_leaf = 16;

/// Distances to one panel of centroids, and their minimum.
float score_panel(const std::int32_t* dots, const float* terms, std::int32_t excess,
                  float* scores) {
    float low[lanes / 2];
    for (std::size_t l = 0; l < lanes; ++l)
        scores[l] = terms[l] - 2 * static_cast<float>(dots[l] - excess);
    for (std::size_t l = 0; l < lanes / 2; ++l)
        low[l] = scores[l] < scores[l + lanes / 2] ? scores[l] : scores[l + lanes / 2];
    return *std::min_element(low, low + lanes / 2);
}

/// The nearest few of one row, from all its scores.
struct Nearest {
    std::vector<float> scores, lows;
    std::vector<std::pair<float, std::uint32_t>> found;

    void run(const std::int32_t* dots, const std::vector<float>& terms, std::size_t n,
             std::int32_t excess, std::size_t per_row, std::uint32_t* out) {
        scores.resize(terms.size());
        lows.resize(terms.size() / lanes);
        for (std::size_t p = 0; p < lows.size(); ++p)
            lows[p] = score_panel(dots + p * lanes, &terms[p * lanes], excess, &scores[p * lanes]);
        // At least per_row scores are as low as the per_row-th lowest panel.
        float limit = infinity;
        if (lows.size() >= per_row) {
            std::vector<float>& copy = sorted_;
            copy = lows;
            const auto kth = copy.begin() + static_cast<std::ptrdiff_t>(per_row - 1);
            std::nth_element(copy.begin(), kth, copy.end());
            limit = *kth;
        }
        found.clear();
        for (std::size_t p = 0; p < lows.size(); ++p) {
            if (lows[p] > limit) continue;
            for (std::size_t c = p * lanes; c < std::min(n, (p + 1) * lanes); ++c)
                if (scores[c] <= limit) found.emplace_back(scores[c], c);
        }
        const auto end = found.begin() + static_cast<std::ptrdiff_t>(per_row);
        std::nth_element(found.begin(), end, found.end());
        std::sort(found.begin(), end);
        for (std::size_t i = 0; i < per_row; ++i) out[i] = found[i].second;
    }

  private:
    std::vector<float> sorted_;
};

/// The `taken` rows with the smallest hashes, by hash: a sample, and shuffled. Hashes are spread
/// evenly, so buckets by their first bits are small and each is sorted at once.
std::vector<Slot> sample_of(std::size_t n, std::size_t taken, std::uint64_t seed, const Run& run) {
    const auto hash = [seed](std::size_t i) { return mix(seed ^ mix(i)); };
    const int bits = std::max(1, static_cast<int>(std::bit_width(n / rows_a_bucket)));
    const auto bucket = [&](std::size_t i) { return hash(i) >> (64 - bits); };
    std::vector<std::size_t> first((std::size_t{1} << bits) + 1, 0);
    for (std::size_t i = 0; i < n; ++i) {
        run.hear(i);
        ++first[bucket(i) + 1];
    }
    std::partial_sum(first.begin(), first.end(), first.begin());
    const auto used = static_cast<std::size_t>(std::lower_bound(first.begin(), first.end(), taken) -
                                               first.begin());
    std::vector<std::pair<std::uint64_t, Slot>> hashed(first[used]);
    std::vector<std::size_t> place(first.begin(),
                                   first.begin() + static_cast<std::ptrdiff_t>(used));
    for (std::size_t i = 0; i < n; ++i) {
        run.hear(i);
        if (const std::size_t b = bucket(i); b < used)
            hashed[place[b]++] = {hash(i), static_cast<Slot>(i)};
    }
    const auto at = [&](std::size_t i) { return hashed.begin() + static_cast<std::ptrdiff_t>(i); };
    std::vector<Slot> sample;
    sample.reserve(hashed.size());
    for (std::size_t b = 0; b < used; ++b) {
        run.hear(b);
        std::sort(at(first[b]), at(first[b + 1]));
        for (std::size_t i = first[b]; i < first[b + 1]; ++i) sample.push_back(hashed[i].second);
    }
    sample.resize(taken);
    return sample;
}

}  // namespace

Centroids::Centroids(const IntRows& rows, std::size_t n, std::size_t sample, std::uint64_t seed,
                     const Run& run)
    : n_(n), dim_(rows.dim()) {
    sample_ = sample_of(rows.size(), std::min(rows.size(), sample), seed, run);
    take(rows);
    for (std::size_t i = 0; i < iterations; ++i) {
        pack();
        recentre(rows, assign(rows, run), run);
    }
    pack();
}

Centroids::Centroids(const IntRows& rows, std::vector<Slot> which)
    : n_(which.size()), dim_(rows.dim()), sample_(std::move(which)) {
    take(rows);
    pack();
}

/// The first rows of the sample.
void Centroids::take(const IntRows& rows) {
    values_.resize(n_ * dim_);
    for (std::size_t c = 0; c < n_; ++c)
        std::memcpy(values_.as<std::uint8_t>() + c * dim_, rows.row(sample_[c]), dim_);
}

void Centroids::pack() {
    const std::size_t padded = kernels::padded(n_, lanes);
    panels_.resize(padded * dim_);
    kernels::kernels().pack_u8(values_.data(), n_, dim_, dim_, panels_.data());
    terms_.assign(padded, std::numeric_limits<float>::max());
    for (std::size_t c = 0; c < n_; ++c) {
        const std::uint8_t* const value = values_.as<std::uint8_t>() + c * dim_;
        double norm = 0;
        for (std::size_t j = 0; j < dim_; ++j) norm += (value[j] - 128.0) * (value[j] - 128.0);
        terms_[c] = static_cast<float>(norm);
    }
}

void Centroids::nearest(const IntRows& rows, const Slot* which, std::size_t n, std::size_t per_row,
                        TileScratch& scratch, std::uint32_t* out) const {
    thread_local Nearest nearest_of;
    const std::size_t stride = kernels::padded(n_, lanes);
    for (std::size_t i = 0; i < n; i += rows_a_tile) {
        const std::size_t m = std::min(rows_a_tile, n - i);
        std::int8_t* const left = scratch.left(rows_a_tile, dim_);
        for (std::size_t r = 0; r < m; ++r) rows.copy_left(which[i + r], left + r * dim_);
        std::int32_t* const dots = scratch.out(rows_a_tile, n_);
        kernels::kernels().tile_i8(left, m, dim_, panels_.as<std::uint8_t>(), n_, dim_, dots,
                                   stride);
        for (std::size_t r = 0; r < m; ++r)
            nearest_of.run(dots + r * stride, terms_, n_, rows.excess(which[i + r]), per_row,
                           out + (i + r) * per_row);
    }
}

std::vector<std::uint32_t> Centroids::assign(const IntRows& rows, const Run& run) const {
    std::vector<std::uint32_t> home(sample_.size());
    parallel_for(run, sample_.size(), rows_a_piece,
                 [&](std::size_t begin, std::size_t end, std::size_t) {
                     TileScratch scratch;
                     nearest(rows, &sample_[begin], end - begin, 1, scratch, &home[begin]);
                 });
    return home;
}

void Centroids::recentre(const IntRows& rows, const std::vector<std::uint32_t>& home,
                         const Run& run) {
    std::vector<std::uint32_t> sums(n_ * dim_, 0), counts(n_, 0);
    for (std::size_t i = 0; i < sample_.size(); ++i) {
        run.hear(i);
        const std::uint8_t* const row = rows.row(sample_[i]);
        std::uint32_t* const sum = &sums[home[i] * dim_];
        for (std::size_t j = 0; j < dim_; ++j) sum[j] += row[j];
        ++counts[home[i]];
    }
    for (std::size_t c = 0; c < n_; ++c) {
        if (counts[c] == 0) continue;
        std::uint8_t* const value = values_.as<std::uint8_t>() + c * dim_;
        for (std::size_t j = 0; j < dim_; ++j)
            value[j] = static_cast<std::uint8_t>((sums[c * dim_ + j] + counts[c] / 2) / counts[c]);
    }
}

std::vector<Slot> Centroids::medoids(const IntRows& rows, bool longest, const Run& run) const {
    const std::vector<std::uint32_t> home = assign(rows, run);
    std::vector<Slot> best(n_, no_slot), far(n_, no_slot);
    std::vector<float> distance(n_, infinity), length(n_, -1.0f);
    TileScratch scratch;
    std::int8_t* const left = scratch.left(1, dim_);
    for (std::size_t i = 0; i < sample_.size(); ++i) {
        run.hear(i);
        const std::uint32_t c = home[i];
        std::int32_t dot = 0;
        rows.copy_left(sample_[i], left);
        kernels::kernels().dot_u8_rows(left, values_.as<std::uint8_t>() + c * dim_, 1, dim_, dim_,
                                       &dot);
        double norm = 0;
        for (std::size_t j = 0; j < dim_; ++j) norm += static_cast<double>(left[j]) * left[j];
        const auto d = static_cast<float>(norm + terms_[c] - 2.0 * (dot - rows.excess(sample_[i])));
        if (d < distance[c]) {
            distance[c] = d;
            best[c] = sample_[i];
        }
        if (longest && norm > length[c]) {
            length[c] = static_cast<float>(norm);
            far[c] = sample_[i];
        }
    }
    best.insert(best.end(), far.begin(), far.end());
    std::sort(best.begin(), best.end());
    best.erase(std::unique(best.begin(), best.end()), best.end());
    std::erase(best, no_slot);
    return best;
}

Partition partition(const IntRows& rows, std::size_t leaf, std::size_t n_probes, std::uint64_t seed,
                    const Run& run) {
    const std::size_t n = rows.size();
    const std::size_t wanted = std::max<std::size_t>(1, n / leaf);
    const Centroids centroids(rows, wanted, wanted * rows_a_centroid, seed, run);
    Partition cut;
    cut.n_probes = std::min(wanted, n_probes);
    std::vector<Slot> all(n);
    std::iota(all.begin(), all.end(), Slot{0});
    Column<std::uint32_t> near;
    near.resize(n * cut.n_probes);
    parallel_for(run, n, rows_a_piece, [&](std::size_t begin, std::size_t end, std::size_t) {
        TileScratch scratch;
        centroids.nearest(rows, &all[begin], end - begin, cut.n_probes, scratch,
                          &near[begin * cut.n_probes]);
    });

    // Clusters that are far too large become several; whoever probes one probes one of its parts.
    std::vector<std::size_t> counts(wanted, 0);
    for (std::size_t i = 0; i < n; ++i) {
        run.hear(i);
        ++counts[near[i * cut.n_probes]];
    }
    std::vector<std::uint32_t> part_first(wanted + 1, 0);
    for (std::size_t c = 0; c < wanted; ++c) {
        const std::size_t parts =
            counts[c] > largest_leaf * leaf ? (counts[c] + 2 * leaf - 1) / (2 * leaf) : 1;
        part_first[c + 1] = part_first[c] + static_cast<std::uint32_t>(parts);
    }
    std::vector<std::size_t> seen(wanted, 0);
    std::vector<std::uint32_t> home(n);
    for (std::size_t i = 0; i < n; ++i) {
        run.hear(i);
        std::uint32_t* const probes = &near[i * cut.n_probes];
        const std::uint32_t own = probes[0];
        for (std::size_t p = 0; p < cut.n_probes; ++p) {
            const std::uint32_t c = probes[p];
            const std::uint32_t parts = part_first[c + 1] - part_first[c];
            const std::size_t part = p == 0 ? seen[own] * parts / counts[own] : i % parts;
            probes[p] = part_first[c] + static_cast<std::uint32_t>(part);
        }
        ++seen[own];
        home[i] = probes[0];
    }

    cut.first.assign(part_first.back() + 1, 0);
    for (const std::uint32_t c : home) ++cut.first[c + 1];
    std::partial_sum(cut.first.begin(), cut.first.end(), cut.first.begin());
    std::vector<std::size_t> place(cut.first.begin(), cut.first.end() - 1);
    cut.order.resize(n);
    cut.probes.resize(n * cut.n_probes);
    for (std::size_t i = 0; i < n; ++i) {
        run.hear(i);
        const std::size_t at = place[home[i]]++;
        cut.order[at] = static_cast<Slot>(i);
        std::copy_n(&near[i * cut.n_probes], cut.n_probes, &cut.probes[at * cut.n_probes]);
    }
    return cut;
}

}  // namespace nearfield
