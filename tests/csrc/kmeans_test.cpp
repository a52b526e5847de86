#include "quantize/kmeans.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

#include "check.h"
#include "core/error.h"
#include "core/random.h"
#include "core/thread_pool.h"
#include "kernels/kernels.h"
#include "quantize/nearest_centroid.h"

namespace nearfield {
namespace {

using check::check;
using check::check_below;
using check::check_equal;
using check::Test;
using check::thrown;
using kernels::Metric;

struct Rows {
    std::vector<float> values;
    std::size_t n, dim;

    MatrixView view() const { return {values.data(), n, dim}; }
};

/// `groups` normal clouds of spread 0.3 round normal centres that lie `offset` from zero.
Rows clouds(std::size_t n, std::size_t dim, std::size_t groups, float offset, std::uint64_t seed) {
    Random random(seed);
    std::vector<float> centres(groups * dim);
    for (float& value : centres) value = offset + static_cast<float>(random.normal());
    Rows rows{std::vector<float>(n * dim), n, dim};
    for (std::size_t i = 0; i < n; ++i) {
        const std::size_t group = random.below(groups);
        for (std::size_t d = 0; d < dim; ++d)
            rows.values[i * dim + d] =
                centres[group * dim + d] + 0.3f * static_cast<float>(random.normal());
    }
    return rows;
}

KMeansParams params(std::size_t k, Metric metric = Metric::l2) {
    KMeansParams made;
    made.k = k;
    made.metric = metric;
    return made;
}

struct Answer {
    std::vector<Slot> slots;
    std::vector<float> distances;
};

Answer assigned(const KMeans& model, const Rows& rows, int threads = 1) {
    Answer answer{std::vector<Slot>(rows.n), std::vector<float>(rows.n)};
    model.assign(rows.view(), answer.slots.data(), answer.distances.data(), {threads, {}});
    return answer;
}

/// The nearest centroid by the kernel that measures one row against all.
Neighbor brute_force(const KMeans& model, const float* row) {
    const MatrixView centroids = model.centroids();
    const Metric metric = model.params().metric;
    std::vector<float> distances(centroids.rows);
    kernels::kernels()
        .rows[0][static_cast<std::size_t>(metric == Metric::l2 ? metric : Metric::dot)](
            row, centroids.data, centroids.rows, centroids.dim, centroids.dim * 4,
            distances.data());
    double length = 1.0;
    if (metric == Metric::cosine)
        length = std::sqrt(std::inner_product(row, row + centroids.dim, row, 0.0));
    Neighbor best;
    for (Slot j = 0; j < centroids.rows; ++j)
        best = std::min(best, Neighbor{distances[j] * static_cast<float>(1.0 / length), j});
    return best;
}

const Test exact("every row goes to the very centroid that measuring them all would choose", [] {
    for (const Metric metric : {Metric::l2, Metric::dot, Metric::cosine})
        for (const std::size_t dim : {1, 3, 64, 100, 257})
            for (const float offset : {0.0f, 100.0f})
                for (const std::size_t k : {1, 17, 300}) {
                    const Rows rows = clouds(600, dim, 40, offset, dim + k);
                    KMeansParams wanted = params(k, metric);
                    wanted.max_iterations = 2;
                    KMeans model(wanted);
                    model.train(rows.view(), {});
                    const Answer answer = assigned(model, rows);
                    for (std::size_t i = 0; i < rows.n; ++i) {
                        const Neighbor best = brute_force(model, rows.view().row(i));
                        check_equal(answer.slots[i], best.slot);
                        const float expected = best.distance + kernels::info(metric).offset;
                        check_below(std::abs(answer.distances[i] - expected),
                                    1e-6f * (1 + std::abs(expected)));
                    }
                }
});

const Test outliers("one huge value in a row or a column does not cost exactness", [] {
    Rows rows = clouds(500, 48, 20, 0.0f, 1);
    for (std::size_t i = 0; i < rows.n; ++i) rows.values[i * 48 + 7] *= 1000.0f;
    rows.values[5] = 1e9f;
    rows.values[48 * 3 + 1] = 1e-38f;
    KMeans model(params(100));
    model.train(rows.view(), {});
    const Answer answer = assigned(model, rows);
    for (std::size_t i = 0; i < rows.n; ++i)
        check_equal(answer.slots[i], brute_force(model, rows.view().row(i)).slot);
});

const Test threads("training gives the same bits for any number of threads", [] {
    const Rows rows = clouds(9000, 20, 50, 1.0f, 2);
    for (const Metric metric : {Metric::l2, Metric::cosine}) {
        KMeans one(params(70, metric));
        one.train(rows.view(), {1, {}});
        for (const int count : {2, 4, 7}) {
            KMeans many(params(70, metric));
            many.train(rows.view(), {count, {}});
            check(std::equal(one.centroids().data, one.centroids().row(70), many.centroids().data));
            check_equal(many.inertia(), one.inertia());
            check(assigned(many, rows, count).slots == assigned(one, rows).slots);
        }
    }
});

const Test falls("inertia is the sum of the distances and falls as iterations are allowed", [] {
    const Rows rows = clouds(3000, 16, 30, 0.0f, 3);
    double before = 1e30;
    for (const int iterations : {0, 1, 2, 5, 20}) {
        KMeansParams wanted = params(40);
        wanted.init = KMeansInit::sample;
        wanted.max_iterations = iterations;
        wanted.tolerance = 0;
        KMeans model(wanted);
        model.train(rows.view(), {});
        check(model.iterations() <= iterations);
        check_below(model.inertia(), before + 1e-9);
        before = model.inertia();
        const Answer answer = assigned(model, rows);
        const double sum = std::accumulate(answer.distances.begin(), answer.distances.end(), 0.0);
        check_below(std::abs(sum / model.inertia() - 1), 1e-12);
    }
});

const Test finds("k-means++ finds well separated groups", [] {
    const Rows rows = clouds(4000, 30, 64, 0.0f, 4);
    KMeans model(params(64));
    model.train(rows.view(), {});
    // 0.3^2 a dimension, less what fitting 64 means takes.
    check_below(model.inertia() / 4000.0, 0.3 * 0.3 * 30 * 1.02);
});

const Test duplicates("more clusters than distinct rows leave an inertia of nothing", [] {
    for (const Metric metric : {Metric::l2, Metric::dot, Metric::cosine}) {
        Rows rows = clouds(10, 8, 10, 0.0f, 5);
        for (int copy = 0; copy < 6; ++copy) {
            const std::vector<float> first(rows.values.begin(), rows.values.begin() + 80);
            rows.values.insert(rows.values.end(), first.begin(), first.end());
            rows.n += 10;
        }
        for (const KMeansInit init : {KMeansInit::plus_plus, KMeansInit::sample}) {
            KMeansParams wanted = params(30, metric);
            wanted.init = init;
            KMeans model(wanted);
            model.train(rows.view(), {});
            const Answer answer = assigned(model, rows);
            check_equal(std::set<Slot>(answer.slots.begin(), answer.slots.end()).size(), 10U);
            for (const float value :
                 std::vector<float>(model.centroids().data, model.centroids().row(30)))
                check(std::isfinite(value));
            if (metric != Metric::dot) check_below(std::abs(model.inertia()), 1e-4);
        }
    }
});

const Test empty("a cluster left empty takes over rows of the largest", [] {
    const Rows rows = clouds(2000, 8, 20, 0.0f, 6);
    std::vector<float> initial(20 * 8, 1000.0f);  // all rows choose centroid 0
    for (int d = 0; d < 8; ++d) initial[static_cast<std::size_t>(d)] = 0.0f;
    KMeansParams wanted = params(20);
    wanted.max_iterations = 50;
    KMeans model(wanted);
    model.train(rows.view(), {}, initial.data());
    const Answer answer = assigned(model, rows);
    check_equal(std::set<Slot>(answer.slots.begin(), answer.slots.end()).size(), 20U);
});

const Test samples("only the sample is looked at, and each seed draws its own", [] {
    const Rows rows = clouds(5000, 8, 20, 0.0f, 7);
    KMeansParams wanted = params(5);
    wanted.sample_per_centroid = 100;
    KMeans one(wanted), same(wanted);
    wanted.seed = 1;
    KMeans other(wanted);
    for (KMeans* model : {&one, &same, &other}) model->train(rows.view(), {});
    check_equal(one.trained_rows(), 500U);
    check_equal(one.inertia(), same.inertia());
    check(one.inertia() != other.inertia());
});

const Test hierarchy("more than 16,384 clusters are found in two levels, all used", [] {
    const Rows rows = clouds(40'000, 4, 500, 0.0f, 8);
    KMeansParams wanted = params(KMeans::hierarchical_k + 100);
    wanted.max_iterations = 4;
    KMeans model(wanted), again(wanted);
    model.train(rows.view(), {1, {}});
    again.train(rows.view(), {2, {}});
    check_equal(model.inertia(), again.inertia());
    check_equal(model.centroids().rows, wanted.k);
    const Answer answer = assigned(model, rows);
    check(std::set<Slot>(answer.slots.begin(), answer.slots.end()).size() > wanted.k * 95 / 100);
    KMeansParams random = wanted;
    random.init = KMeansInit::sample;
    random.max_iterations = 0;
    KMeans drawn(random);
    drawn.train(rows.view(), {});
    check_below(model.inertia(), 0.8 * drawn.inertia());
});

const Test stops("a tick that throws stops training and leaves the model as it was", [] {
    const Rows rows = clouds(40'000, 64, 50, 0.0f, 9);
    KMeans model(params(1000));
    int ticks = 0;
    std::size_t last = 0;
    const Run run{2, [&](std::size_t done, std::size_t total) {
                      check(done >= last && done <= total);
                      last = done;
                      if (++ticks == 3) throw std::runtime_error("enough");
                  }};
    check_equal(thrown<std::runtime_error>([&] { model.train(rows.view(), run); }), "enough");
    check_equal(model.centroids().rows, 0U);
    Slot slot;
    float distance;
    thrown<NotTrained>([&] { model.assign({rows.values.data(), 1, 64}, &slot, &distance, {}); });
});

const Test refuses("k-means refuses parameters and rows that cannot be", [] {
    check_equal(thrown<std::invalid_argument>([] { KMeans(params(0)); }),
                "n_clusters must be at least 1, got 0");
    const Rows rows = clouds(5, 3, 2, 0.0f, 1);
    check_equal(thrown<std::invalid_argument>([&] { KMeans(params(6)).train(rows.view(), {}); }),
                "n_clusters must be at most the number of vectors (5), got 6");
    KMeans model(params(2));
    model.train(rows.view(), {});
    check_equal(thrown<std::invalid_argument>(
                    [&] { model.assign({rows.values.data(), 5, 2}, nullptr, nullptr, {}); }),
                "vectors must have shape (n, 3), got (5, 2)");
});

}  // namespace
}  // namespace nearfield
