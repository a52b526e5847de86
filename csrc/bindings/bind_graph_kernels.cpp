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
    const std::size_t n =
        kernels::kernels_up_to(layer.c_str())
            .visit(row.data(), width, bits.data(), view, slots.data(), factors.data());
    return py::make_tuple(as_array(slots, n), as_array(factors, n), as_array(bits, bits.size()));
}

/// Rows of codes one after another, all of them estimated in order.
Array<float> estimate(const std::string& layer, int bits, const Array<std::int8_t>& query,
                      const Array<std::uint8_t>& codes, const Array<std::uint32_t>& factors,
                      const py::tuple& terms) {
    require(codes.ndim() == 2 && codes.shape(0) == factors.size(),
            "factors must have one entry a code");
    const auto n = static_cast<std::size_t>(codes.shape(0));
    const auto bytes = static_cast<std::size_t>(codes.shape(1));
    std::vector<std::uint32_t> slots(n);
    for (std::size_t i = 0; i < n; ++i) slots[i] = static_cast<std::uint32_t>(i);
    std::vector<float> out(n + 16);
    const kernels::Kernels table = kernels::kernels_up_to(layer.c_str());
    const auto run = bits == 8   ? table.estimate_u8
                     : bits == 4 ? table.estimate_u4
                     : bits == 2 ? table.estimate_u2
                                 : table.estimate_u1;
    run({query.data(), terms[0].cast<float>(), terms[1].cast<float>(),
         terms[2].cast<std::int32_t>()},
        {codes.data(), bytes, bytes, static_cast<std::uint32_t>(n)}, slots.data(), factors.data(),
        n, out.data());
    return as_array(out, n);
}

py::tuple pool_insert(const std::string& layer, const Array<float>& pool_distances,
                      const Array<std::uint32_t>& pool_nodes, std::size_t capacity,
                      const Array<float>& distances, const Array<std::uint32_t>& slots) {
    const auto n = static_cast<std::size_t>(distances.size());
    auto size = static_cast<std::size_t>(pool_nodes.size());
    require(n <= kernels::pool_batch && distances.size() == slots.size() && size <= capacity,
            "pool_insert takes up to ", kernels::pool_batch, " candidates, got ", n);
    std::vector<float> held(capacity + kernels::pool_slack);
    std::vector<std::uint32_t> nodes(capacity + kernels::pool_slack);
    std::copy_n(pool_distances.data(), size, held.begin());
    std::copy_n(pool_nodes.data(), size, nodes.begin());
    const std::size_t lowest = kernels::kernels_up_to(layer.c_str())
                                   .pool_insert({held.data(), nodes.data()}, &size, capacity,
                                                distances.data(), slots.data(), n);
    return py::make_tuple(as_array(held, size), as_array(nodes, size), lowest);
}

}  // namespace

void bind_graph_kernels(py::module_& core) {
    auto m = core.attr("kernels").cast<py::module_>();
    m.def("visit", visit, py::arg("layer"), py::arg("row").noconvert(),
          py::arg("visited").noconvert());
    m.def("estimate", estimate, py::arg("layer"), py::arg("bits"), py::arg("query").noconvert(),
          py::arg("codes").noconvert(), py::arg("factors").noconvert(), py::arg("terms"));
    m.def("pool_insert", pool_insert, py::arg("layer"), py::arg("pool_distances").noconvert(),
          py::arg("pool_nodes").noconvert(), py::arg("capacity"), py::arg("distances").noconvert(),
          py::arg("slots").noconvert());
}

}  // namespace nearfield::bindings
