#include "bindings/bindings.h"
#include "core/thread_pool.h"
#include "kernels/kernels.h"

namespace nearfield::bindings {

void bind_config(py::module_& m) {
    m.def("num_threads", &num_threads);
    m.def(
        "set_num_threads",
        [](Threads threads) { set_num_threads(static_cast<int>(threads.in(0, max_threads))); },
        py::arg("threads"));
    m.def("build_config", [] {
        py::dict config;
        config["version"] = NEARFIELD_VERSION;
#if defined(__clang__)
        config["compiler"] = "clang " __clang_version__;
#elif defined(__GNUC__)
        config["compiler"] = "gcc " __VERSION__;
#endif
#if defined(__SANITIZE_ADDRESS__)
        config["sanitizer"] = "address";
#elif defined(__SANITIZE_THREAD__)
        config["sanitizer"] = "thread";
#else
        config["sanitizer"] = py::none();
#endif
        config["isa"] = kernels::active_layer();
        py::dict layers;
        std::size_t count = 0;
        const kernels::Layer* all = kernels::layers(count);
        for (std::size_t i = 0; i < count; ++i) layers[all[i].name] = all[i].supported();
        config["layers"] = layers;
        config["num_threads"] = num_threads();
        return config;
    });
}

}  // namespace nearfield::bindings
