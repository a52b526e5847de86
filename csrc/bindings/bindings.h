// What the binding files share: the parts of the module, and how Python values become ours.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <chrono>
#include <functional>

#include "bindings/arguments.h"
#include "core/run.h"
#include "core/types.h"

namespace nearfield::bindings {

namespace py = pybind11;

void bind_errors(py::module_& m);
void bind_config(py::module_& m);
void bind_kernels(py::module_& m);
void bind_graph_kernels(py::module_& m);
void bind_block_kernels(py::module_& m);
void bind_quantize(py::module_& m);
void bind_quantizers(py::module_& m);
void bind_index(py::module_& m);
void bind_hnsw(py::module_& m);
void bind_ivf(py::module_& m);
void bind_search_one(py::module_& m);
void bind_together(py::module_& m);
void bind_hits(py::module_& m);
void bind_exact(py::module_& m);
void bind_state(py::module_& m);
void bind_storage(py::module_& m);
void bind_c_api(py::module_& m);
void bind_rows(py::module_& m);

using FloatArray = py::array_t<float, py::array::c_style>;

/// A float32 C-ordered matrix and the array that owns its memory.
struct Matrix {
    FloatArray owner;
    MatrixView view;
    bool single = false;  // the user gave one row, 1-D
};

/// Float32 C-ordered arrays pass as they are; anything else goes through
/// nearfield.arrays.as_matrix.
Matrix as_matrix(const py::object& values, const char* name);

/// k as a count: an answer to one query takes up to 200 MB.
inline std::size_t as_count(Int<"k"> k) {
    constexpr std::int64_t most = 1 << 24;
    k.at_least(1);
    require(k.value <= most, "k must be at most ", most, ", got ", k.value);
    return static_cast<std::size_t>(k.value);
}

/// Hears Ctrl-C and reports progress (None or a callable of (done, total)) from a call that has let
/// go of the GIL.
Run make_run(Threads threads, const py::object& progress);

/// A getter that waits for the index's lock: with the GIL, a change in another thread, which wants
/// that now and then, would wait for it in turn.
template <class Get>
auto without_gil(Get get) {
    return py::cpp_function(get, py::call_guard<py::gil_scoped_release>());
}

}  // namespace nearfield::bindings
