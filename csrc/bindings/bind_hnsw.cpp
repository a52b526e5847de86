#include <memory>
#include <string>

#include "bindings/bindings.h"
#include "core/error.h"
#include "index/hnsw/hnsw_index.h"

namespace nearfield::bindings {
namespace {

std::size_t as_size(const char* name, py::ssize_t value) {
    require(value >= 1, name, " must be at least 1, got ", value);
    return static_cast<std::size_t>(value);
}

struct HnswArguments {
    py::ssize_t M, ef_construction, ef_search;
    int bits;
    py::ssize_t code_dim;
    std::string rerank;
    std::uint64_t seed;
};

std::unique_ptr<HnswIndex> make_hnsw(std::size_t dim, const char* metric,
                                     const HnswArguments& given) {
    HnswParams params;
    params.M = as_size("M", given.M);
    params.ef_construction = as_size("ef_construction", given.ef_construction);
    params.ef_search = as_size("ef_search", given.ef_search);
    params.bits = given.bits;
    require(given.code_dim >= 0, "code_dim must be at least 0, got ", given.code_dim);
    params.code_dim = static_cast<std::size_t>(given.code_dim);
    params.rerank = parse_dtype(given.rerank);
    params.seed = given.seed;
    return std::make_unique<HnswIndex>(Space(dim, metric), params);
}

}  // namespace

void bind_hnsw(py::module_& m) {
    py::class_<HnswIndex, Index>(m, "HnswIndex")
        .def(py::init([](std::size_t dim, const char* metric, py::ssize_t M,
                         py::ssize_t ef_construction, py::ssize_t ef_search, int bits,
                         py::ssize_t code_dim, std::string rerank, std::uint64_t seed) {
                 return make_hnsw(dim, metric,
                                  {M, ef_construction, ef_search, bits, code_dim,
                                   std::move(rerank), seed});
             }),
             py::arg("dim"), py::arg("metric"), py::arg("M"), py::arg("ef_construction"),
             py::arg("ef_search"), py::arg("bits"), py::arg("code_dim"), py::arg("rerank"), py::arg("seed"))
        .def(
            "optimize",
            [](HnswIndex& index, int threads, const py::object& progress) {
                const Run run = make_run(threads, progress);
                const py::gil_scoped_release unlocked;
                index.optimize(run);
            },
            py::arg("threads"), py::arg("progress"))
        .def_property_readonly("vector_bytes", &HnswIndex::vector_bytes)
        .def_property_readonly("code_dim",
                               [](const HnswIndex& index) { return index.params().code_dim; })
        .def_property("ef_search", &HnswIndex::ef_search, [](HnswIndex& index, py::ssize_t ef) {
            const std::size_t ef_search = as_size("ef_search", ef);
            const py::gil_scoped_release unlocked;
            index.set_ef_search(ef_search);
        });
}

}  // namespace nearfield::bindings
