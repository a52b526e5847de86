#include <memory>
#include <string>

#include "bindings/bindings.h"
#include "core/error.h"
#include "index/hnsw/hnsw_pages.h"

namespace nearfield::bindings {
namespace {

std::size_t as_size(const char* name, py::ssize_t value) {
    require(value >= 1, name, " must be at least 1, got ", value);
    return static_cast<std::size_t>(value);
}

constexpr int fitting_bits = -1;  // in place of a number

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
    params.fits_bits = given.bits == fitting_bits;
    params.bits = given.bits;
    require(given.code_dim >= 0, "code_dim must be at least 0, got ", given.code_dim);
    params.code_dim = static_cast<std::size_t>(given.code_dim);
    set_rerank(params, given.rerank);
    params.seed = given.seed;
    return std::make_unique<HnswIndex>(Space(dim, metric), params);
}

std::unique_ptr<HnswIndex::Pages> make_pages(const HnswIndex& index, const FloatArray& query,
                                             const PreparedFilter* filter, py::ssize_t ef) {
    require(static_cast<std::size_t>(query.size()) == index.space().dim(), "query must have dim ",
            index.space().dim(), ", got ", query.size());
    FilterSpec spec;
    if (filter) {
        spec.kind = FilterSpec::Kind::prepared;
        spec.prepared = filter;
    }
    const std::size_t ef_search = as_size("ef_search", ef);
    const float* const values = query.data();
    const py::gil_scoped_release unlocked;
    return std::make_unique<HnswIndex::Pages>(index, values, spec, ef_search);
}

py::tuple next_page(HnswIndex::Pages& pages, py::ssize_t k) {
    const std::size_t wanted = as_size("k", k);
    const Run run = make_run(1, py::none());
    HnswIndex::Pages::Page page;
    {
        const py::gil_scoped_release unlocked;
        page = pages.next(wanted, run);
    }
    const auto n = static_cast<py::ssize_t>(page.ids.size());
    return py::make_tuple(py::array_t<Id>(n, page.ids.data()),
                          py::array_t<float>(n, page.distances.data()));
}

}  // namespace

void bind_hnsw(py::module_& m) {
    py::class_<HnswIndex::Pages>(m, "HnswPages")
        .def(py::init(&make_pages), py::arg("index"), py::arg("query"),
             py::arg("filter").none(true), py::arg("ef_search"), py::keep_alive<1, 2>())
        .def("next", &next_page, py::arg("k"));

    py::class_<HnswIndex, Index>(m, "HnswIndex")
        .def(py::init([](std::size_t dim, const char* metric, py::ssize_t M,
                         py::ssize_t ef_construction, py::ssize_t ef_search, int bits,
                         py::ssize_t code_dim, std::string rerank, std::uint64_t seed) {
                 return make_hnsw(
                     dim, metric,
                     {M, ef_construction, ef_search, bits, code_dim, std::move(rerank), seed});
             }),
             py::arg("dim"), py::arg("metric"), py::arg("M"), py::arg("ef_construction"),
             py::arg("ef_search"), py::arg("bits"), py::arg("code_dim"), py::arg("rerank"),
             py::arg("seed"))
        .def(
            "optimize",
            [](HnswIndex& index, int threads, const py::object& progress) {
                const Run run = make_run(threads, progress);
                const py::gil_scoped_release unlocked;
                index.optimize(run);
            },
            py::arg("threads"), py::arg("progress"))
        .def(
            "adapt",
            [](HnswIndex& index, const py::object& queries, int threads,
               const py::object& progress) {
                const Matrix matrix = as_matrix(queries, "queries");
                const Run run = make_run(threads, progress);
                const py::gil_scoped_release unlocked;
                index.adapt(matrix.view, run);
            },
            py::arg("queries"), py::arg("threads"), py::arg("progress"))
        .def_property_readonly("vector_bytes", &HnswIndex::vector_bytes)
        .def_property_readonly("fits_bits",
                               [](const HnswIndex& index) { return index.params().fits_bits; })
        .def_property_readonly("code_dim",
                               [](const HnswIndex& index) { return index.params().code_dim; })
        .def_property("ef_search", &HnswIndex::ef_search, [](HnswIndex& index, py::ssize_t ef) {
            const std::size_t ef_search = as_size("ef_search", ef);
            const py::gil_scoped_release unlocked;
            index.set_ef_search(ef_search);
        });
}

}  // namespace nearfield::bindings
