#include "bindings/bindings.h"
#include "core/error.h"

namespace nearfield::bindings {

void bind_errors(py::module_& m) {
    py::register_exception<NotTrained>(m, "NotTrained", PyExc_RuntimeError);
    py::register_exception<CorruptIndex>(m, "CorruptIndex", PyExc_ValueError);
    // KeyError prints the repr of its text; a sentence should read as one.
    const auto type = py::module_::import("nearfield.errors").attr("UnknownId");
    m.attr("UnknownId") = type;
    py::register_exception_translator([](std::exception_ptr pointer) {
        try {
            if (pointer) std::rethrow_exception(pointer);
        } catch (const UnknownId& error) {
            py::set_error(py::module_::import("nearfield.errors").attr("UnknownId"), error.what());
        }
    });
}

}  // namespace nearfield::bindings
