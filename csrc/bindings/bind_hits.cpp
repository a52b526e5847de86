// Answers of a collection, made without a line of Python: beside a writer each that is run meets
// cold caches, and ten rows are many.
#include <algorithm>
#include <cmath>
#include <optional>
#include <string_view>
#include <vector>

#include "bindings/bindings.h"
#include "kernels/prefetch.inl.h"

namespace nearfield::bindings {
namespace {

constexpr Py_ssize_t entry_size = 3, hit_size = 5;

bool is_plain_matrix(const py::array& array, const py::dtype& dtype) {
    return array.ndim() == 2 && (array.flags() & py::array::c_style) != 0 &&
           (array.flags() & py::detail::npy_api::NPY_ARRAY_ALIGNED_) != 0 &&
           array.dtype().num() == dtype.num();
}

/// See nearfield.collection.hits.score, which gives the same.
double score_of(std::string_view metric, double distance) {
    if (metric == "cosine") return std::min(1.0, std::max(0.0, 1.0 - distance / 2.0));
    if (metric == "l2") return 1.0 / (1.0 + std::max(0.0, distance));
    if (distance >= 0) {
        const double small = std::exp(-distance);
        return small / (1.0 + small);
    }
    return 1.0 / (1.0 + std::exp(distance));
}

/// What the cache holds for slots, up to the first that is none; nothing if it lacks one.
std::optional<std::vector<py::object>> entries_of(PyObject* cache, const Id* slots, std::size_t n) {
    std::vector<py::object> found;
    found.reserve(n);
    for (std::size_t i = 0; i < n && slots[i] >= 0; ++i) {
        const auto key = py::reinterpret_steal<py::object>(PyLong_FromLongLong(slots[i]));
        if (!key) throw py::error_already_set();
        PyObject* const entry = PyDict_GetItemWithError(cache, key.ptr());
        if (!entry || !PyTuple_CheckExact(entry) || PyTuple_GET_SIZE(entry) != entry_size) {
            if (PyErr_Occurred()) throw py::error_already_set();
            return std::nullopt;
        }
        found.push_back(py::reinterpret_borrow<py::object>(entry));
    }
    // Each lies somewhere else in memory: they are fetched side by side.
    for (const py::object& entry : found)
        for (Py_ssize_t i = 0; i < entry_size; ++i)
            kernels::prefetch_range(PyTuple_GET_ITEM(entry.ptr(), i), 2 * kernels::cache_line);
    return found;
}

/// The dict that the text stands for; nothing if there is more behind it.
py::object metadata_of(PyObject* text, const py::handle& scan) {
    if (text == Py_None) return py::dict();
    const py::object found = scan(py::handle(text), 0);
    if (!PyTuple_CheckExact(found.ptr()) || PyTuple_GET_SIZE(found.ptr()) != 2) return {};
    const Py_ssize_t end = PyLong_AsSsize_t(PyTuple_GET_ITEM(found.ptr(), 1));
    if (end != PyUnicode_GetLength(text)) return {};
    return py::reinterpret_borrow<py::object>(PyTuple_GET_ITEM(found.ptr(), 0));
}

py::object hit_of(PyTypeObject* type, const py::object& entry, double distance,
                  std::string_view metric, const py::handle& scan) {
    PyObject* const text = PyTuple_GET_ITEM(entry.ptr(), 2);
    py::object metadata = metadata_of(text, scan);
    if (!metadata) return {};
    py::object parts[hit_size] = {
        py::reinterpret_borrow<py::object>(PyTuple_GET_ITEM(entry.ptr(), 0)), py::float_(distance),
        py::float_(score_of(metric, distance)),
        py::reinterpret_borrow<py::object>(PyTuple_GET_ITEM(entry.ptr(), 1)), std::move(metadata)};
    auto hit = py::reinterpret_steal<py::object>(type->tp_alloc(type, hit_size));
    if (!hit) throw py::error_already_set();
    for (Py_ssize_t i = 0; i < hit_size; ++i)
        PyTuple_SET_ITEM(hit.ptr(), i, parts[i].release().ptr());
    return hit;
}

/// (type, cache, slots, distances, metric, scan): a list of hits for each row of slots (n, k) and
/// their distances, with what the cache, a dict from slots to (id, text, metadata as JSON), holds.
/// None where it lacks one and where anything is unusual: the general way then deals with it.
PyObject* make_hits(PyObject*, PyObject* const* args, Py_ssize_t n_args) {
    if (n_args != 6 || !PyType_Check(args[0]) || !PyDict_CheckExact(args[1]) ||
        !PyUnicode_Check(args[4]))
        Py_RETURN_NONE;
    for (const Py_ssize_t array : {2, 3})
        if (Py_TYPE(args[array]) != py::detail::npy_api::get().PyArray_Type_) Py_RETURN_NONE;
    try {
        auto* const type = reinterpret_cast<PyTypeObject*>(args[0]);
        const auto slots = py::reinterpret_borrow<py::array>(args[2]);
        const auto distances = py::reinterpret_borrow<py::array>(args[3]);
        const auto metric = py::handle(args[4]).cast<std::string_view>();
        if (!PyType_IsSubtype(type, &PyTuple_Type) ||
            !is_plain_matrix(slots, py::dtype::of<Id>()) ||
            !is_plain_matrix(distances, py::dtype::of<float>()) ||
            slots.shape(0) != distances.shape(0) || slots.shape(1) != distances.shape(1))
            Py_RETURN_NONE;
        const auto n = static_cast<std::size_t>(slots.shape(0)),
                   k = static_cast<std::size_t>(slots.shape(1));
        py::list out(n);
        for (std::size_t i = 0; i < n; ++i) {
            const auto* const row = static_cast<const Id*>(slots.data()) + i * k;
            const auto* const far = static_cast<const float*>(distances.data()) + i * k;
            const auto entries = entries_of(args[1], row, k);
            if (!entries) Py_RETURN_NONE;
            py::list hits(entries->size());
            for (std::size_t j = 0; j < entries->size(); ++j) {
                py::object hit =
                    hit_of(type, (*entries)[j], static_cast<double>(far[j]), metric, args[5]);
                if (!hit) Py_RETURN_NONE;
                PyList_SET_ITEM(hits.ptr(), static_cast<Py_ssize_t>(j), hit.release().ptr());
            }
            PyList_SET_ITEM(out.ptr(), static_cast<Py_ssize_t>(i), hits.release().ptr());
        }
        return out.release().ptr();
    } catch (const py::error_already_set&) {
        PyErr_Clear();
    } catch (const std::exception&) {
        // Told by the general way.
    }
    Py_RETURN_NONE;
}

PyMethodDef functions[] = {
    {"make_hits", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(make_hits)),
     METH_FASTCALL,
     "(type, cache, slots, distances, metric, scan): None where it is not for this."},
    {nullptr, nullptr, 0, nullptr}};

}  // namespace

void bind_hits(py::module_& m) {
    if (PyModule_AddFunctions(m.ptr(), functions) != 0) throw py::error_already_set();
}

}  // namespace nearfield::bindings
