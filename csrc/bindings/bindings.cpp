#include "bindings/bindings.h"

#include <memory>

#include "core/thread_pool.h"

namespace nearfield::bindings {
namespace {

using Clock = std::chrono::steady_clock;
// Ctrl-C is to be heard within 50 ms; pieces of work last up to 20.
constexpr auto tick_period = std::chrono::milliseconds(20);

py::object convert(const py::object& values, const char* name) {
    return py::module_::import("nearfield.arrays").attr("as_matrix")(values, name);
}

}  // namespace

Matrix as_matrix(const py::object& values, const char* name) {
    Matrix matrix;
    // A subclass may mean more than its memory says: numpy's masked arrays do.
    const bool plain = Py_TYPE(values.ptr()) == py::detail::npy_api::get().PyArray_Type_;
    if (plain && FloatArray::check_(values)) {
        matrix.owner = py::reinterpret_borrow<FloatArray>(values);
        if (matrix.owner.ndim() < 1 || matrix.owner.ndim() > 2)
            matrix.owner = convert(values, name).cast<FloatArray>();
    } else {
        matrix.owner = convert(values, name).cast<FloatArray>();
    }
    const auto& array = matrix.owner;
    matrix.single = array.ndim() == 1;
    matrix.view = {array.data(), matrix.single ? 1 : static_cast<std::size_t>(array.shape(0)),
                   static_cast<std::size_t>(array.shape(array.ndim() - 1))};
    return matrix;
}

Run make_run(Threads threads, const py::object& progress) {
    Run run;
    run.threads = static_cast<int>(threads.in(0, max_threads));
    // Borrowed: the caller's argument outlives the call.
    const py::handle report = progress;
    run.tick = [report, last = Clock::now()](std::size_t done, std::size_t total) mutable {
        const auto now = Clock::now();
        if (now - last < tick_period) return;
        last = now;
        const py::gil_scoped_acquire locked;
        if (PyErr_CheckSignals() != 0) throw py::error_already_set();
        if (!report.is_none()) report(done, total);
    };
    return run;
}

}  // namespace nearfield::bindings
