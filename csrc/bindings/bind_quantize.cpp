#include <pybind11/stl.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "bindings/bindings.h"
#include "core/error.h"
#include "quantize/kmeans.h"
#include "store/space.h"

namespace nearfield::bindings {
namespace {

std::unique_ptr<KMeans> make_kmeans(Int<"n_clusters"> n_clusters, const Word<"metric">& metric,
                                    const Word<"init">& init, Int<"max_iter"> max_iter,
                                    Real<"tol"> tol, Int<"sample_per_centroid"> sample_per_centroid,
                                    Natural<"seed"> seed) {
    require(init.value == "kmeans++" || init.value == "sample",
            "init must be 'kmeans++', 'sample' or an array, got '", init.value, "'");
    KMeansParams params;
    params.k = n_clusters.at_least(1);
    params.metric = Space(1, metric.value.c_str()).metric().metric;
    params.max_iterations = as_c_int(max_iter);
    params.tolerance = tol.value;
    params.init = init.value == "sample" ? KMeansInit::sample : KMeansInit::plus_plus;
    params.sample_per_centroid = sample_per_centroid.at_least(0);
    params.seed = seed.value;
    return std::make_unique<KMeans>(params);
}

/// Rows (n, dim) that the metric can measure.
Matrix checked(const KMeans& model, const py::object& values, const char* name, const Run& run) {
    Matrix matrix = as_matrix(values, name);
    require(!matrix.single, name, " must be a (n, dim) array, got shape (", matrix.view.dim, ",)");
    const Space space(matrix.view.dim, kernels::info(model.params().metric).name);
    const py::gil_scoped_release unlocked;
    space.check(name, matrix.view, run);
    return matrix;
}

void train(KMeans& model, const py::object& vectors, const py::object& initial, Threads threads,
           const py::object& progress) {
    const Run run = make_run(threads, progress);
    const Matrix rows = checked(model, vectors, "vectors", make_run(threads, py::none()));
    std::optional<Matrix> start;
    if (!initial.is_none()) {
        start = checked(model, initial, "init", make_run(threads, py::none()));
        require(start->view.rows == model.params().k && start->view.dim == rows.view.dim,
                "init must have shape (", model.params().k, ", ", rows.view.dim, "), got (",
                start->view.rows, ", ", start->view.dim, ")");
    }
    const float* first = start ? start->view.data : nullptr;
    const py::gil_scoped_release unlocked;
    model.train(rows.view, run, first);
}

py::array_t<std::int64_t> assign(const KMeans& model, const py::object& vectors, Threads threads) {
    if (model.centroids().rows == 0) throw NotTrained("k-means is not fitted; call fit() first");
    const Run run = make_run(threads, py::none());
    const Matrix rows = checked(model, vectors, "vectors", run);
    const std::size_t n = rows.view.rows;
    py::array_t<std::int64_t> labels(static_cast<py::ssize_t>(n));
    std::int64_t* out = labels.mutable_data();
    const py::gil_scoped_release unlocked;
    std::vector<Slot> slots(n);
    std::vector<float> distances(n);
    model.assign(rows.view, slots.data(), distances.data(), run);
    for (std::size_t i = 0; i < n; ++i) out[i] = slots[i];
    return labels;
}

FloatArray centroids(const KMeans& model) {
    const MatrixView view = model.centroids();
    return FloatArray({static_cast<py::ssize_t>(view.rows), static_cast<py::ssize_t>(view.dim)},
                      view.data);
}

}  // namespace

void bind_quantize(py::module_& m) {
    py::class_<KMeans>(m, "KMeans")
        .def(py::init(&make_kmeans), py::arg("n_clusters"), py::arg("metric"), py::arg("init"),
             py::arg("max_iter"), py::arg("tol"), py::arg("sample_per_centroid"), py::arg("seed"))
        .def("train", &train, py::arg("vectors"), py::arg("initial"), py::arg("threads"),
             py::arg("progress"))
        .def(
            "restore",
            [](KMeans& model, const py::object& given, Real<"inertia"> inertia,
               Int<"iterations"> iterations, Int<"trained_rows"> rows) {
                const Matrix found = checked(model, given, "centroids", Run{1, nullptr});
                model.restore(found.view, inertia.value, as_c_int(iterations), rows.at_least(1));
            },
            py::arg("centroids"), py::arg("inertia"), py::arg("iterations"),
            py::arg("trained_rows"))
        .def("assign", &assign, py::arg("vectors"), py::arg("threads"))
        .def("centroids", &centroids)
        .def_property_readonly("inertia", &KMeans::inertia)
        .def_property_readonly("iterations", &KMeans::iterations)
        .def_property_readonly("trained_rows", &KMeans::trained_rows);
}

}  // namespace nearfield::bindings
