#include <pybind11/stl.h>

#include <memory>
#include <optional>
#include <utility>

#include "bindings/bindings.h"
#include "core/error.h"
#include "index/hnsw/hnsw_pages.h"

namespace nearfield::bindings {
namespace {

std::unique_ptr<HnswIndex> make_hnsw(Int<"dim"> dim, const Word<"metric">& metric, Int<"M"> M,
                                     Int<"ef_construction"> ef_construction,
                                     Int<"ef_search"> ef_search, std::optional<Int<"bits">> bits,
                                     Int<"code_dim"> code_dim, const Word<"rerank">& rerank,
                                     Natural<"seed"> seed) {
    HnswParams params;
    Space space(dim.in(1, Space::max_dim), metric.value.c_str());
    params.M = M.at_least(1);
    params.ef_construction = ef_construction.at_least(1);
    params.ef_search = ef_search.at_least(1);
    params.fits_bits = !bits;
    if (bits) params.bits = as_c_int(*bits);
    params.code_dim = code_dim.in(0, dim.value);
    set_rerank(params, rerank.value);
    params.seed = seed.value;
    return std::make_unique<HnswIndex>(std::move(space), params);
}

std::unique_ptr<HnswIndex::Pages> make_pages(const HnswIndex& index, const FloatArray& query,
                                             const PreparedFilter* filter, Int<"ef_search"> ef) {
    require(static_cast<std::size_t>(query.size()) == index.space().dim(), "query must have dim ",
            index.space().dim(), ", got ", query.size());
    FilterSpec spec;
    if (filter) {
        spec.kind = FilterSpec::Kind::prepared;
        spec.prepared = filter;
    }
    const std::size_t ef_search = ef.at_least(1);
    const float* const values = query.data();
    const py::gil_scoped_release unlocked;
    return std::make_unique<HnswIndex::Pages>(index, values, spec, ef_search);
}

py::tuple next_page(HnswIndex::Pages& pages, Int<"k"> k) {
    const std::size_t wanted = k.at_least(1);
    const Run run = make_run({1}, py::none());
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
        .def(py::init(&make_hnsw), py::arg("dim"), py::arg("metric"), py::arg("M"),
             py::arg("ef_construction"), py::arg("ef_search"), py::arg("bits"), py::arg("code_dim"),
             py::arg("rerank"), py::arg("seed"))
        .def(
            "optimize",
            [](HnswIndex& index, Threads threads, const py::object& progress) {
                const Run run = make_run(threads, progress);
                const py::gil_scoped_release unlocked;
                index.optimize(run);
            },
            py::arg("threads"), py::arg("progress"))
        .def(
            "adapt",
            [](HnswIndex& index, const py::object& queries, Threads threads,
               const py::object& progress) {
                const Matrix matrix = as_matrix(queries, "queries");
                const Run run = make_run(threads, progress);
                const py::gil_scoped_release unlocked;
                index.adapt(matrix.view, run);
            },
            py::arg("queries"), py::arg("threads"), py::arg("progress"))
        .def_property_readonly("vector_bytes", without_gil(&HnswIndex::vector_bytes))
        .def_property_readonly("fits_bits",
                               [](const HnswIndex& index) { return index.params().fits_bits; })
        .def_property_readonly("code_dim",
                               [](const HnswIndex& index) { return index.params().code_dim; })
        .def_property("ef_search", without_gil(&HnswIndex::ef_search),
                      [](HnswIndex& index, Int<"ef_search"> ef) {
                          const std::size_t ef_search = ef.at_least(1);
                          const py::gil_scoped_release unlocked;
                          index.set_ef_search(ef_search);
                      });
}

}  // namespace nearfield::bindings
