#include "quantize/rotation.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <stdexcept>
#include <utility>
#include <vector>

#include "check.h"
#include "core/random.h"
#include "kernels/kernels.h"

namespace nearfield {
namespace {

using check::check;
using check::check_below;
using check::check_equal;
using check::Test;
using check::thrown;

constexpr std::size_t dims[] = {1, 2, 3, 5, 8, 17, 100, 128, 384, 768, 1000, 1023, 1025};

std::vector<float> normals(std::size_t n, std::uint64_t seed) {
    Random random(seed);
    std::vector<float> values(n);
    for (float& value : values) value = static_cast<float>(random.normal());
    return values;
}

double product(const std::vector<float>& a, const std::vector<float>& b) {
    return std::inner_product(a.begin(), a.end(), b.begin(), 0.0);
}

std::vector<float> rotate(const Rotation& rotation, const std::vector<float>& values) {
    std::vector<float> out(values.size());
    rotation.apply(values.data(), out.data());
    return out;
}

const Test keeps_products("a rotation keeps lengths and inner products, for any dim", [] {
    for (const std::size_t dim : dims) {
        const Rotation rotation(dim, 3);
        const auto a = normals(dim, 1), b = normals(dim, 2);
        const auto turned_a = rotate(rotation, a), turned_b = rotate(rotation, b);
        const double scale = std::sqrt(product(a, a) * product(b, b));
        check_below(std::abs(product(turned_a, turned_a) / product(a, a) - 1), 2e-6);
        check_below(std::abs(product(turned_a, turned_b) - product(a, b)) / scale, 2e-6);
    }
});

const Test inverts("the inverse undoes a rotation, in place too", [] {
    for (const std::size_t dim : dims) {
        const Rotation rotation(dim, 4);
        const auto values = normals(dim, 5);
        auto back = values;
        rotation.apply(back.data(), back.data());
        check(dim < 3 || back != values);
        rotation.apply_inverse(back.data(), back.data());
        for (std::size_t i = 0; i < dim; ++i) check_below(std::abs(back[i] - values[i]), 1e-5f);
    }
});

const Test spreads("a rotation spreads every basis vector as a random one would be", [] {
    for (const std::size_t dim : {100, 128, 384, 768, 1000, 1023}) {
        const Rotation rotation(dim, 6);
        double fourth_moment = 0, largest = 0;
        for (std::size_t at = 0; at < dim; at += 7) {
            std::vector<float> basis(dim, 0.0f);
            basis[at] = std::sqrt(static_cast<float>(dim));
            double moment = 0;
            for (const float value : rotate(rotation, basis)) {
                moment += std::pow(value, 4) / static_cast<double>(dim);
                largest = std::max(largest, std::abs(static_cast<double>(value)));
            }
            fourth_moment = std::max(fourth_moment, moment);
        }
        check_below(fourth_moment,
                    7.0);  // 3 for a normal variable, 5.7 the largest of 100 of dim 100
        check_below(largest, 6.0);
    }
});

const Test seeds("a rotation repeats for a seed and differs for another", [] {
    const auto values = normals(100, 1);
    check(rotate(Rotation(100, 1), values) == rotate(Rotation(100, 1), values));
    check(rotate(Rotation(100, 1), values) != rotate(Rotation(100, 2), values));
});

const Test same_bits("every instruction set transforms to the same bits", [] {
    std::size_t count = 0;
    const kernels::Layer* layers = kernels::layers(count);
    const kernels::Kernels scalar = kernels::kernels_up_to("scalar");
    for (std::size_t layer = 0; layer < count; ++layer) {
        if (!layers[layer].supported()) continue;
        const kernels::Kernels table = kernels::kernels_up_to(layers[layer].name);
        for (std::size_t n = 1; n <= 4096; n *= 2) {
            auto expected = normals(n, n), got = expected;
            scalar.hadamard(expected.data(), n);
            table.hadamard(got.data(), n);
            check_equal(std::memcmp(got.data(), expected.data(), n * sizeof(float)), 0);
        }
        for (std::size_t n = 1; n <= 130; ++n) {
            auto expected = normals(n, n), got = expected;
            const auto factors = normals(n, n + 1);
            for (const auto& [k, x] : {std::pair{&scalar, &expected}, std::pair{&table, &got}}) {
                k->centre(x->data(), factors.data(), 0.3f, n, x->data());
                k->fold(x->data(), n);
                k->multiply(factors.data(), n, x->data());
                x->push_back(k->largest(x->data(), n));
            }
            check_equal(std::memcmp(got.data(), expected.data(), got.size() * sizeof(float)), 0);
        }
    }
});

const Test passes("the passes round a transform do what they say", [] {
    const kernels::Kernels& table = kernels::kernels();
    std::vector<float> x = {3, -1, 7, 5, -9};
    const std::vector<float> one(5, 1.0f), signs = {1, -1, 1, -1, 1};
    table.centre(x.data(), one.data(), 2.0f, 5, x.data());
    check(x == std::vector<float>({4, -4, 12, 8, -20}));
    table.multiply(signs.data(), 5, x.data());
    check(x == std::vector<float>({4, 4, 12, -8, -20}));
    check_equal(table.largest(x.data(), 5), 20.0f);
    check_equal(table.largest(x.data(), 0), 0.0f);
    table.fold(x.data(), 5);
    const float root_half = 0.70710678118654752f;
    check(x == std::vector<float>(
                   {-16 * root_half, -4 * root_half, 12, 12 * root_half, 24 * root_half}));
});

const Test refuses("a rotation of no dimensions is refused", [] {
    check_equal(thrown<std::invalid_argument>([] { Rotation(0, 1); }),
                "dim must be at least 1, got 0");
});

}  // namespace
}  // namespace nearfield
