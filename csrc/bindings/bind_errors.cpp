#include <cerrno>
#include <cstring>

#include "bindings/bindings.h"
#include "core/error.h"

namespace nearfield::bindings {
namespace {

py::object error_type(const char* name) {
    return py::module_::import("nearfield.errors").attr(name);
}

py::object decoded(const std::string& path) {
    return py::module_::import("os").attr("fsdecode")(py::bytes(path));
}

/// Raises errors.<name>(message) with these attributes.
template <class... Values>
void raise(const char* name, const std::string& path, const char* what,
           const std::pair<const char*, Values>&... fields) {
    const py::object type = error_type(name);
    const py::object where = path.empty() ? py::object(py::none()) : decoded(path);
    const py::object error =
        type(path.empty() ? py::str(what) : py::str("{}: {}").format(where, what));
    if (!path.empty()) error.attr("path") = where;
    (void(error.attr(fields.first) = fields.second), ...);
    PyErr_SetObject(type.ptr(), error.ptr());
}

/// As Python itself has it where the reason is the path, and as ours where it is the disk.
void raise_storage(const StorageError& failed) {
    const bool opening = failed.operation == "open" || failed.operation == "create";
    const bool path_is_why = failed.code == ENOENT || failed.code == EACCES ||
                             failed.code == EPERM || failed.code == EISDIR ||
                             failed.code == ENOTDIR || failed.code == ENAMETOOLONG;
    if (path_is_why && (opening || failed.code == EISDIR)) {
        const py::object error = py::reinterpret_borrow<py::object>(PyExc_OSError)(
            failed.code, std::strerror(failed.code), decoded(failed.path));
        PyErr_SetObject(reinterpret_cast<PyObject*>(Py_TYPE(error.ptr())), error.ptr());
        return;
    }
    const py::object type = error_type("StorageError");
    const py::object error = type(failed.code, failed.what(), decoded(failed.path));
    error.attr("operation") = failed.operation;
    PyErr_SetObject(type.ptr(), error.ptr());
}

void translate(std::exception_ptr pointer) {
    try {
        if (pointer) std::rethrow_exception(pointer);
    } catch (const UnknownId& error) {
        py::set_error(error_type("UnknownId"), error.what());
    } catch (const CorruptIndex& error) {
        raise("CorruptIndex", error.path, error.what(), std::pair("section", error.section),
              std::pair("offset", error.offset));
    } catch (const IncompatibleVersion& error) {
        raise("IncompatibleVersion", error.path, error.what(), std::pair("found", error.found),
              std::pair("supported", error.supported), std::pair("writer", error.writer));
    } catch (const ResourceLimit& error) {
        raise("ResourceLimit", "", error.what(), std::pair("needed", error.needed),
              std::pair("limit", error.limit));
    } catch (const ReadOnlyIndex& error) {
        py::set_error(error_type("ReadOnlyIndex"), error.what());
    } catch (const StorageError& error) {
        raise_storage(error);
    }
}

}  // namespace

void bind_errors(py::module_& m) {
    py::register_exception<NotTrained>(m, "NotTrained", PyExc_RuntimeError);
    m.attr("UnknownId") = error_type("UnknownId");
    m.attr("CorruptIndex") = error_type("CorruptIndex");
    py::register_exception_translator(translate);
}

}  // namespace nearfield::bindings
