// The kernels that scan codes in panels and blocks, for tests: private, `_core.kernels`.
#include <string>

#include "bindings/bindings.h"
#include "core/error.h"
#include "kernels/kernels.h"

namespace nearfield::bindings {
namespace {

template <class T>
using Array = py::array_t<T, py::array::c_style>;

/// `panels` (n, lines * 64).
struct Panels {
    Panels(const Array<std::uint8_t>& panels, int bits)
        : n(static_cast<std::size_t>(panels.shape(0))),
          lines(static_cast<std::size_t>(panels.shape(1)) / 64),
          index(kernels::bits_index(bits)) {
        require(panels.ndim() == 2 && panels.shape(1) % 64 == 0,
                "panels must have rows of whole lines");
    }
    std::size_t n, lines, index;
};

Array<std::int32_t> panel_dots(const std::string& layer, int bits, const Array<std::int8_t>& query,
                               const Array<std::uint8_t>& panels) {
    const Panels shape(panels, bits);
    require(
        static_cast<std::size_t>(query.size()) == shape.lines * 32 / static_cast<std::size_t>(bits),
        "query must have as many entries as codes have values");
    Array<std::int32_t> dots(static_cast<py::ssize_t>(shape.n * kernels::panel_rows));
    kernels::kernels_up_to(layer.c_str())
        .panel_dots[shape.index](query.data(), panels.data(), shape.n, shape.lines,
                                 dots.mutable_data());
    return dots;
}

Array<std::uint8_t> panel_unpack(const std::string& layer, int bits,
                                 const Array<std::uint8_t>& panels, std::size_t out_lines) {
    const Panels shape(panels, bits);
    Array<std::uint8_t> out({shape.n, out_lines * 64});
    kernels::kernels_up_to(layer.c_str())
        .panel_unpack[shape.index](panels.data(), shape.n, shape.lines, out_lines,
                                   out.mutable_data());
    return out;
}

/// `tables` (2 pairs, 16), `blocks` (n, pairs * 32).
Array<std::int32_t> lookup_sums(const std::string& layer, const Array<std::uint8_t>& tables,
                                const Array<std::uint8_t>& blocks) {
    const auto pairs = static_cast<std::size_t>(tables.shape(0)) / 2;
    require(tables.ndim() == 2 && tables.shape(1) == 16 && blocks.ndim() == 2 && pairs % 2 == 0 &&
                static_cast<std::size_t>(blocks.shape(1)) == pairs * kernels::lookup_rows,
            "tables must have an even number of pairs, blocks as many");
    const auto n = static_cast<std::size_t>(blocks.shape(0));
    Array<std::int32_t> sums(static_cast<py::ssize_t>(n * kernels::lookup_rows));
    kernels::kernels_up_to(layer.c_str())
        .lookup_sums(tables.data(), blocks.data(), n, pairs, sums.mutable_data());
    return sums;
}

/// `tables` (4 steps, 64), `blocks` (n, bytes * 32), of at most 3 steps bytes. None where the layer
/// has no such look-ups.
py::object lookup6_sums(const std::string& layer, const Array<std::uint8_t>& tables,
                        const Array<std::uint8_t>& blocks, bool ahead) {
    const auto sum = kernels::kernels_up_to(layer.c_str()).lookup6_sums;
    if (sum == nullptr) return py::none();
    const auto n = static_cast<std::size_t>(blocks.shape(0));
    const std::size_t bytes = static_cast<std::size_t>(blocks.shape(1)) / kernels::lookup_rows;
    require(tables.ndim() == 2 && tables.shape(1) == 64 && blocks.ndim() == 2 &&
                static_cast<std::size_t>(tables.shape(0)) == (bytes + 2) / 3 * 4,
            "tables must be four for every three bytes");
    Array<std::int32_t> sums(static_cast<py::ssize_t>(n * kernels::lookup_rows));
    sum(tables.data(), blocks.data(), n, bytes, ahead, sums.mutable_data());
    return sums;
}

}  // namespace

void bind_block_kernels(py::module_& core) {
    auto m = core.attr("kernels").cast<py::module_>();
    m.def("panel_dots", panel_dots, py::arg("layer"), py::arg("bits"), py::arg("query").noconvert(),
          py::arg("panels").noconvert());
    m.def("panel_unpack", panel_unpack, py::arg("layer"), py::arg("bits"),
          py::arg("panels").noconvert(), py::arg("out_lines"));
    m.def("lookup_sums", lookup_sums, py::arg("layer"), py::arg("tables").noconvert(),
          py::arg("blocks").noconvert());
    m.def("lookup6_sums", lookup6_sums, py::arg("layer"), py::arg("tables").noconvert(),
          py::arg("blocks").noconvert(), py::arg("ahead"));
}

}  // namespace nearfield::bindings
