#include "bindings/bindings.h"

namespace nearfield::bindings {

void bind_quantize(py::module_&) {}

}  // namespace nearfield::bindings
