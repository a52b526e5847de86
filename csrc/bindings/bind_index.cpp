#include <pybind11/stl.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>

#include "bindings/bindings.h"
#include "core/error.h"
#include "index/flat/flat_index.h"
#include "index/index.h"

namespace nearfield::bindings {
namespace {

using IdArray = py::array_t<Id, py::array::c_style>;

constexpr std::size_t checked_at_once = 1 << 17;  // values, some 20 microseconds

/// The filter as Python hands it over: None, or (kind, array) made by nearfield.filters.
FilterSpec as_filter(const py::object& filter) {
    using Kind = FilterSpec::Kind;
    FilterSpec spec;
    if (filter.is_none()) return spec;
    const auto pair = filter.cast<py::tuple>();
    const auto kind = pair[0].cast<std::string>();
    if (kind == "prepared") {
        spec.kind = Kind::prepared;
        spec.prepared = pair[1].cast<const PreparedFilter*>();
    } else if (kind == "mask") {
        const auto mask = pair[1].cast<py::array_t<bool, py::array::c_style>>();
        spec.kind = Kind::mask;
        spec.mask = reinterpret_cast<const std::uint8_t*>(mask.data());
        spec.size = static_cast<std::size_t>(mask.size());
    } else {
        const auto ids = pair[1].cast<IdArray>();
        spec.kind = kind == "exclude" ? Kind::exclude_ids : Kind::allow_ids;
        spec.ids = ids.data();
        spec.size = static_cast<std::size_t>(ids.size());
    }
    return spec;
}

template <class T>
py::array_t<T> as_array(const std::vector<T>& values) {
    return py::array_t<T>(static_cast<py::ssize_t>(values.size()), values.data());
}

IdArray add(Index& index, const py::object& vectors, const std::optional<IdArray>& ids,
            Threads threads, const py::object& progress) {
    const Matrix matrix = as_matrix(vectors, "vectors");
    const std::size_t n = matrix.view.rows;
    require(!ids || static_cast<std::size_t>(ids->size()) == n,
            "ids must have one entry a vector (", n, "), got ", ids ? ids->size() : 0);
    const Run run = make_run(threads, progress);
    IdArray given(static_cast<py::ssize_t>(n));
    Id* out = given.mutable_data();
    const Id* in = ids ? ids->data() : nullptr;
    const py::gil_scoped_release unlocked;
    index.add(matrix.view, in, out, run);
    return given;
}

void update(Index& index, const IdArray& ids, const py::object& vectors, Threads threads,
            const py::object& progress) {
    const Matrix matrix = as_matrix(vectors, "vectors");
    require(static_cast<std::size_t>(ids.size()) == matrix.view.rows,
            "ids must have one entry a vector (", matrix.view.rows, "), got ", ids.size());
    const Run run = make_run(threads, progress);
    const Id* in = ids.data();
    const py::gil_scoped_release unlocked;
    index.update(in, matrix.view, run);
}

py::tuple search(const Index& index, const py::object& queries, Int<"k"> k,
                 Int<"ef_search"> ef_search, Int<"nprobe"> nprobe, const py::object& filter,
                 Threads threads) {
    const Matrix matrix = as_matrix(queries, "queries");
    const SearchParams params{as_count(k), ef_search.at_least(0), nprobe.at_least(0), nullptr};
    const FilterSpec spec = as_filter(filter);
    const Run run = make_run(threads, py::none());
    std::vector<py::ssize_t> shape{static_cast<py::ssize_t>(matrix.view.rows),
                                   static_cast<py::ssize_t>(params.k)};
    if (matrix.single) shape.erase(shape.begin());
    IdArray ids(shape);
    FloatArray distances(shape);
    Id* ids_out = ids.mutable_data();
    float* distances_out = distances.mutable_data();
    {
        const py::gil_scoped_release unlocked;
        index.search(matrix.view, params, spec, ids_out, distances_out, run);
    }
    return py::make_tuple(std::move(ids), std::move(distances));
}

py::dict count_work(const Index& index, const py::object& queries, Int<"k"> k,
                    Int<"ef_search"> ef_search, Int<"nprobe"> nprobe, const py::object& filter) {
    const Matrix matrix = as_matrix(queries, "queries");
    Counters counters;
    const SearchParams params{as_count(k), ef_search.at_least(0), nprobe.at_least(0), &counters};
    const FilterSpec spec = as_filter(filter);
    const Run run = make_run({1}, py::none());
    const std::size_t rows = matrix.view.rows;
    {
        const py::gil_scoped_release unlocked;
        std::vector<Id> ids(rows * params.k);
        std::vector<float> distances(rows * params.k);
        index.search(matrix.view, params, spec, ids.data(), distances.data(), run);
    }
    const auto a_query = [&](const std::atomic<std::uint64_t>& total) {
        return static_cast<double>(total.load()) /
               static_cast<double>(std::max<std::size_t>(rows, 1));
    };
    py::dict work;
    work["distances"] = a_query(counters.distances);
    work["exact_distances"] = a_query(counters.exact_distances);
    work["hops"] = a_query(counters.hops);
    work["bytes"] = a_query(counters.bytes);
    return work;
}

py::tuple range_search(const Index& index, const py::object& queries, Real<"radius"> radius,
                       Int<"ef_search"> ef_search, Int<"nprobe"> nprobe, const py::object& filter,
                       Threads threads) {
    const Matrix matrix = as_matrix(queries, "queries");
    const FilterSpec spec = as_filter(filter);
    const Run run = make_run(threads, py::none());
    const SearchParams params{1, ef_search.at_least(0), nprobe.at_least(0), nullptr};
    RangeResult result;
    {
        const py::gil_scoped_release unlocked;
        result =
            index.range_search(matrix.view, static_cast<float>(radius.value), params, spec, run);
    }
    std::vector<std::int64_t> lims(result.lims.begin(), result.lims.end());
    return py::make_tuple(as_array(lims), as_array(result.ids), as_array(result.distances));
}

FloatArray get(const Index& index, const IdArray& ids) {
    const auto n = static_cast<std::size_t>(ids.size());
    FloatArray vectors(
        {static_cast<py::ssize_t>(n), static_cast<py::ssize_t>(index.space().dim())});
    const Id* in = ids.data();
    float* out = vectors.mutable_data();
    const py::gil_scoped_release unlocked;
    index.get(in, n, out);
    return vectors;
}

py::dict stats(const Index& index) {
    Stats found;
    {
        const py::gil_scoped_release unlocked;
        found = index.stats();
    }
    py::dict out, bytes;
    for (const auto& [name, value] : found.words) out[name.c_str()] = value;
    for (const auto& [name, value] : found.numbers) {
        const bool whole = value == static_cast<double>(static_cast<std::int64_t>(value)) &&
                           name.find("share") == std::string::npos;
        if (whole)
            out[name.c_str()] = static_cast<std::int64_t>(value);
        else
            out[name.c_str()] = value;
    }
    std::size_t total = 0;
    for (const auto& [name, value] : found.bytes) {
        bytes[name.c_str()] = value;
        total += value;
    }
    bytes["total"] = total;
    out["bytes"] = bytes;
    return out;
}

void append(FlatIndex& index, const FloatArray& vectors, const IdArray& ids) {
    require(vectors.ndim() == 2 && ids.ndim() == 1 && vectors.shape(0) == ids.shape(0),
            "vectors must be 2-D, with one id a row");
    const auto n = static_cast<std::size_t>(vectors.shape(0));
    const MatrixView view{vectors.data(), n, static_cast<std::size_t>(vectors.shape(1))};
    const Id* in = ids.data();
    const py::gil_scoped_release unlocked;
    index.append(view, in, Run{1, nullptr});
}

std::unique_ptr<FlatIndex> make_flat(Int<"dim"> dim, const Word<"metric">& metric,
                                     const Word<"dtype">& dtype,
                                     std::optional<Flag<"prefilter">> prefilter) {
    FlatParams params;
    params.dtype = parse_dtype(dtype.value);
    if (prefilter)
        params.prefilter =
            prefilter->value ? FlatParams::Prefilter::on : FlatParams::Prefilter::off;
    return std::make_unique<FlatIndex>(Space(dim.in(1, Space::max_dim), metric.value.c_str()),
                                       params);
}

}  // namespace

void bind_index(py::module_& m) {
    py::class_<PreparedFilter>(m, "PreparedFilter")
        .def("__len__", [](const PreparedFilter& filter) { return filter.count; });

    py::class_<Index>(m, "Index")
        .def("add", &add, py::arg("vectors"), py::arg("ids"), py::arg("threads"),
             py::arg("progress"))
        .def("update", &update, py::arg("ids"), py::arg("vectors"), py::arg("threads"),
             py::arg("progress"))
        .def(
            "remove",
            [](Index& index, const IdArray& ids, bool ignore_missing, Threads threads) {
                const Run run = make_run(threads, py::none());
                const Id* in = ids.data();
                const auto n = static_cast<std::size_t>(ids.size());
                const py::gil_scoped_release unlocked;
                return index.remove(in, n, ignore_missing, run);
            },
            py::arg("ids"), py::arg("ignore_missing"), py::arg("threads"))
        .def(
            "check",
            [](const Index& index, const py::object& vectors) {
                const Matrix matrix = as_matrix(vectors, "vectors");
                const Run run{1, {}};
                // Letting go of the GIL can cost more than a small check.
                if (matrix.view.rows * matrix.view.dim < checked_at_once)
                    return index.space().check("vectors", matrix.view, run);
                const py::gil_scoped_release unlocked;
                index.space().check("vectors", matrix.view, run);
            },
            py::arg("vectors"))
        .def("get", &get, py::arg("ids"))
        .def(
            "compact",
            [](Index& index, Threads threads, const py::object& progress) {
                const Run run = make_run(threads, progress);
                const py::gil_scoped_release unlocked;
                index.compact(run);
            },
            py::arg("threads"), py::arg("progress"))
        .def("search", &search, py::arg("queries"), py::arg("k"), py::arg("ef_search"),
             py::arg("nprobe"), py::arg("filter"), py::arg("threads"))
        .def("count_work", &count_work, py::arg("queries"), py::arg("k"), py::arg("ef_search"),
             py::arg("nprobe"), py::arg("filter"))
        .def("range_search", &range_search, py::arg("queries"), py::arg("radius"),
             py::arg("ef_search"), py::arg("nprobe"), py::arg("filter"), py::arg("threads"))
        .def(
            "prepare",
            [](const Index& index, const py::object& filter) {
                const FilterSpec spec = as_filter(filter);
                const py::gil_scoped_release unlocked;
                return index.prepare(spec);
            },
            py::arg("filter"))
        .def("contains", &Index::contains, py::arg("id"), py::call_guard<py::gil_scoped_release>())
        .def("ids",
             [](const Index& index) {
                 std::vector<Id> all;
                 {
                     const py::gil_scoped_release unlocked;
                     all = index.ids();
                 }
                 return as_array(all);
             })
        .def("size", &Index::size, py::call_guard<py::gil_scoped_release>())
        .def("validate", &Index::validate, py::call_guard<py::gil_scoped_release>())
        .def("stats", &stats)
        .def_property_readonly("kind", &Index::kind)
        .def_property_readonly("read_only", &Index::read_only)
        .def_property_readonly("dim", [](const Index& index) { return index.space().dim(); })
        .def_property_readonly("metric",
                               [](const Index& index) { return index.space().metric().name; });

    py::class_<FlatIndex, Index>(m, "FlatIndex")
        .def(py::init(&make_flat), py::arg("dim"), py::arg("metric"), py::arg("dtype"),
             py::arg("prefilter"))
        .def("append", &append, py::arg("vectors"), py::arg("ids"))
        .def("skim", &FlatIndex::skim, py::call_guard<py::gil_scoped_release>())
        .def("make_room", &FlatIndex::make_room, py::arg("n"), py::arg("ahead"),
             py::call_guard<py::gil_scoped_release>());
}

}  // namespace nearfield::bindings
