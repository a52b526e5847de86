#include <pybind11/stl.h>

#include <memory>
#include <optional>
#include <string>

#include "bindings/bindings.h"
#include "core/error.h"
#include "index/ivf/ivf_index.h"

namespace nearfield::bindings {
namespace {

std::size_t as_size(const char* name, py::ssize_t value, py::ssize_t least) {
    require(value >= least, name, " must be at least ", least, ", got ", value);
    return static_cast<std::size_t>(value);
}

struct IvfArguments {
    std::optional<py::ssize_t> nlist, pq_m, candidates;
    py::ssize_t nprobe;
    std::string codes;
    int bits;
    bool opq, soar;
    std::optional<std::string> rerank;
    std::uint64_t seed;
};

std::unique_ptr<IvfIndex> make_ivf(std::size_t dim, const char* metric, const IvfArguments& given) {
    IvfParams params;
    if (given.nlist) params.nlist = as_size("nlist", *given.nlist, 1);
    params.nprobe = as_size("nprobe", given.nprobe, 1);
    if (given.candidates) params.candidates = as_size("candidates", *given.candidates, 1);
    params.codes.kind = parse_codes(given.codes);
    params.codes.bits = given.bits;
    if (given.pq_m) params.codes.m = as_size("pq_m", *given.pq_m, 1);
    params.codes.opq = given.opq;
    params.codes.seed = given.seed;
    params.soar = given.soar;
    params.rerank.reset();
    if (given.rerank) params.rerank = parse_dtype(*given.rerank);
    return std::make_unique<IvfIndex>(Space(dim, metric), params);
}

}  // namespace

void bind_ivf(py::module_& m) {
    py::class_<IvfIndex, Index>(m, "IvfIndex")
        .def(py::init([](std::size_t dim, const char* metric, std::optional<py::ssize_t> nlist,
                         py::ssize_t nprobe, std::string codes, int bits,
                         std::optional<py::ssize_t> pq_m, bool opq, bool soar,
                         std::optional<std::string> rerank, std::optional<py::ssize_t> candidates,
                         std::uint64_t seed) {
                 return make_ivf(dim, metric,
                                 {nlist, pq_m, candidates, nprobe, std::move(codes), bits, opq,
                                  soar, std::move(rerank), seed});
             }),
             py::arg("dim"), py::arg("metric"), py::arg("nlist"), py::arg("nprobe"),
             py::arg("codes"), py::arg("bits"), py::arg("pq_m"), py::arg("opq"), py::arg("soar"),
             py::arg("rerank"), py::arg("candidates"), py::arg("seed"))
        .def(
            "train",
            [](IvfIndex& index, const py::object& sample, int threads, const py::object& progress) {
                const Matrix matrix = as_matrix(sample, "sample");
                const Run run = make_run(threads, progress);
                const py::gil_scoped_release unlocked;
                index.train(matrix.view, run);
            },
            py::arg("sample"), py::arg("threads"), py::arg("progress"))
        .def_property_readonly("trained", &IvfIndex::trained)
        .def_property_readonly("soar", [](const IvfIndex& index) { return index.params().soar; })
        .def_property_readonly("nlist", &IvfIndex::nlist)
        .def_property("nprobe", &IvfIndex::nprobe, [](IvfIndex& index, py::ssize_t nprobe) {
            const std::size_t value = as_size("nprobe", nprobe, 1);
            const py::gil_scoped_release unlocked;
            index.set_nprobe(value);
        });
}

}  // namespace nearfield::bindings
