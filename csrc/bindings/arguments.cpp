#include "bindings/arguments.h"

namespace nearfield::bindings {
namespace {

constexpr std::size_t most_shown = 80;  // bytes of a value in a message

[[noreturn]] void refuse(const py::handle& value, const char* name, const char* kind) {
    auto shown = py::repr(value).cast<std::string>();
    if (shown.size() > most_shown) shown = py::str(py::type::handle_of(value)).cast<std::string>();
    throw py::type_error(text(name, " must be ", kind, ", got ", shown));
}

py::object as_index(const py::handle& value, const char* name) {
    // A bool is an int to Python; where a number is asked for it is a slip (bits=True).
    if (PyBool_Check(value.ptr()) || !PyIndex_Check(value.ptr())) refuse(value, name, "an int");
    PyObject* const number = PyNumber_Index(value.ptr());
    if (!number) {
        PyErr_Clear();  // an array of several has __index__, and raises
        refuse(value, name, "an int");
    }
    return py::reinterpret_steal<py::object>(number);
}

std::string digits(const py::handle& number) { return py::str(number).cast<std::string>(); }

}  // namespace

std::int64_t as_int(const py::handle& value, const char* name) {
    const py::object number = as_index(value, name);
    int overflow = 0;
    const long long found = PyLong_AsLongLongAndOverflow(number.ptr(), &overflow);
    require(overflow == 0, name, " must fit int64, got ", digits(number));
    return found;
}

std::uint64_t as_natural(const py::handle& value, const char* name) {
    const py::object number = as_index(value, name);
    const unsigned long long found = PyLong_AsUnsignedLongLong(number.ptr());
    if (PyErr_Occurred()) {
        PyErr_Clear();
        throw py::value_error(text(name, " must be in 0..2**64 - 1, got ", digits(number)));
    }
    return found;
}

double as_real(const py::handle& value, const char* name) {
    const double found = PyFloat_AsDouble(value.ptr());
    if (!PyErr_Occurred()) return found;
    const bool too_large = PyErr_ExceptionMatches(PyExc_OverflowError) != 0;
    PyErr_Clear();
    if (too_large) throw py::value_error(text(name, " must fit a float, got a larger int"));
    refuse(value, name, "a number");
}

bool as_flag(const py::handle& value, const char* name) {
    const auto kind = py::type::handle_of(value).attr("__name__").cast<std::string>();
    if (!PyBool_Check(value.ptr()) && kind != "bool_" && kind != "bool")
        refuse(value, name, "a bool");
    return PyObject_IsTrue(value.ptr()) == 1;
}

std::string as_word(const py::handle& value, const char* name) {
    Py_ssize_t size = 0;
    const char* const letters =
        PyUnicode_Check(value.ptr()) ? PyUnicode_AsUTF8AndSize(value.ptr(), &size) : nullptr;
    if (letters) return {letters, static_cast<std::size_t>(size)};
    PyErr_Clear();  // a lone surrogate
    refuse(value, name, "a str");
}

}  // namespace nearfield::bindings
