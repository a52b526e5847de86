// One query, the plain way: what takes two microseconds through general argument handling takes
// half of one here, and a short walk takes five.
#include "bindings/bindings.h"
#include "core/thread_pool.h"
#include "index/index.h"

namespace nearfield::bindings {
namespace {

constexpr Py_ssize_t most = 65'536;  // of k and ef_search; larger ones go the general way

/// A new 1-D array, its memory not set.
PyObject* new_array(const py::dtype& dtype, Py_intptr_t n) {
    const auto& api = py::detail::npy_api::get();
    return api.PyArray_NewFromDescr_(api.PyArray_Type_, dtype.inc_ref().ptr(), 1, &n, nullptr,
                                     nullptr, 0, nullptr);
}

bool is_plain_vector(const py::array& array, std::size_t dim) {
    return array.ndim() == 1 && static_cast<std::size_t>(array.shape(0)) == dim &&
           (array.flags() & py::array::c_style) != 0 &&
           (array.flags() & py::detail::npy_api::NPY_ARRAY_ALIGNED_) != 0 &&
           array.dtype().num() == py::detail::npy_api::NPY_FLOAT_;
}

/// (core, result_type, query, k, ef_search, threads): ef_search None for the index's
/// own, result_type, a tuple of two, of ids and distances. None where anything is unusual, errors
/// included: the general way then deals with it.
PyObject* search_one(PyObject*, PyObject* const* args, Py_ssize_t n_args) {
    if (n_args != 6 || Py_TYPE(args[2]) != py::detail::npy_api::get().PyArray_Type_ ||
        !PyLong_CheckExact(args[3]) || !PyLong_CheckExact(args[5]) ||
        (args[4] != Py_None && !PyLong_CheckExact(args[4])))
        Py_RETURN_NONE;
    const bool own_ef = args[4] == Py_None;
    const Py_ssize_t k = PyLong_AsSsize_t(args[3]);
    const Py_ssize_t ef_search = own_ef ? 0 : PyLong_AsSsize_t(args[4]);
    const Py_ssize_t threads = PyLong_AsSsize_t(args[5]);
    if (k < 1 || k > most || (ef_search < 1 && !own_ef) || ef_search > most || threads < 0 ||
        threads > max_threads) {
        PyErr_Clear();
        Py_RETURN_NONE;
    }
    try {
        const auto& index = *py::handle(args[0]).cast<const Index*>();
        const auto query = py::reinterpret_borrow<py::array>(args[2]);
        const std::size_t dim = index.space().dim();
        if (!is_plain_vector(query, dim)) Py_RETURN_NONE;
        const auto ids = py::reinterpret_steal<py::object>(new_array(py::dtype::of<Id>(), k));
        const auto distances =
            py::reinterpret_steal<py::object>(new_array(py::dtype::of<float>(), k));
        if (!ids || !distances) throw py::error_already_set();
        const auto data_of = [](const py::object& array) {
            return static_cast<void*>(py::detail::array_proxy(array.ptr())->data);
        };
        auto* const ids_out = static_cast<Id*>(data_of(ids));
        auto* const distances_out = static_cast<float*>(data_of(distances));
        const MatrixView view{static_cast<const float*>(query.data()), 1, dim};
        const SearchParams params{static_cast<std::size_t>(k), static_cast<std::size_t>(ef_search),
                                  0, nullptr};
        {
            const py::gil_scoped_release unlocked;
            index.search(view, params, FilterSpec{}, ids_out, distances_out, Run{1, nullptr});
        }
        auto* const type = reinterpret_cast<PyTypeObject*>(args[1]);
        PyObject* const result = type->tp_alloc(type, 2);
        if (!result) return nullptr;
        PyTuple_SET_ITEM(result, 0, py::object(ids).release().ptr());
        PyTuple_SET_ITEM(result, 1, py::object(distances).release().ptr());
        return result;
    } catch (const py::error_already_set&) {
        PyErr_Clear();
    } catch (const std::exception&) {
        // Told by the general way.
    }
    Py_RETURN_NONE;
}

PyMethodDef functions[] = {
    {"search_one", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(search_one)),
     METH_FASTCALL,
     "(core, result_type, query, k, ef_search, threads): None where it is not for this."},
    {nullptr, nullptr, 0, nullptr}};

}  // namespace

void bind_search_one(py::module_& m) {
    if (PyModule_AddFunctions(m.ptr(), functions) != 0) throw py::error_already_set();
}

}  // namespace nearfield::bindings
