// Quantizers on their own, for nearfield.quantize.
#include <memory>

#include "bindings/bindings.h"
#include "core/error.h"
#include "core/thread_pool.h"
#include "quantize/frame.h"
#include "quantize/grid.h"
#include "quantize/product_quantizer.h"
#include "quantize/rotation.h"
#include "store/space.h"

namespace nearfield::bindings {
namespace {

using CodeArray = py::array_t<std::uint8_t, py::array::c_style>;

constexpr std::size_t rows_a_piece = 256;

py::ssize_t signed_size(std::size_t n) { return static_cast<py::ssize_t>(n); }

/// Finite rows (n, dim).
Matrix finite(const py::object& values, const char* name, const Run& run) {
    Matrix matrix = as_matrix(values, name);
    const Space space(matrix.view.dim, "dot");
    const py::gil_scoped_release unlocked;
    space.check(name, matrix.view, run);
    return matrix;
}

/// Calls body(row, out) for each row, which gives `width` values.
template <class T, class In, class Body>
py::array_t<T> for_rows(const In* rows, std::size_t n, std::size_t in_width, std::size_t out_width,
                        const Run& run, const Body& body) {
    py::array_t<T> out({signed_size(n), signed_size(out_width)});
    T* const made = out.mutable_data();
    const py::gil_scoped_release unlocked;
    parallel_for(run, n, rows_a_piece, [&](std::size_t begin, std::size_t end, std::size_t) {
        for (std::size_t i = begin; i < end; ++i) body(rows + i * in_width, made + i * out_width);
    });
    return out;
}

py::array_t<float> rotate(const py::object& vectors, Natural<"seed"> seed, Flag<"inverse"> inverse,
                          Threads threads) {
    const Run run = make_run(threads, py::none());
    const Matrix rows = finite(vectors, "vectors", run);
    const Rotation rotation(rows.view.dim, seed.value);
    const std::size_t dim = rows.view.dim;
    return for_rows<float>(
        rows.view.data, rows.view.rows, dim, dim, run, [&](const float* in, float* out) {
            inverse.value ? rotation.apply_inverse(in, out) : rotation.apply(in, out);
        });
}

/// Levels (n, dim), and values . y of each row.
py::tuple grid_codes(const py::object& vectors, Int<"bits"> levels_bits, Threads threads) {
    const int bits = static_cast<int>(levels_bits.in(1, max_grid_bits));
    const Run run = make_run(threads, py::none());
    const Matrix rows = finite(vectors, "vectors", run);
    const std::size_t n = rows.view.rows, dim = rows.view.dim;
    py::array_t<float> dots(signed_size(n));
    float* const out = dots.mutable_data();
    CodeArray levels = for_rows<std::uint8_t>(
        rows.view.data, n, dim, dim, run, [&](const float* row, std::uint8_t* code) {
            out[static_cast<std::size_t>(row - rows.view.data) / dim] =
                fit_grid(row, dim, bits, code).dot;
        });
    return py::make_tuple(std::move(levels), std::move(dots));
}

CodeArray encode(const ProductQuantizer& quantizer, const py::object& vectors, Threads threads) {
    if (!quantizer.trained()) throw NotTrained("the quantizer is not trained; call train() first");
    const Run run = make_run(threads, py::none());
    const Matrix rows = finite(vectors, "vectors", run);
    require(rows.view.dim == quantizer.dim(), "vectors must have shape (n, ", quantizer.dim(),
            "), got (", rows.view.rows, ", ", rows.view.dim, ")");
    return for_rows<std::uint8_t>(
        rows.view.data, rows.view.rows, quantizer.dim(), quantizer.m(), run,
        [&](const float* row, std::uint8_t* code) { quantizer.encode(row, code); });
}

py::array_t<float> decode(const ProductQuantizer& quantizer, const CodeArray& codes,
                          Threads threads) {
    if (!quantizer.trained()) throw NotTrained("the quantizer is not trained; call train() first");
    require(codes.ndim() == 2 && static_cast<std::size_t>(codes.shape(1)) == quantizer.m(),
            "codes must have shape (n, ", quantizer.m(), ")");
    const Run run = make_run(threads, py::none());
    return for_rows<float>(
        codes.data(), static_cast<std::size_t>(codes.shape(0)), quantizer.m(), quantizer.dim(), run,
        [&](const std::uint8_t* code, float* row) { quantizer.decode(code, row); });
}

py::array_t<float> table(const ProductQuantizer& quantizer, const py::object& query, bool squared) {
    if (!quantizer.trained()) throw NotTrained("the quantizer is not trained; call train() first");
    const Matrix row = finite(query, "query", make_run({1}, py::none()));
    require(row.view.rows == 1 && row.view.dim == quantizer.dim(), "query must have shape (",
            quantizer.dim(), ",)");
    py::array_t<float> out({signed_size(quantizer.m()), signed_size(quantizer.k())});
    quantizer.table(row.view.data,
                    squared ? ProductQuantizer::Table::squared : ProductQuantizer::Table::dot,
                    out.mutable_data());
    return out;
}

}  // namespace

void bind_quantizers(py::module_& m) {
    m.def("rotate", &rotate, py::arg("vectors"), py::arg("seed"), py::arg("inverse"),
          py::arg("threads"));
    m.def("grid_codes", &grid_codes, py::arg("vectors"), py::arg("bits"), py::arg("threads"));
    m.def(
        "product_rotation",
        [](const py::object& vectors, Int<"pq_m"> pq_m, Int<"bits"> bits, Natural<"seed"> seed,
           Threads threads) {
            const Run run = make_run(threads, py::none());
            const Matrix rows = finite(vectors, "vectors", run);
            std::vector<float> matrix;
            {
                const py::gil_scoped_release unlocked;
                matrix =
                    product_rotation(rows.view, pq_m.at_least(1), as_c_int(bits), seed.value, run);
            }
            const py::ssize_t dim = signed_size(rows.view.dim);
            return py::array_t<float>({dim, dim}, matrix.data());
        },
        py::arg("vectors"), py::arg("pq_m"), py::arg("bits"), py::arg("seed"), py::arg("threads"));

    py::class_<ProductQuantizer>(m, "ProductQuantizer")
        .def(py::init([](Int<"dim"> dim, Int<"pq_m"> pq_m, Int<"bits"> bits,
                         Real<"parallel_weight"> parallel_weight, Natural<"seed"> seed) {
                 ProductParams params;
                 params.m = pq_m.at_least(0);
                 params.bits = as_c_int(bits);
                 params.parallel_weight = static_cast<float>(parallel_weight.value);
                 params.seed = seed.value;
                 return std::make_unique<ProductQuantizer>(dim.at_least(0), params);
             }),
             py::arg("dim"), py::arg("pq_m"), py::arg("bits"), py::arg("parallel_weight"),
             py::arg("seed"))
        .def(
            "train",
            [](ProductQuantizer& quantizer, const py::object& vectors, Threads threads,
               const py::object& progress) {
                const Run run = make_run(threads, progress);
                const Matrix rows = finite(vectors, "vectors", make_run(threads, py::none()));
                const py::gil_scoped_release unlocked;
                quantizer.train(rows.view, run);
            },
            py::arg("vectors"), py::arg("threads"), py::arg("progress"))
        .def(
            "restore",
            [](ProductQuantizer& quantizer, const FloatArray& codebooks) {
                quantizer.set_codebooks({codebooks.data(), codebooks.data() + codebooks.size()});
            },
            py::arg("codebooks"))
        .def("encode", &encode, py::arg("vectors"), py::arg("threads"))
        .def("decode", &decode, py::arg("codes").noconvert(), py::arg("threads"))
        .def("table", &table, py::arg("query"), py::arg("squared"))
        .def("codebooks",
             [](const ProductQuantizer& quantizer) {
                 const std::size_t width = quantizer.dim() / quantizer.m();
                 return py::array_t<float>({quantizer.trained() ? signed_size(quantizer.m()) : 0,
                                            signed_size(quantizer.k()), signed_size(width)},
                                           quantizer.codebooks().data());
             })
        .def_property_readonly("trained", &ProductQuantizer::trained);
}

}  // namespace nearfield::bindings
