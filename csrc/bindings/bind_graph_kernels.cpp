// The kernels that walk a graph, for tests: private, `_core.kernels`.
#include <string>
#include <vector>

#include "bindings/bindings.h"
#include "core/error.h"
#include "kernels/kernels.h"

namespace nearfield::bindings {
namespace {

template <class T>
using Array = py::array_t<T, py::array::c_style>;

template <class T>
Array<T> as_array(const std::vector<T>& values, std::size_t n) {
    return Array<T>(static_cast<py::ssize_t>(n), values.data());
}

/// `row` holds as many factors as slots; `visited` is a copy that comes back changed.
py::tuple visit(const std::string& layer, const Array<std::uint32_t>& row,
                const Array<std::uint64_t>& visited) {
    const auto width = static_cast<std::size_t>(row.size()) / 2;
    require(width % 16 == 0, "row must have a multiple of 32 entries, got ", row.size());
    std::vector<std::uint64_t> bits(visited.data(), visited.data() + visited.size());
    std::vector<std::uint32_t> slots(width + 16), factors(width + 16);
    const std::vector<std::uint8_t> codes(64);
    const kernels::CodeRows view{codes.data(), 0, codes.size(),
                                 static_cast<std::uint32_t>(64 * bits.size())};
    const std::size_t n = kernels::kernels_up_to(layer.c_str())
                              .visit(row.data(), width, bits.data(), view, slots.data(),
                                     factors.data());
    return py::make_tuple(as_array(slots, n), as_array(factors, n), as_array(bits, bits.size()));
}

Array<float> estimate(const std::string& layer, const Array<std::int32_t>& dots,
                      const Array<std::uint32_t>& factors, float a, float b, std::int32_t shift) {
    require(dots.size() == factors.size(), "factors must have one entry a dot");
    Array<float> out(dots.size());
    kernels::kernels_up_to(layer.c_str())
        .estimate(dots.data(), factors.data(), static_cast<std::size_t>(dots.size()), {a, b, shift},
                  out.mutable_data());
    return out;
}

py::tuple pool_insert(const std::string& layer, const Array<std::uint64_t>& pool,
                      std::size_t capacity, const Array<float>& distances,
                      const Array<std::uint32_t>& slots) {
    const auto n = static_cast<std::size_t>(distances.size());
    auto size = static_cast<std::size_t>(pool.size());
    require(n <= kernels::pool_batch && distances.size() == slots.size() && size <= capacity,
            "pool_insert takes up to ", kernels::pool_batch, " candidates, got ", n);
    std::vector<std::uint64_t> keys(capacity + kernels::pool_slack);
    std::copy_n(pool.data(), size, keys.begin());
    const std::size_t lowest = kernels::kernels_up_to(layer.c_str())
                                   .pool_insert(keys.data(), &size, capacity, distances.data(),
                                                slots.data(), n);
    return py::make_tuple(as_array(keys, size), lowest);
}

}  // namespace

void bind_graph_kernels(py::module_& core) {
    auto m = core.attr("kernels").cast<py::module_>();
    m.def("visit", visit, py::arg("layer"), py::arg("row").noconvert(),
          py::arg("visited").noconvert());
    m.def("estimate", estimate, py::arg("layer"), py::arg("dots").noconvert(),
          py::arg("factors").noconvert(), py::arg("a"), py::arg("b"), py::arg("shift"));
    m.def("pool_insert", pool_insert, py::arg("layer"), py::arg("pool").noconvert(),
          py::arg("capacity"), py::arg("distances").noconvert(), py::arg("slots").noconvert());
}

}  // namespace nearfield::bindings
