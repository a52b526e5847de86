#include <memory>
#include <utility>

#include "bindings/bindings.h"
#include "core/error.h"
#include "index/flat/exact_scan.h"

namespace nearfield::bindings {
namespace {

using IdArray = py::array_t<Id, py::array::c_style>;

std::unique_ptr<ExactScan> make_scan(const py::object& queries, Int<"k"> k,
                                     const Word<"metric">& metric, Threads threads) {
    const Matrix matrix = as_matrix(queries, "queries");
    const std::size_t wanted = as_count(k);
    const Run run = make_run(threads, py::none());
    const py::gil_scoped_release unlocked;
    return std::make_unique<ExactScan>(Space(matrix.view.dim, metric.value.c_str()), matrix.view,
                                       wanted, run);
}

py::tuple finish(ExactScan& scan, Threads threads) {
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
            [](ExactScan& scan, const py::object& rows, Threads threads) {
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
