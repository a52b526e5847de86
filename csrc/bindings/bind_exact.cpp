#include <memory>
#include <utility>

#include "bindings/bindings.h"
#include "core/error.h"
#include "index/flat/exact_scan.h"

namespace nearfield::bindings {
namespace {

using IdArray = py::array_t<Id, py::array::c_style>;

std::unique_ptr<ExactScan> make_scan(const py::object& queries, py::ssize_t k, const char* metric,
                                     int threads) {
    const Matrix matrix = as_matrix(queries, "queries");
    require(k >= 1, "k must be at least 1, got ", k);
    const Run run = make_run(threads, py::none());
    const py::gil_scoped_release unlocked;
    return std::make_unique<ExactScan>(Space(matrix.view.dim, metric), matrix.view,
                                       static_cast<std::size_t>(k), run);
}

py::tuple finish(ExactScan& scan, int threads) {
    const auto nq = static_cast<py::ssize_t>(scan.queries());
    const auto k = static_cast<py::ssize_t>(scan.k());
    IdArray ids({nq, k});
    FloatArray distances({nq, k});
    Id* ids_out = ids.mutable_data();
    float* distances_out = distances.mutable_data();
    const Run run = make_run(threads, py::none());
    {
        const py::gil_scoped_release unlocked;
        scan.finish(ids_out, distances_out, run);
    }
    return py::make_tuple(std::move(ids), std::move(distances));
}

}  // namespace

void bind_exact(py::module_& m) {
    py::class_<ExactScan>(m, "ExactScan")
        .def(py::init(&make_scan), py::arg("queries"), py::arg("k"), py::arg("metric"),
             py::arg("threads"))
        .def(
            "feed",
            [](ExactScan& scan, const py::object& rows, int threads) {
                const Matrix matrix = as_matrix(rows, "vectors");
                const Run run = make_run(threads, py::none());
                const py::gil_scoped_release unlocked;
                scan.feed(matrix.view, run);
            },
            py::arg("rows"), py::arg("threads"))
        .def("finish", &finish, py::arg("threads"))
        .def_property_readonly("rows", &ExactScan::rows);
}

}  // namespace nearfield::bindings
