// The kernel tables, for tests and benchmarks: private, `_core.kernels`. Every function takes the
// name of a layer and checks shapes; none is used by the library itself.
#include <pybind11/stl.h>

#include <cstring>
#include <map>
#include <new>
#include <optional>
#include <string>

#include "bindings/bindings.h"
#include "core/error.h"
#include "kernels/kernels.h"

namespace nearfield::bindings {
namespace {

using kernels::Kernels;
using kernels::Scalar;

using Slots = py::array_t<std::uint32_t, py::array::c_style>;

const Kernels& table(const std::string& layer) {
    static std::map<std::string, Kernels> known;
    const auto found = known.find(layer);
    if (found != known.end()) return found->second;
    return known.emplace(layer, kernels::kernels_up_to(layer.c_str())).first->second;
}

Scalar scalar_of(const std::string& name) {
    static const std::map<std::string, Scalar> names = {{"f32", Scalar::f32},
                                                        {"f16", Scalar::f16},
                                                        {"bf16", Scalar::bf16},
                                                        {"i8", Scalar::i8},
                                                        {"u8", Scalar::u8}};
    const auto found = names.find(name);
    require(found != names.end(), "scalar must be f32, f16, bf16, i8 or u8, got ", name);
    return found->second;
}

std::size_t metric_of(const std::string& name) {
    for (const auto& row : kernels::metric_table)
        if (name == row.name) return static_cast<std::size_t>(row.metric);
    throw std::invalid_argument("metric must be l2, dot or cosine, got " + name);
}

std::size_t element_bytes(Scalar scalar) {
    return scalar == Scalar::f32 ? 4 : scalar == Scalar::f16 || scalar == Scalar::bf16 ? 2 : 1;
}

std::size_t size(const py::array& array, int axis = 0) {
    return static_cast<std::size_t>(array.shape(axis));
}

/// Rows that may be any distance apart, each contiguous.
struct Rows {
    const void* data;
    std::size_t n, dim, stride;

    Rows(const py::array& rows, const char* name) {
        require(rows.ndim() == 2, name, " must have 2 dimensions, got ", rows.ndim());
        require(rows.shape(1) <= 1 || rows.strides(1) == rows.itemsize(), name,
                " must have contiguous rows, got a stride of ", rows.strides(1), " bytes");
        require(rows.strides(0) >= 0, name, " must have a positive stride, got ", rows.strides(0));
        data = rows.data();
        n = size(rows, 0);
        dim = size(rows, 1);
        stride = static_cast<std::size_t>(rows.strides(0));
    }
};

std::size_t count(const Rows& rows, const std::optional<Slots>& slots) {
    if (!slots) return rows.n;
    for (py::ssize_t i = 0; i < slots->size(); ++i)
        require(slots->data()[i] < rows.n, "slots must be below ", rows.n, ", got ",
                slots->data()[i]);
    return static_cast<std::size_t>(slots->size());
}

/// `out` where given, so that benchmarks do not time page faults.
template <class T>
py::array_t<T> output(const std::optional<py::array_t<T>>& out, std::size_t n) {
    if (!out) return py::array_t<T>(static_cast<py::ssize_t>(n));
    require(size(*out) == n, "out must have ", n, " elements, got ", size(*out));
    return *out;
}

template <class RowsFn, class GatherFn, class Query, class T>
py::array_t<T> run(RowsFn in_order, GatherFn gathered, const Query* query, const Rows& rows,
                   const std::optional<Slots>& slots, std::size_t dim,
                   const std::optional<py::array_t<T>>& out, std::size_t repeats) {
    using Element = std::conditional_t<std::is_void_v<Query>, void, std::uint8_t>;
    const std::size_t n = count(rows, slots);
    py::array_t<T> result = output(out, n);
    T* const to = result.mutable_data();
    const auto* const base = static_cast<const Element*>(rows.data);
    const std::uint32_t* const picks = slots ? slots->data() : nullptr;
    const py::gil_scoped_release unlocked;
    for (std::size_t i = 0; i < repeats; ++i) {
        if (picks != nullptr)
            gathered(query, base, picks, n, dim, rows.stride, to);
        else
            in_order(query, base, n, dim, rows.stride, to);
    }
    return result;
}

using FloatOut = std::optional<py::array_t<float>>;
using IntOut = std::optional<py::array_t<std::int32_t>>;
using CountOut = std::optional<py::array_t<std::uint32_t>>;

py::array_t<float> distances(const std::string& layer, const std::string& scalar,
                             const std::string& metric, const py::array& query,
                             const py::array& rows, const std::optional<Slots>& slots,
                             const FloatOut& out, std::size_t repeats) {
    const Rows view(rows, "rows");
    const Scalar s = scalar_of(scalar);
    const auto m = metric_of(metric);
    const std::size_t query_bytes = s == Scalar::i8 || s == Scalar::u8 ? 1 : 4;
    require(static_cast<std::size_t>(rows.itemsize()) == element_bytes(s), "rows must hold ",
            scalar, ", got ", rows.itemsize(), " bytes an element");
    require(static_cast<std::size_t>(query.nbytes()) == view.dim * query_bytes, "query must have ",
            view.dim * query_bytes, " bytes, got ", query.nbytes());
    const auto i = static_cast<std::size_t>(s);
    return run(table(layer).rows[i][m], table(layer).gather[i][m], query.data(), view, slots,
               view.dim, out, repeats);
}

py::array_t<float> dot_f32_i8(const std::string& layer, const py::array_t<float>& query,
                              const py::array_t<std::int8_t>& rows,
                              const std::optional<Slots>& slots, const FloatOut& out,
                              std::size_t repeats) {
    const Rows view(rows, "rows");
    require(size(query) == view.dim, "query must have ", view.dim, " values, got ", size(query));
    return run(table(layer).dot_f32_i8_rows, table(layer).dot_f32_i8_gather,
               static_cast<const void*>(query.data()), view, slots, view.dim, out, repeats);
}

py::array_t<std::int32_t> codes(const std::string& layer, int bits,
                                const py::array_t<std::int8_t>& query,
                                const py::array_t<std::uint8_t>& rows,
                                const std::optional<Slots>& slots, const IntOut& out,
                                std::size_t repeats) {
    const Rows view(rows, "rows");
    const Kernels& k = table(layer);
    require(bits == 1 || bits == 2 || bits == 4 || bits == 8, "bits must be 1, 2, 4 or 8, got ",
            bits);
    require(view.dim % 32 == 0, "rows must have a multiple of 32 bytes, got ", view.dim);
    const std::size_t values = view.dim * 8 / static_cast<std::size_t>(bits);
    require(size(query) == values, "query must have ", values, " values, got ", size(query));
    const auto in_order = bits == 8   ? k.dot_u8_rows
                          : bits == 4 ? k.dot_u4_rows
                          : bits == 2 ? k.dot_u2_rows
                                      : k.dot_u1_rows;
    const auto gathered = bits == 8   ? k.dot_u8_gather
                          : bits == 4 ? k.dot_u4_gather
                          : bits == 2 ? k.dot_u2_gather
                                      : k.dot_u1_gather;
    return run(in_order, gathered, query.data(), view, slots, view.dim, out, repeats);
}

py::array_t<std::uint32_t> hamming(const std::string& layer, const py::array_t<std::uint8_t>& query,
                                   const py::array_t<std::uint8_t>& rows,
                                   const std::optional<Slots>& slots, const CountOut& out,
                                   std::size_t repeats) {
    const Rows view(rows, "rows");
    require(size(query) == view.dim, "query must have ", view.dim, " bytes, got ", size(query));
    return run(table(layer).hamming_rows, table(layer).hamming_gather, query.data(), view, slots,
               view.dim, out, repeats);
}

constexpr std::align_val_t line{64};
void free_aligned(void* data) { ::operator delete(data, line); }

/// An uninitialised array on a 64-byte boundary.
template <class T>
py::array_t<T> aligned(std::vector<py::ssize_t> shape) {
    std::size_t bytes = sizeof(T);
    for (const py::ssize_t s : shape) bytes *= static_cast<std::size_t>(s);
    void* const data = ::operator new(bytes + 1, line);
    const py::capsule owner(data, free_aligned);
    return py::array_t<T>(std::move(shape), static_cast<T*>(data), owner);
}

template <class T>
py::array pack_rows(kernels::PackFn pack, Scalar scalar, const Rows& rows) {
    const auto n = static_cast<py::ssize_t>(kernels::panel_elements(scalar, rows.n, rows.dim));
    py::array_t<T> panels = aligned<T>({n});
    pack(rows.data, rows.n, rows.dim, rows.stride, panels.mutable_data());
    return panels;
}

py::array pack(const std::string& layer, const std::string& scalar, const py::array& rows) {
    const Rows view(rows, "rows");
    const Scalar s = scalar_of(scalar);
    const Kernels& k = table(layer);
    if (s == Scalar::f32) return pack_rows<float>(k.pack_f32, s, view);
    if (s == Scalar::bf16) return pack_rows<std::uint16_t>(k.pack_bf16, s, view);
    require(s == Scalar::u8, "scalar must be f32, bf16 or u8, got ", scalar);
    return pack_rows<std::uint8_t>(k.pack_u8, s, view);
}

template <class Left, class Right, class Out, class Fn>
py::array tile_of(Fn fn, const Rows& a, const py::array& panels, std::size_t n, std::size_t dim,
                  const std::optional<py::array>& out) {
    const std::size_t width = kernels::padded(n, kernels::panel_rows);
    py::array_t<Out> result =
        out ? py::array_t<Out>::ensure(*out)
            : aligned<Out>({static_cast<py::ssize_t>(a.n), static_cast<py::ssize_t>(width)});
    require(size(result, 0) == a.n && size(result, 1) == width, "out must have shape (", a.n, ", ",
            width, "), got (", size(result, 0), ", ", size(result, 1), ")");
    Out* const to = result.mutable_data();
    const auto* const right = static_cast<const Right*>(panels.data());
    const auto* const left = static_cast<const Left*>(a.data);
    const py::gil_scoped_release unlocked;
    fn(left, a.n, a.stride / sizeof(Left), right, n, dim, to, width);
    return result;
}

/// (len(a), n padded to 16) products; `a` is zero-padded to panel_dim columns.
py::array tile(const std::string& layer, const std::string& scalar, const py::array& a,
               const py::array& panels, std::size_t n, std::size_t dim,
               const std::optional<py::array>& out) {
    const Rows left(a, "a");
    const Scalar s = scalar_of(scalar);
    const Kernels& k = table(layer);
    require(left.dim == kernels::panel_dim(s, dim), "a must have ", kernels::panel_dim(s, dim),
            " columns, got ", left.dim);
    require(size(panels) == kernels::panel_elements(s, n, dim), "panels must have ",
            kernels::panel_elements(s, n, dim), " elements, got ", size(panels));
    if (s == Scalar::f32)
        return tile_of<float, float, float>(k.tile_f32, left, panels, n, dim, out);
    if (s == Scalar::bf16)
        return tile_of<std::uint16_t, std::uint16_t, float>(k.tile_bf16, left, panels, n, dim, out);
    return tile_of<std::int8_t, std::uint8_t, std::int32_t>(k.tile_i8, left, panels, n, dim, out);
}

py::array_t<std::uint32_t> select_below(const std::string& layer, const py::array_t<float>& values,
                                        float threshold) {
    py::array_t<std::uint32_t> out(values.size());
    const std::size_t kept =
        table(layer).select_below(values.data(), size(values), threshold, out.mutable_data());
    out.resize({static_cast<py::ssize_t>(kept)});
    return out;
}

py::tuple select_bound(const std::string& layer, const py::array_t<std::int32_t>& dots,
                       const py::array_t<float>& add, const py::array_t<float>& scale,
                       const py::array_t<float>& error, const py::tuple& query, float threshold) {
    const kernels::BoundRows rows{add.data(), scale.data(),
                                  error.size() > 0 ? error.data() : nullptr};
    const kernels::BoundQuery q{query[0].cast<std::int32_t>(), query[1].cast<float>(),
                                query[2].cast<float>(), query[3].cast<float>()};
    py::array_t<std::uint32_t> out(dots.size());
    py::array_t<float> bounds(dots.size());
    const auto kept = static_cast<py::ssize_t>(table(layer).select_bound(
        dots.data(), size(dots), rows, q, threshold, out.mutable_data(), bounds.mutable_data()));
    out.resize({kept});
    bounds.resize({kept});
    return py::make_tuple(out, bounds);
}

py::array_t<bool> mark_closer(const std::string& layer, const py::array_t<std::int32_t>& dots,
                              const py::array_t<float>& terms, const py::array_t<float>& limits,
                              const py::tuple& query) {
    const std::size_t n = size(dots), padded = kernels::padded(n, 16);
    std::vector<std::int32_t> own_dots(dots.data(), dots.data() + n);
    std::vector<float> own_terms(terms.data(), terms.data() + n);
    std::vector<float> own_limits(limits.data(), limits.data() + n);
    own_dots.resize(padded);
    own_terms.resize(padded);
    own_limits.resize(padded);
    std::vector<std::uint64_t> marks(n / 64 + 1);
    table(layer).mark_closer(
        own_dots.data(), own_terms.data(), own_limits.data(), n,
        {query[0].cast<std::int32_t>(), query[1].cast<float>(), query[2].cast<float>()},
        marks.data());
    py::array_t<bool> out(dots.size());
    for (std::size_t i = 0; i < n; ++i) out.mutable_data()[i] = (marks[i / 64] >> i % 64 & 1) != 0;
    return out;
}

py::array_t<std::uint16_t> to_half(const std::string& layer, const std::string& scalar,
                                   const py::array_t<float>& values) {
    py::array_t<std::uint16_t> out(values.size());
    const Kernels& k = table(layer);
    (scalar_of(scalar) == Scalar::f16 ? k.to_f16 : k.to_bf16)(values.data(), size(values),
                                                              out.mutable_data());
    return out;
}

py::array_t<float> from_half(const std::string& layer, const std::string& scalar,
                             const py::array_t<std::uint16_t>& values) {
    py::array_t<float> out(values.size());
    const Kernels& k = table(layer);
    (scalar_of(scalar) == Scalar::f16 ? k.from_f16 : k.from_bf16)(values.data(), size(values),
                                                                  out.mutable_data());
    return out;
}

py::array_t<std::int8_t> to_i8(const std::string& layer, const py::array_t<float>& values,
                               float factor) {
    py::array_t<std::int8_t> out(values.size());
    table(layer).to_i8(values.data(), size(values), factor, out.mutable_data());
    return out;
}

/// In place.
void hadamard(const std::string& layer, py::array_t<float> values) {
    const std::size_t n = size(values);
    require(n != 0 && (n & (n - 1)) == 0, "values must have a power of two of elements, got ", n);
    table(layer).hadamard(values.mutable_data(), n);
}

py::list layers() {
    std::size_t n = 0;
    const kernels::Layer* const all = kernels::layers(n);
    py::list result;
    for (std::size_t i = 0; i < n; ++i)
        result.append(py::make_tuple(all[i].name, all[i].supported()));
    return result;
}

}  // namespace

void bind_kernels(py::module_& core) {
    py::module_ m = core.def_submodule("kernels", "Kernel tables, for tests and benchmarks.");
    const auto no_slots = py::arg("slots") = py::none();
    const auto no_out = py::arg("out") = py::none();
    const auto once = py::arg("repeats") = 1;  // more for timings
    m.def("layers", layers, "(name, supported) of every layer compiled in, lowest first.");
    m.def("active_layer", kernels::active_layer);
    m.def("distances", distances, py::arg("layer"), py::arg("scalar"), py::arg("metric"),
          py::arg("query"), py::arg("rows"), no_slots, no_out, once);
    m.def("dot_f32_i8", dot_f32_i8, py::arg("layer"), py::arg("query").noconvert(),
          py::arg("rows").noconvert(), no_slots, no_out, once);
    m.def("codes", codes, py::arg("layer"), py::arg("bits"), py::arg("query").noconvert(),
          py::arg("rows").noconvert(), no_slots, no_out, once);
    m.def("hamming", hamming, py::arg("layer"), py::arg("query").noconvert(),
          py::arg("rows").noconvert(), no_slots, no_out, once);
    m.def("pack", pack, py::arg("layer"), py::arg("scalar"), py::arg("rows"));
    m.def("tile", tile, py::arg("layer"), py::arg("scalar"), py::arg("a"), py::arg("panels"),
          py::arg("n"), py::arg("dim"), no_out);
    m.def("select_below", select_below, py::arg("layer"), py::arg("values").noconvert(),
          py::arg("threshold"));
    m.def("select_bound", select_bound, py::arg("layer"), py::arg("dots").noconvert(),
          py::arg("add").noconvert(), py::arg("scale").noconvert(), py::arg("error").noconvert(),
          py::arg("query"), py::arg("threshold"));
    m.def("mark_closer", mark_closer, py::arg("layer"), py::arg("dots").noconvert(),
          py::arg("terms").noconvert(), py::arg("limits").noconvert(), py::arg("query"));
    m.def("to_half", to_half, py::arg("layer"), py::arg("scalar"), py::arg("values").noconvert());
    m.def("from_half", from_half, py::arg("layer"), py::arg("scalar"),
          py::arg("values").noconvert());
    m.def("to_i8", to_i8, py::arg("layer"), py::arg("values").noconvert(), py::arg("factor"));
    m.def("hadamard", hadamard, py::arg("layer"), py::arg("values").noconvert());
}

}  // namespace nearfield::bindings
