// What heads, and the first bits behind them, promise inside a list, against float64.
#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>
#include <utility>
#include <vector>

#include "check.h"
#include "core/random.h"
#include "exact_distance.h"
#include "quantize/headed_codes.h"
#include "quantize/residual_codes.h"
#include "store/space.h"

namespace nearfield {
namespace {

using check::check;
using check::check_below;
using check::check_equal;
using check::exact_distance;
using check::product;
using check::Test;

constexpr std::size_t n_rows = 6000, n_queries = 300, block = BlockCodes::block_rows;
/// Training looks at the two nearest of a sample; all rows are twice as many as that.
constexpr std::size_t near = 2, wanted = 10;
const Run one_thread{1, {}};

/// Rows whose variance falls off along directions of no dimension, some of them in clumps: far
/// more alike than random ones, as texts are.
std::vector<float> shaped_rows(std::size_t n, std::size_t dim, bool clumps, std::uint64_t seed) {
    Random shape(5), random(seed);
    const std::size_t rank = dim / 2;
    std::vector<float> turn(rank * dim), rows(n * dim), centres(40 * rank);
    for (float& value : turn) value = static_cast<float>(shape.normal());
    for (float& value : centres) value = static_cast<float>(shape.normal());
    for (std::size_t i = 0; i < n; ++i) {
        const float* const centre = &centres[i % 40 * rank];
        float* const row = &rows[i * dim];
        for (std::size_t r = 0; r < rank; ++r) {
            const double weight =
                std::exp(-5.0 * static_cast<double>(r) / static_cast<double>(rank));
            const double value = (clumps ? centre[r] : 0.0f) + random.normal();
            for (std::size_t d = 0; d < dim; ++d)
                row[d] += static_cast<float>(weight * value) * turn[r * dim + d];
        }
        for (std::size_t d = 0; d < dim; ++d)
            row[d] = row[d] + 0.05f * static_cast<float>(random.normal()) + 0.2f;
    }
    return rows;
}

float value_of(std::uint16_t half) {
    float value;
    kernels::kernels().from_f16(&half, 1, &value);
    return value;
}

/// One list of all rows, as an index keeps it, its codes behind heads.
struct List {
    std::size_t dim;
    std::string metric;
    Space space;
    std::vector<float> raw_rows, raw_queries, kept_rows, kept_queries;
    MatrixView rows, asked;
    ResidualCodes codes, plain;  // plain: the same without heads
    std::vector<float> centroid;
    std::vector<std::uint8_t> codes_of, plain_of;  // unpacked
    std::vector<ResidualCodes::Factors> factors, plain_factors;
    Buffer blocks, seconds;
    ResidualCodes::Queries queries, plain_queries;

    static ResidualParams params(int bits) {
        ResidualParams params;
        params.bits = bits;
        params.seed = 3;
        return params;
    }

    List(const std::string& which, std::size_t d, int bits, std::vector<float> all,
         std::vector<float> all_asked)
        : dim(d),
          metric(which),
          space(dim, metric.c_str()),
          raw_rows(std::move(all)),
          raw_queries(std::move(all_asked)),
          rows(space.prepare({raw_rows.data(), raw_rows.size() / dim, dim}, kept_rows)),
          asked(space.prepare({raw_queries.data(), raw_queries.size() / dim, dim}, kept_queries)),
          codes(dim, space.metric(), params(bits)),
          plain(dim, space.metric(), params(bits)),
          centroid(dim, 0.0f) {
        codes.frame().train(rows);
        plain.frame().train(rows);
        std::vector<float> framed(rows.rows * dim);
        codes.apply(rows, framed.data(), one_thread);
        for (std::size_t i = 0; i < rows.rows; ++i)
            for (std::size_t k = 0; k < dim; ++k)
                centroid[k] += framed[i * dim + k] / static_cast<float>(rows.rows);
        std::vector<float> residuals = framed;
        for (std::size_t i = 0; i < rows.rows; ++i)
            for (std::size_t k = 0; k < dim; ++k) residuals[i * dim + k] -= centroid[k];
        std::vector<float> centroids = centroid;
        codes.train(residuals, centroids, one_thread);
        const ListFinder finder(centroids, dim, codes.norms(), one_thread);
        codes.attach(finder);
        plain.attach(finder);
        codes.prepare(asked, finder, queries);
        plain.prepare(asked, finder, plain_queries);
        if (codes.blocks().headed() != nullptr) encode(framed);
    }

    void encode(const std::vector<float>& framed) {
        const BlockCodes& kind = codes.blocks();
        const std::size_t n = rows.rows;
        blocks = Buffer((n + block - 1) / block * kind.block_bytes());
        seconds = Buffer(n * kind.row_bytes());
        std::fill_n(blocks.as<std::uint8_t>(), blocks.size(), std::uint8_t{0});
        std::vector<std::uint8_t> code(kind.code_size()), other(dim);
        std::vector<float> scratch(2 * dim);
        for (std::size_t i = 0; i < n; ++i) {
            const float* const row = &framed[i * dim];
            factors.push_back(codes.encode(row, centroid.data(), code.data(), scratch.data()));
            plain_factors.push_back(
                plain.encode(row, centroid.data(), other.data(), scratch.data()));
            codes_of.insert(codes_of.end(), code.begin(),
                            code.begin() + static_cast<std::ptrdiff_t>(dim));
            plain_of.insert(plain_of.end(), other.begin(), other.end());
            kind.pack(code.data(), i % block, blocks.data() + i / block * kind.block_bytes());
            kind.pack_row(code.data(), seconds.data() + i * kind.row_bytes());
        }
    }

    /// Estimates of the codes without heads.
    std::vector<double> plain_estimates(std::size_t i) const {
        const BlockCodes& kind = plain.blocks();
        const std::size_t n = rows.rows, n_blocks = (n + block - 1) / block;
        Buffer first(n_blocks * kind.block_bytes()), rest(n * kind.row_bytes());
        Buffer sums(n_blocks * block * sizeof(std::int32_t));
        std::fill_n(first.as<std::uint8_t>(), first.size(), std::uint8_t{0});
        std::vector<std::uint32_t> places(n);
        std::iota(places.begin(), places.end(), 0u);
        for (std::size_t j = 0; j < n; ++j) {
            const std::uint8_t* const code = &plain_of[j * dim];
            kind.pack(code, j % block, first.data() + j / block * kind.block_bytes());
            kind.pack_row(code, rest.data() + j * kind.row_bytes());
        }
        const std::byte* const query = plain_queries.codes.data() + i * kind.query_bytes();
        auto* const found = sums.as<std::int32_t>();
        BlockCodes::Scratch scratch;
        std::vector<float> products(n);
        kind.scan(query, 1, first.data(), n_blocks, found, n_blocks * block, scratch);
        kind.complete(query, plain_queries.terms[i], rest.data(), places.data(), n, found, scratch,
                      products.data());
        const auto near_base = static_cast<float>(base(i));
        const double counted = codes.norms() ? 1.0 : -codes.pull(queries, i, 0, near_base);
        std::vector<double> out(n);
        for (std::size_t j = 0; j < n; ++j)
            out[j] = near_base + counted * value_of(plain_factors[j].add) -
                     value_of(plain_factors[j].scale) * static_cast<double>(products[j]);
        return out;
    }

    double base(std::size_t i) const {
        const float *const q = &queries.values[i * dim], *const c = centroid.data();
        const double both = product(q, c, dim);
        return codes.norms() ? product(q, q, dim) + product(c, c, dim) - 2 * both : -both;
    }

    /// In the frame.
    std::vector<double> exact(std::size_t i) const {
        std::vector<double> out(rows.rows);
        for (std::size_t j = 0; j < rows.rows; ++j)
            out[j] = codes.estimate(
                queries, i,
                static_cast<float>(exact_distance(metric, asked.row(i), rows.row(j), dim)));
        return out;
    }
};

/// What a query finds of every row: lower bounds by heads and by first bits, and estimates.
struct Found {
    std::vector<double> head, first, whole;
};

Found look(const List& list, std::size_t i, ResidualCodes::HeadScratch& scratch) {
    const HeadedCodes& kind = *list.codes.blocks().headed();
    const std::size_t n = list.rows.rows, n_blocks = (n + block - 1) / block;
    const auto near_base = static_cast<float>(list.base(i));
    const float pull = list.codes.pull(list.queries, i, 0, near_base);
    ResidualCodes::HeadQuery query;
    list.codes.prepare_head(list.queries, i, {list.centroid.data(), near_base, pull}, scratch,
                            query);
    Buffer sums(n_blocks * block * sizeof(std::int32_t));
    auto* const heads = sums.as<std::int32_t>();
    std::vector<std::int32_t> firsts(n + 16);
    kind.heads().scan(query.tables.data(), list.blocks.data(), n_blocks, false, heads);
    std::vector<std::uint32_t> places(n);
    std::iota(places.begin(), places.end(), 0u);
    kind.sum_first(query.ints.data(), list.seconds.data(), places.data(), n, firsts.data());
    std::vector<float> products(n);
    BlockCodes::Scratch codes_scratch;
    kind.complete(list.queries.codes.data() + i * kind.query_bytes(), list.queries.terms[i],
                  list.seconds.data(), places.data(), n, nullptr, codes_scratch, products.data());
    const double counted = list.codes.norms() ? 1.0 : -pull;
    Found found;
    for (std::size_t j = 0; j < n; ++j) {
        const ResidualCodes::Factors& f = list.factors[j];
        const double length = value_of(f.first_scale);
        const double add = list.codes.norms() ? length * length : counted * value_of(f.first_add);
        const auto bound = [&](const kernels::BoundQuery& by, std::int32_t sum) {
            return add - length * by.a * (static_cast<double>(sum) - by.shift) - by.c;
        };
        found.head.push_back(bound(query.head, heads[j]));
        found.first.push_back(bound(query.first, firsts[j]));
        found.whole.push_back(near_base + counted * value_of(f.add) -
                              value_of(f.scale) * static_cast<double>(products[j]));
    }
    return found;
}

std::vector<std::size_t> nearest(const std::vector<double>& distances, std::size_t k) {
    std::vector<std::size_t> order(distances.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(k), order.end(),
                      [&](std::size_t a, std::size_t b) { return distances[a] < distances[b]; });
    order.resize(k);
    return order;
}

/// Shares of what is near that is ruled out, and of all rows that heads let through.
struct Shares {
    double by_head = 0, by_first = 0, either = 0, passed = 0;
};

Shares shares(const List& list) {
    ResidualCodes::HeadScratch scratch;
    Shares sum;
    const std::size_t n = list.rows.rows;
    for (std::size_t i = 0; i < n_queries; ++i) {
        const Found found = look(list, i, scratch);
        const std::vector<double> exact = list.exact(i);
        const std::vector<std::size_t> close = nearest(exact, near);
        for (const std::size_t j : close) {
            sum.by_head += found.head[j] > exact[close.back()];
            sum.by_first += found.first[j] > exact[close.back()];
        }
        // As a search does: against the worst of the ten best estimates.
        const std::vector<std::size_t> best = nearest(found.whole, wanted);
        const double limit = found.whole[best.back()];
        for (const std::size_t j : best)
            sum.either += found.head[j] > limit || found.first[j] > limit;
        for (const double bound : found.head) sum.passed += bound <= limit;
    }
    const auto queries = static_cast<double>(n_queries);
    return {sum.by_head / queries / near, sum.by_first / queries / near,
            sum.either / queries / wanted, sum.passed / queries / static_cast<double>(n)};
}

const Test keeps_margin("heads and first bits behind them rule out hardly any of the nearest", [] {
    double by_head = 0, lists = 0;
    for (const std::string metric : {"l2", "dot", "cosine"})
        for (const std::size_t dim : {128, 200, 384})
            for (const bool clumps : {false, true}) {
                const List list(metric, dim, dim == 200 ? 3 : 5,
                                shaped_rows(n_rows, dim, clumps, 11),
                                shaped_rows(n_queries, dim, clumps, 12));
                if (list.codes.blocks().headed() == nullptr) continue;  // they did not pay
                const Shares found = shares(list);
                check_below(found.by_head, 0.08);
                check_below(found.by_first, 0.067);  // 1.5 deviations, were the errors normal
                check_below(found.either, 0.06);
                check_below(found.passed, 0.04);
                by_head += found.by_head;
                lists += 1;
            }
    check_below(15.0, lists);
    check_below(by_head / lists, 0.04);  // 3 % of what they learned from
});

const Test keeps_codes("codes behind heads are those without heads, and estimate as well", [] {
    for (const std::string metric : {"l2", "dot", "cosine"})
        for (const int bits : {3, 5}) {
            const List list(metric, 200, bits, shaped_rows(n_rows, 200, false, 11),
                            shaped_rows(n_queries, 200, false, 12));
            check(list.codes.blocks().headed() != nullptr);
            check(list.codes_of == list.plain_of);
            ResidualCodes::HeadScratch scratch;
            double apart = 0, off = 0, plain_off = 0;
            for (std::size_t i = 0; i < 20; ++i) {
                const Found found = look(list, i, scratch);
                const std::vector<double> exact = list.exact(i), plain = list.plain_estimates(i);
                for (std::size_t j = 0; j < n_rows; ++j) {
                    apart += (found.whole[j] - plain[j]) * (found.whole[j] - plain[j]);
                    off += (found.whole[j] - exact[j]) * (found.whole[j] - exact[j]);
                    plain_off += (plain[j] - exact[j]) * (plain[j] - exact[j]);
                }
            }
            // The look-ups of first bits round the query to fewer steps.
            check_below(off, 1.01 * plain_off);
            check_below(std::sqrt(apart / plain_off), bits == 3 ? 0.15 : 0.5);
        }
});

/// Among shaped rows some are all alike, some nothing, some a great deal longer or shorter than
/// others; the first queries are such rows, and one a million times as long and as short.
struct OddRows {
    std::vector<float> rows, asked;

    explicit OddRows(std::size_t dim)
        : rows(shaped_rows(n_rows, dim, false, 11)), asked(shaped_rows(n_queries, dim, false, 12)) {
        const auto row = [&](std::size_t i) {
            return rows.begin() + static_cast<std::ptrdiff_t>(i * dim);
        };
        const auto scale = [&](std::size_t from, float by, auto to) {
            std::transform(row(from), row(from + 1), to, [&](float x) { return by * x; });
        };
        for (std::size_t i = 0; i < n_rows; i += 50) {
            std::fill_n(row(i), dim, 0.0f);
            std::fill_n(row(i + 1), dim, 3.0f);
            std::copy_n(row(7), dim, row(i + 2));
            scale(i + 3, i % 100 == 0 ? 1e-4f : 30.0f, row(i + 3));
        }
        std::copy_n(row(0), 8 * dim, asked.begin());
        scale(7, 1e6f, asked.begin() + static_cast<std::ptrdiff_t>(8 * dim));
        scale(7, 1e-6f, asked.begin() + static_cast<std::ptrdiff_t>(9 * dim));
    }
};

const Test bears_odd_rows("bounds of odd rows and queries are finite, and rule out as few", [] {
    for (const std::string metric : {"l2", "dot"})
        for (const std::size_t dim : {320, 384}) {
            OddRows odd(dim);
            const List list(metric, dim, 5, std::move(odd.rows), std::move(odd.asked));
            check(list.codes.blocks().headed() != nullptr);
            ResidualCodes::HeadScratch scratch;
            double out = 0;
            for (std::size_t i = 0; i < n_queries; ++i) {
                const Found found = look(list, i, scratch);
                for (std::size_t j = 0; j < n_rows; ++j)
                    check(std::isfinite(found.head[j]) && std::isfinite(found.first[j]) &&
                          std::isfinite(found.whole[j]));
                const std::vector<double> exact = list.exact(i);
                const std::vector<std::size_t> close = nearest(exact, wanted);
                double here = 0;
                for (const std::size_t j : close)
                    here += std::max(found.head[j], found.first[j]) > exact[close.back()];
                if (i < 10) check_below(here, 3.0);
                out += here;
            }
            check_below(out / n_queries / wanted, 0.08);
        }
});

}  // namespace
}  // namespace nearfield
