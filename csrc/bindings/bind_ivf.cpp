#include <pybind11/stl.h>

#include <memory>
#include <optional>
#include <utility>

#include "bindings/bindings.h"
#include "core/error.h"
#include "index/ivf/ivf_index.h"

namespace nearfield::bindings {
namespace {

std::unique_ptr<IvfIndex> make_ivf(Int<"dim"> dim, const Word<"metric">& metric,
                                   std::optional<Int<"nlist">> nlist, Int<"nprobe"> nprobe,
                                   const Word<"codes">& codes, Int<"bits"> bits,
                                   std::optional<Int<"pq_m">> pq_m, Flag<"opq"> opq,
                                   Flag<"soar"> soar, const std::optional<Word<"rerank">>& rerank,
                                   std::optional<Int<"candidates">> candidates,
                                   Natural<"seed"> seed) {
    IvfParams params;
    Space space(dim.in(1, Space::max_dim), metric.value.c_str());
    if (nlist) params.nlist = nlist->at_least(1);
    params.nprobe = nprobe.at_least(1);
    if (candidates) params.candidates = candidates->at_least(1);
    params.codes.kind = parse_codes(codes.value);
    params.codes.bits = as_c_int(bits);
    if (pq_m) params.codes.m = pq_m->at_least(1);
    params.codes.opq = opq.value;
    params.codes.seed = seed.value;
    params.soar = soar.value;
    params.rerank.reset();
    if (rerank) params.rerank = parse_dtype(rerank->value, "rerank", true);
    return std::make_unique<IvfIndex>(std::move(space), params);
}

}  // namespace

void bind_ivf(py::module_& m) {
    py::class_<IvfIndex, Index>(m, "IvfIndex")
        .def(py::init(&make_ivf), py::arg("dim"), py::arg("metric"), py::arg("nlist"),
             py::arg("nprobe"), py::arg("codes"), py::arg("bits"), py::arg("pq_m"), py::arg("opq"),
             py::arg("soar"), py::arg("rerank"), py::arg("candidates"), py::arg("seed"))
        .def(
            "train",
            [](IvfIndex& index, const py::object& sample, Threads threads,
               const py::object& progress) {
                const Matrix matrix = as_matrix(sample, "sample");
                const Run run = make_run(threads, progress);
                const py::gil_scoped_release unlocked;
                index.train(matrix.view, run);
            },
            py::arg("sample"), py::arg("threads"), py::arg("progress"))
        .def_property_readonly("trained", without_gil(&IvfIndex::trained))
        .def_property_readonly("soar", [](const IvfIndex& index) { return index.params().soar; })
        .def_property_readonly("nlist", without_gil(&IvfIndex::nlist))
        .def_property("nprobe", without_gil(&IvfIndex::nprobe),
                      [](IvfIndex& index, Int<"nprobe"> nprobe) {
                          const std::size_t value = nprobe.at_least(1);
                          const py::gil_scoped_release unlocked;
                          index.set_nprobe(value);
                      });
}

}  // namespace nearfield::bindings
