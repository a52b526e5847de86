// What the first bits of two-part codes promise inside a list, against float64.
#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "check.h"
#include "core/random.h"
#include "exact_distance.h"
#include "quantize/residual_codes.h"
#include "store/space.h"

namespace nearfield {
namespace {

using check::check_below;
using check::exact_distance;
using check::product;
using check::Test;

constexpr std::size_t n_lists = 3, list_rows = 80, n_rows = n_lists * list_rows, n_queries = 8;

/// Rows round a few centres, the first dimensions the longest; queries of the same kind.
std::vector<float> shaped_rows(std::size_t n, std::size_t dim, std::uint64_t seed) {
    Random centre(5), random(seed);
    std::vector<float> centres(n_lists * dim), rows(n * dim);
    for (float& value : centres) value = static_cast<float>(centre.normal());
    for (std::size_t i = 0; i < n; ++i)
        for (std::size_t d = 0; d < dim; ++d) {
            const double weight =
                std::exp(-2.0 * static_cast<double>(d) / static_cast<double>(dim));
            rows[i * dim + d] =
                centres[i % n_lists * dim + d] + static_cast<float>(weight * random.normal());
        }
    return rows;
}

/// Sums over all pairs of a query and a row.
struct Errors {
    double pairs = 0, beyond = 0, offsets = 0, first = 0, whole = 0;
};

/// A list of codes, as an index keeps it.
struct List {
    Buffer blocks, rows;
    std::vector<ResidualCodes::Factors> factors;
};

List encoded(const ResidualCodes& codes, const float* framed, const float* centroid,
             std::size_t dim) {
    const BlockCodes& blocks = codes.blocks();
    constexpr std::size_t block = BlockCodes::block_rows;
    List list{Buffer((list_rows + block - 1) / block * blocks.block_bytes()),
              Buffer(list_rows * blocks.row_bytes()),
              {}};
    std::fill_n(list.blocks.as<std::uint8_t>(), list.blocks.size(), std::uint8_t{0});
    std::vector<std::uint8_t> code(blocks.code_size());
    std::vector<float> scratch(2 * dim);
    for (std::size_t i = 0; i < list_rows; ++i) {
        list.factors.push_back(
            codes.encode(framed + i * dim, centroid, code.data(), scratch.data()));
        blocks.pack(code.data(), i % block, list.blocks.data() + i / block * blocks.block_bytes());
        blocks.pack_row(code.data(), list.rows.data() + i * blocks.row_bytes());
    }
    return list;
}

double value_of(std::uint16_t half) {
    float value;
    kernels::kernels().from_f16(&half, 1, &value);
    return value;
}

/// What query i finds in a list, beside `exact` (list_rows,), in the frame.
void compare(const ResidualCodes& codes, const ResidualCodes::Queries& queries, std::size_t i,
             const List& list, float base, float pull, const double* exact, Errors& errors) {
    const BlockCodes& blocks = codes.blocks();
    constexpr std::size_t block = BlockCodes::block_rows;
    const std::size_t n_blocks = (list_rows + block - 1) / block, stride = n_blocks * block;
    Buffer sums(stride * sizeof(std::int32_t));
    BlockCodes::Scratch scratch;
    const std::byte* const query = queries.codes.data() + i * blocks.query_bytes();
    auto* const found = sums.as<std::int32_t>();
    blocks.scan(query, 1, list.blocks.data(), n_blocks, found, stride, scratch);
    std::vector<std::uint32_t> places(list_rows);
    std::vector<float> products(list_rows);
    for (std::uint32_t j = 0; j < list_rows; ++j) places[j] = j;
    const BlockCodes::Terms& terms = queries.terms[i];
    blocks.complete(query, terms, list.rows.data(), places.data(), list_rows, found, scratch,
                    products.data());
    const double counted = codes.norms() ? 1.0 : -pull, reach = codes.reach(queries, i, base);
    for (std::size_t j = 0; j < list_rows; ++j) {
        const ResidualCodes::Factors& f = list.factors[j];
        const double first = base + counted * value_of(f.first_add) -
                             value_of(f.first_scale) * terms.unit * (found[j] - terms.shift);
        const double whole =
            base + counted * value_of(f.add) - value_of(f.scale) * static_cast<double>(products[j]);
        const double most = value_of(f.first_error) * reach;
        errors.pairs += 1;
        errors.beyond += first - most > exact[j];
        errors.offsets += (first - exact[j]) / most;
        errors.first += (first - exact[j]) * (first - exact[j]);
        errors.whole += (whole - exact[j]) * (whole - exact[j]);
    }
}

void one_rotation(const std::string& metric, std::size_t dim, int bits, std::uint64_t seed,
                  Errors& errors) {
    const Space space(dim, metric.c_str());
    const std::vector<float> raw = shaped_rows(n_rows, dim, 11),
                             asked = shaped_rows(n_queries, dim, 12);
    std::vector<float> row_scratch, query_scratch;
    const MatrixView rows = space.prepare({raw.data(), n_rows, dim}, row_scratch);
    const MatrixView ready = space.prepare({asked.data(), n_queries, dim}, query_scratch);
    ResidualParams params;
    params.bits = bits;
    params.seed = seed;
    ResidualCodes codes(dim, space.metric(), params);
    codes.frame().train(rows);
    const Run run{1, {}};
    std::vector<float> framed(n_rows * dim), sorted(n_rows * dim), centroids(n_lists * dim, 0.0f);
    codes.apply(rows, framed.data(), run);
    for (std::size_t i = 0; i < n_rows; ++i)
        for (std::size_t d = 0; d < dim; ++d) {
            const float value = framed[i * dim + d];
            sorted[(i % n_lists * list_rows + i / n_lists) * dim + d] = value;
            centroids[i % n_lists * dim + d] += value / static_cast<float>(list_rows);
        }
    const ListFinder finder(centroids, dim, codes.norms(), run);
    codes.attach(finder);
    ResidualCodes::Queries queries;
    codes.prepare(ready, finder, queries);
    std::vector<double> exact(list_rows);
    for (std::size_t l = 0; l < n_lists; ++l) {
        const float* const c = finder.centroid(static_cast<Slot>(l));
        const List list = encoded(codes, &sorted[l * list_rows * dim], c, dim);
        for (std::size_t i = 0; i < n_queries; ++i) {
            const float* const q = &queries.values[i * dim];
            const double both = product(q, c, dim);
            const double base =
                codes.norms() ? product(q, q, dim) + product(c, c, dim) - 2 * both : -both;
            for (std::size_t j = 0; j < list_rows; ++j)
                exact[j] =
                    codes.estimate(queries, i,
                                   static_cast<float>(exact_distance(
                                       metric, ready.row(i), rows.row(j * n_lists + l), dim)));
            const auto near = static_cast<float>(base);
            compare(codes, queries, i, list, near,
                    codes.pull(queries, i, static_cast<Slot>(l), near), exact.data(), errors);
        }
    }
}

const Test keeps_bound(
    "first bits rule out hardly any row of a list that is near, and are unbiased", [] {
        for (const std::string metric : {"l2", "cosine", "dot"})
            for (const std::size_t dim : {24, 100, 384})
                for (const int bits : {3, 5}) {
                    Errors errors;
                    for (std::uint64_t seed = 0; seed < 12; ++seed)
                        one_rotation(metric, dim, bits, seed, errors);
                    // 6.7 % of normal errors are more than 1.5 deviations below.
                    check_below(errors.beyond / errors.pairs, 0.085);
                    check_below(0.02, errors.beyond / errors.pairs);
                    check_below(std::abs(errors.offsets / errors.pairs), 0.06);
                    check_below(std::sqrt(errors.whole / errors.first), bits == 5 ? 0.12 : 0.4);
                }
    });

}  // namespace
}  // namespace nearfield
