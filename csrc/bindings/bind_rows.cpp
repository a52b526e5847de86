// Hashes over everything in a collection's rows, many rows a call.
#include <cstdint>
#include <cstring>
#include <string>

#include "bindings/bindings.h"
#include "storage/xxh3.h"

namespace nearfield::bindings {
namespace {

void put_number(std::string& out, char kind, std::int64_t value) {
    char bytes[8];
    std::memcpy(bytes, &value, 8);
    out.push_back(kind);
    out.append(bytes, 8);
}

void put_bytes(std::string& out, char kind, const char* data, Py_ssize_t size) {
    put_number(out, kind, size);
    out.append(data, static_cast<std::size_t>(size));
}

/// Kind and length go before each value, so that no two rows are written alike.
void put(std::string& out, PyObject* value) {
    if (value == Py_None) {
        out.push_back('n');
    } else if (PyLong_Check(value)) {
        const long long number = PyLong_AsLongLong(value);
        if (number == -1 && PyErr_Occurred()) throw py::error_already_set();
        put_number(out, 'i', number);
    } else if (PyUnicode_Check(value)) {
        Py_ssize_t size = 0;
        const char* const data = PyUnicode_AsUTF8AndSize(value, &size);
        if (!data) throw py::error_already_set();
        put_bytes(out, 's', data, size);
    } else if (PyBytes_Check(value)) {
        put_bytes(out, 'b', PyBytes_AS_STRING(value), PyBytes_GET_SIZE(value));
    } else {
        throw py::type_error("a row must hold None, int, str and bytes");
    }
}

/// One xxh3, as int64, for each tuple of None, int, str and bytes.
py::list hash_rows(const py::list& rows) {
    py::list hashes(rows.size());
    std::string bytes;
    for (std::size_t i = 0; i < rows.size(); ++i) {
        const auto row = py::reinterpret_borrow<py::object>(
            PyList_GET_ITEM(rows.ptr(), static_cast<Py_ssize_t>(i)));
        if (!PyTuple_Check(row.ptr())) throw py::type_error("a row must be a tuple");
        bytes.clear();
        for (Py_ssize_t j = 0; j < PyTuple_GET_SIZE(row.ptr()); ++j)
            put(bytes, PyTuple_GET_ITEM(row.ptr(), j));
        hashes[i] = py::int_(static_cast<std::int64_t>(xxh3(bytes.data(), bytes.size())));
    }
    return hashes;
}

}  // namespace

void bind_rows(py::module_& m) { m.def("hash_rows", &hash_rows, py::arg("rows")); }

}  // namespace nearfield::bindings
