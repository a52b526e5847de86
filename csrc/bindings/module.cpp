#include "bindings/bindings.h"

PYBIND11_MODULE(_core, m) {
    using namespace nearfield::bindings;
    m.doc() = "The compiled core of nearfield; use the names of the package nearfield instead.";
    m.attr("__version__") = NEARFIELD_VERSION;
    bind_errors(m);
    bind_config(m);
    bind_kernels(m);
    bind_graph_kernels(m);
    bind_block_kernels(m);
    bind_quantize(m);
    bind_quantizers(m);
    bind_index(m);
    bind_hnsw(m);
    bind_ivf(m);
    bind_search_one(m);
    bind_together(m);
    bind_hits(m);
    bind_exact(m);
    bind_state(m);
    bind_storage(m);
    bind_c_api(m);
    bind_rows(m);
}
