// The table of functions that other compiled modules call: nearfield/c_api.h says what they do.
#include <nearfield/c_api.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "bindings/bindings.h"
#include "core/error.h"
#include "core/top_k.h"
#include "index/index.h"
#include "kernels/kernels.h"

namespace nearfield::bindings {
namespace {

using kernels::Metric;

std::string& reason() {
    thread_local std::string text;
    return text;
}

template <class Work>
auto guarded(const Work& work) -> decltype(work()) {
    try {
        return work();
    } catch (const std::exception& error) {
        reason() = error.what();
    } catch (...) {
        reason() = "an unknown error";
    }
    return -1;
}

void distances_to(Metric metric, const float* query, const float* rows, std::size_t n,
                  std::size_t dim, std::size_t stride, float* distances) {
    const auto f32 = static_cast<std::size_t>(kernels::Scalar::f32);
    kernels::kernels().rows[f32][static_cast<std::size_t>(metric)](
        query, rows, n, dim, stride * sizeof(float), distances);
}

void l2sq(const float* query, const float* rows, std::size_t n, std::size_t dim, std::size_t stride,
          float* distances) {
    distances_to(Metric::l2, query, rows, n, dim, stride, distances);
}

void dot(const float* query, const float* rows, std::size_t n, std::size_t dim, std::size_t stride,
         float* distances) {
    distances_to(Metric::dot, query, rows, n, dim, stride, distances);
}

float norm(const float* row, std::size_t dim) {
    float negated;
    distances_to(Metric::dot, row, row, 1, dim, dim, &negated);
    return std::sqrt(-negated);
}

void cosine(const float* query, const float* rows, std::size_t n, std::size_t dim,
            std::size_t stride, float* distances) {
    distances_to(Metric::dot, query, rows, n, dim, stride, distances);
    const float own = norm(query, dim);
    for (std::size_t i = 0; i < n; ++i) {
        const float both = own * norm(rows + i * stride, dim);
        distances[i] = both > 0 ? std::max(0.0f, 1.0f + distances[i] / both) : 1.0f;
    }
}

std::ptrdiff_t top_k(const float* distances, std::size_t n, std::size_t k, std::int64_t* places,
                     float* nearest) {
    return guarded([&]() -> std::ptrdiff_t {
        require(n < no_slot, "n must be below ", no_slot, ", got ", n);
        require(k >= 1, "k must be at least 1, got ", k);
        TopK best(std::min(k, std::max<std::size_t>(n, 1)));
        for (std::size_t i = 0; i < n; ++i) best.offer({distances[i], static_cast<Slot>(i)});
        const auto& found = best.finish();
        for (std::size_t i = 0; i < k; ++i) {
            const bool held = i < found.size();
            places[i] = held ? static_cast<std::int64_t>(found[i].slot) : no_id;
            nearest[i] = held ? found[i].distance : infinity;
        }
        return static_cast<std::ptrdiff_t>(found.size());
    });
}

const Index& index_of(const nearfield_index* index) {
    return *reinterpret_cast<const Index*>(index);
}

const nearfield_index* open_index(PyObject* object) {
    const py::handle index = object;
    try {
        if (!py::hasattr(index, "_core") || !py::isinstance<Index>(index.attr("_core")))
            throw py::type_error(
                "index must be a nearfield index, got " +
                py::str(py::type::handle_of(index).attr("__name__")).cast<std::string>());
        if (!index.attr("_strings").is_none())
            throw py::type_error("index must have int ids to be searched from C, got str ids");
        return reinterpret_cast<const nearfield_index*>(index.attr("_core").cast<const Index*>());
    } catch (py::error_already_set& error) {
        error.restore();
    } catch (const py::builtin_exception& error) {
        error.set_error();
    } catch (const std::exception& error) {
        PyErr_SetString(PyExc_RuntimeError, error.what());
    }
    return nullptr;
}

std::size_t index_dim(const nearfield_index* index) { return index_of(index).space().dim(); }

std::size_t index_size(const nearfield_index* index) { return index_of(index).size(); }

int search(const nearfield_index* index, const float* queries, std::size_t n_queries,
           const nearfield_search_params* params, std::int64_t* ids, float* distances) {
    return guarded([&] {
        require(params->k >= 1 && params->k < no_slot, "k must be in 1..", no_slot - 1, ", got ",
                params->k);
        require(params->threads >= 0, "threads must be at least 0, got ", params->threads);
        const Index& opened = index_of(index);
        FilterSpec filter;
        if (params->allow != nullptr) {
            filter.kind = FilterSpec::Kind::allow_ids;
            filter.ids = params->allow;
            filter.size = params->n_allow;
        }
        const MatrixView view{queries, n_queries, opened.space().dim()};
        opened.search(view, {params->k, params->effort, params->effort, nullptr}, filter, ids,
                      distances, Run{params->threads, nullptr});
        return 0;
    });
}

const char* last_error() { return reason().c_str(); }

const nearfield_api table = {NEARFIELD_API_VERSION,
                             sizeof(nearfield_api),
                             NEARFIELD_VERSION,
                             l2sq,
                             dot,
                             cosine,
                             top_k,
                             open_index,
                             index_dim,
                             index_size,
                             search,
                             last_error};

}  // namespace

void bind_c_api(py::module_& m) { m.attr("_c_api") = py::capsule(&table, NEARFIELD_API_CAPSULE); }

}  // namespace nearfield::bindings
