// Compares every layer that this CPU supports with the scalar one, without Python: for emulators
// and sanitizers. Prints a line a layer and the layer in use; exits with 1 where two layers differ.
#include <cmath>
#include <cstdio>
#include <cstring>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "kernels/kernels.h"

namespace {

using namespace nearfield::kernels;

constexpr std::size_t n_rows = 9;
constexpr std::size_t max_dim = 300;
constexpr std::size_t row_bytes = max_dim * 4 + 3;  // odd: rows are not aligned

struct Data {
    std::vector<std::uint8_t> bytes, query_bytes;
    std::vector<float> query;
    std::vector<std::uint32_t> slots{8, 0, 3, 3, 7, 1, 2};

    explicit Data(Scalar scalar)
        : bytes(n_rows * row_bytes), query_bytes(8 * max_dim), query(max_dim) {
        std::mt19937 random(static_cast<unsigned>(scalar) + 1);
        for (auto& b : query_bytes) b = static_cast<std::uint8_t>(random());
        const auto value = [&] { return static_cast<float>(random() % 2000) / 1000.0f - 1.0f; };
        for (float& q : query) q = value();
        for (auto& b : bytes) b = static_cast<std::uint8_t>(random());
        if (scalar == Scalar::i8 || scalar == Scalar::u8) return;
        for (std::size_t r = 0; r < n_rows; ++r) {
            for (std::size_t i = 0; i < max_dim; ++i) {
                const float v = value();
                std::uint32_t bits;
                std::memcpy(&bits, &v, 4);
                if (scalar == Scalar::f32) std::memcpy(&bytes[r * row_bytes + 4 * i], &bits, 4);
                const auto half = static_cast<std::uint16_t>(
                    scalar == Scalar::bf16 ? bits >> 16 : 0x3000 | (random() & 0x8fff));
                if (scalar != Scalar::f32) std::memcpy(&bytes[r * row_bytes + 2 * i], &half, 2);
            }
        }
    }
};

int failures = 0;

template <class T>
void compare(const std::string& what, const std::vector<T>& got, const std::vector<T>& want,
             double tolerance) {
    for (std::size_t i = 0; i < want.size(); ++i) {
        const double difference =
            std::fabs(static_cast<double>(got[i]) - static_cast<double>(want[i]));
        if (difference <= tolerance * (1.0 + std::fabs(static_cast<double>(want[i])))) continue;
        std::printf("%s: element %zu is %g, scalar gives %g\n", what.c_str(), i,
                    static_cast<double>(got[i]), static_cast<double>(want[i]));
        ++failures;
        return;
    }
}

/// Both forms of a one-to-many kernel against the scalar rows kernel.
template <class Out, class Rows, class Gather, class Query, class Base>
void check(const std::string& what, Rows rows, Gather gather, Rows scalar_rows, const Query* query,
           const Base* base, const Data& data, std::size_t dim, double tolerance) {
    std::vector<Out> want(n_rows), got(n_rows), picked(data.slots.size()), expected;
    scalar_rows(query, base, n_rows, dim, row_bytes, want.data());
    rows(query, base, n_rows, dim, row_bytes, got.data());
    gather(query, base, data.slots.data(), data.slots.size(), dim, row_bytes, picked.data());
    for (const std::uint32_t slot : data.slots) expected.push_back(got[slot]);
    compare(what + " rows", got, want, tolerance);
    compare(what + " gather", picked, expected, 0.0);
}

void check_distances(const Kernels& k, const Kernels& scalar) {
    for (std::size_t s = 0; s < n_scalars; ++s) {
        const Data data(static_cast<Scalar>(s));
        const bool bytes = s >= static_cast<std::size_t>(Scalar::i8);
        const void* const query = bytes ? static_cast<const void*>(data.query_bytes.data())
                                        : static_cast<const void*>(data.query.data());
        const void* const base = data.bytes.data();
        for (std::size_t m = 0; m < n_metrics; ++m)
            for (std::size_t dim = 1; dim <= max_dim; ++dim)
                check<float>("scalar " + std::to_string(s) + " metric " + std::to_string(m) +
                                 " dim " + std::to_string(dim),
                             k.rows[s][m], k.gather[s][m], scalar.rows[s][m], query, base, data,
                             dim, bytes && m != 2 ? 0.0 : 1e-4);
    }
    const Data data(Scalar::i8);
    for (std::size_t dim = 1; dim <= max_dim; ++dim)
        check<float>("f32 . i8", k.dot_f32_i8_rows, k.dot_f32_i8_gather, scalar.dot_f32_i8_rows,
                     static_cast<const void*>(data.query.data()),
                     static_cast<const void*>(data.bytes.data()), data, dim, 1e-3);
}

void check_codes(const Kernels& k, const Kernels& scalar) {
    const Data data(Scalar::u8);
    const auto* const query = reinterpret_cast<const std::int8_t*>(data.query_bytes.data());
    const std::uint8_t* const base = data.bytes.data();
    for (std::size_t bytes = 32; bytes <= 288; bytes += 32) {
        const auto one = [&](const char* name, CodeRowsFn rows, CodeGatherFn gather, CodeRowsFn s) {
            check<std::int32_t>(name, rows, gather, s, query, base, data, bytes, 0.0);
        };
        one("u8 codes", k.dot_u8_rows, k.dot_u8_gather, scalar.dot_u8_rows);
        one("u4 codes", k.dot_u4_rows, k.dot_u4_gather, scalar.dot_u4_rows);
        one("u2 codes", k.dot_u2_rows, k.dot_u2_gather, scalar.dot_u2_rows);
        one("u1 codes", k.dot_u1_rows, k.dot_u1_gather, scalar.dot_u1_rows);
    }
    for (std::size_t bytes = 1; bytes <= 200; ++bytes)
        check<std::uint32_t>("hamming", k.hamming_rows, k.hamming_gather, scalar.hamming_rows,
                             data.query_bytes.data(), base, data, bytes, 0.0);
}

/// 64-byte aligned storage for panels and products.
template <class T>
struct Aligned {
    T* data;
    explicit Aligned(std::size_t n)
        : data(static_cast<T*>(::operator new(n * sizeof(T), std::align_val_t{64}))) {
        std::memset(static_cast<void*>(data), 0, n * sizeof(T));
    }
    Aligned(const Aligned&) = delete;
    Aligned& operator=(const Aligned&) = delete;
    ~Aligned() { ::operator delete(data, std::align_val_t{64}); }
};

template <class Left, class Right, class Out, class Tile>
void check_tile(const std::string& what, Scalar scalar, PackFn pack, PackFn scalar_pack, Tile tile,
                Tile scalar_tile, std::size_t m, std::size_t n, std::size_t dim) {
    const std::size_t width = panel_dim(scalar, dim), columns = padded(n, panel_rows);
    const std::size_t size = panel_elements(scalar, n, dim);
    std::mt19937 random(5);
    Aligned<Left> left(m * width);
    std::vector<Right> right(n * dim);
    const auto fill = [&](auto& value) {
        if constexpr (std::is_same_v<std::decay_t<decltype(value)>, float>)
            value = static_cast<float>(random() % 100) / 50.0f - 1.0f;
        else  // for bf16: values of size about 1
            value = static_cast<std::decay_t<decltype(value)>>(
                scalar == Scalar::bf16 ? 0x3f00 | (random() & 0x80ff) : random());
    };
    for (std::size_t i = 0; i < m; ++i)
        for (std::size_t d = 0; d < dim; ++d) fill(left.data[i * width + d]);
    for (Right& value : right) fill(value);
    Aligned<Right> panels(size), scalar_panels(size);
    pack(right.data(), n, dim, dim * sizeof(Right), panels.data);
    scalar_pack(right.data(), n, dim, dim * sizeof(Right), scalar_panels.data);
    if (std::memcmp(panels.data, scalar_panels.data, size * sizeof(Right)) != 0) {
        std::printf("%s: panels differ\n", what.c_str());
        ++failures;
    }
    Aligned<Out> got(m * columns), want(m * columns);
    tile(left.data, m, width, panels.data, n, dim, got.data, columns);
    scalar_tile(left.data, m, width, panels.data, n, dim, want.data, columns);
    compare(what, std::vector<Out>(got.data, got.data + m * columns),
            std::vector<Out>(want.data, want.data + m * columns),
            scalar == Scalar::u8 ? 0.0 : 1e-3);
}

void check_tiles(const Kernels& k, const Kernels& s) {
    const std::size_t shapes[][3] = {{1, 1, 1}, {5, 20, 33}, {13, 49, 100}, {37, 64, 200}};
    for (const auto& [m, n, dim] : shapes) {
        check_tile<float, float, float>("tile f32", Scalar::f32, k.pack_f32, s.pack_f32, k.tile_f32,
                                        s.tile_f32, m, n, dim);
        check_tile<std::uint16_t, std::uint16_t, float>("tile bf16", Scalar::bf16, k.pack_bf16,
                                                        s.pack_bf16, k.tile_bf16, s.tile_bf16, m, n,
                                                        dim);
        check_tile<std::int8_t, std::uint8_t, std::int32_t>(
            "tile i8", Scalar::u8, k.pack_u8, s.pack_u8, k.tile_i8, s.tile_i8, m, n, dim);
    }
}

void check_values(const Kernels& k, const Kernels& s) {
    std::mt19937 random(9);
    std::vector<float> values(1024);
    for (float& v : values) v = static_cast<float>(random()) / 4e9f * 300.0f - 150.0f;
    const std::size_t n = values.size();
    for (const std::size_t length : {std::size_t{1}, std::size_t{15}, std::size_t{37}, n}) {
        std::vector<std::uint32_t> kept(n), want(n);
        const std::size_t count = k.select_below(values.data(), length, 5.0f, kept.data());
        if (count != s.select_below(values.data(), length, 5.0f, want.data())) ++failures;
        compare("select_below", kept, want, 0.0);
        std::vector<std::int32_t> dots(n);
        for (std::size_t i = 0; i < n; ++i) dots[i] = static_cast<std::int32_t>(10 * values[i]);
        std::vector<std::uint64_t> marks(n / 64), scalar_marks(n / 64);
        const nearfield::kernels::CloserQuery closer{5, 90.0f, 1.1f};
        k.mark_closer(dots.data(), values.data(), values.data(), length, closer, marks.data());
        s.mark_closer(dots.data(), values.data(), values.data(), length, closer,
                      scalar_marks.data());
        if (length % 64 != 0) {  // the rest says nothing
            const std::uint64_t first = (std::uint64_t{1} << length % 64) - 1;
            marks[length / 64] &= first;
            scalar_marks[length / 64] &= first;
        }
        compare("mark_closer", marks, scalar_marks, 0.0);
        std::vector<std::uint16_t> half(n), scalar_half(n);
        k.to_f16(values.data(), length, half.data());
        s.to_f16(values.data(), length, scalar_half.data());
        compare("to_f16", half, scalar_half, 0.0);
        std::vector<float> floats(n), scalar_floats(n);
        k.from_f16(half.data(), length, floats.data());
        s.from_f16(half.data(), length, scalar_floats.data());
        compare("from_f16", floats, scalar_floats, 0.0);
        k.to_bf16(values.data(), length, half.data());
        s.to_bf16(values.data(), length, scalar_half.data());
        compare("to_bf16", half, scalar_half, 0.0);
        std::vector<std::int8_t> bytes(n), scalar_bytes(n);
        k.to_i8(values.data(), length, 0.9f, bytes.data());
        s.to_i8(values.data(), length, 0.9f, scalar_bytes.data());
        compare("to_i8", bytes, scalar_bytes, 0.0);
        const std::vector<float> middle(values.rbegin(), values.rend());
        std::vector<float> turned = values, expected = values;
        for (const auto& [table, x] : {std::pair{&k, &turned}, std::pair{&s, &expected}}) {
            table->centre(x->data(), middle.data(), 0.3f, length, x->data());
            table->fold(x->data(), length);
            table->multiply(values.data(), length, x->data());
            x->push_back(table->largest(x->data(), length));
        }
        compare("centre, fold, multiply, largest", turned, expected, 0.0);
        const std::vector<double> norm{k.squares(values.data(), length)};
        compare("squares", norm, {s.squares(values.data(), length)}, 0.0);
    }
    for (std::size_t length = 1; length <= n; length *= 2) {
        std::vector<float> got = values, want = values;
        k.hadamard(got.data(), length);
        s.hadamard(want.data(), length);
        compare("hadamard", got, want, 0.0);
    }
}

/// Walks need the very same steps from every layer.
void check_walk(const Kernels& k, const Kernels& s) {
    std::mt19937 random(11);
    constexpr std::size_t n = 3000, width = 48, code = 64;
    std::vector<std::uint8_t> base(n * code);
    const CodeRows codes{base.data(), code, code, static_cast<std::uint32_t>(n)};
    std::vector<std::uint64_t> seen(n / 64 + 1), want_seen = seen;
    for (std::size_t round = 0; round < 200; ++round) {
        std::vector<std::uint32_t> row(2 * width, no_link), slots(width + 16, 0), factors = slots;
        std::vector<std::uint32_t> want = slots, want_factors = slots;
        const std::size_t used = random() % (width + 1);
        const auto first = static_cast<std::uint32_t>(random() % n);
        for (std::size_t i = 0; i < used; ++i)
            row[i] = static_cast<std::uint32_t>((first + 61 * i) % n);
        for (std::size_t i = 0; i < width; ++i) row[width + i] = random();
        std::size_t found =
            k.visit(row.data(), width, seen.data(), codes, slots.data(), factors.data());
        if (found != s.visit(row.data(), width, want_seen.data(), codes, want.data(),
                             want_factors.data()) ||
            seen != want_seen) {
            std::printf("visit differs\n");
            ++failures;
            return;
        }
        for (auto* list : {&slots, &factors, &want, &want_factors}) list->resize(found);
        compare("visit", slots, want, 0.0);
        compare("visit, factors", factors, want_factors, 0.0);
    }
    for (const std::size_t capacity : {1, 10, 40, 300}) {
        std::vector<float> pool(capacity + pool_slack), want_pool = pool;
        std::vector<std::uint32_t> nodes(capacity + pool_slack), want_nodes = nodes;
        std::size_t size = 0, want_size = 0;
        for (std::uint32_t round = 0; round < 60; ++round) {
            const std::size_t batch = random() % (pool_batch + 1);
            std::vector<float> distances(pool_batch);
            std::vector<std::uint32_t> slots(pool_batch);
            for (std::size_t i = 0; i < batch; ++i) {
                distances[i] = static_cast<float>(random() % 5000);  // some are equal
                slots[i] = round * 100 + static_cast<std::uint32_t>(i);
            }
            const std::size_t lowest = k.pool_insert({pool.data(), nodes.data()}, &size, capacity,
                                                     distances.data(), slots.data(), batch);
            const std::size_t want_lowest =
                s.pool_insert({want_pool.data(), want_nodes.data()}, &want_size, capacity,
                              distances.data(), slots.data(), batch);
            if (size != want_size || lowest != want_lowest) {
                std::printf("pool_insert differs: %zu of %zu, %zu of %zu\n", size, want_size,
                            lowest, want_lowest);
                ++failures;
                return;
            }
            compare(
                "pool",
                std::vector<float>(pool.begin(), pool.begin() + static_cast<std::ptrdiff_t>(size)),
                std::vector<float>(want_pool.begin(),
                                   want_pool.begin() + static_cast<std::ptrdiff_t>(size)),
                0.0);
            compare("pool nodes",
                    std::vector<std::uint32_t>(nodes.begin(),
                                               nodes.begin() + static_cast<std::ptrdiff_t>(size)),
                    std::vector<std::uint32_t>(
                        want_nodes.begin(), want_nodes.begin() + static_cast<std::ptrdiff_t>(size)),
                    0.0);
        }
    }
}

}  // namespace

int main() {
    const Kernels scalar = kernels_up_to("scalar");
    std::size_t count = 0;
    const Layer* const all = layers(count);
    for (std::size_t i = 0; i < count; ++i) {
        if (!all[i].supported()) continue;
        const Kernels k = kernels_up_to(all[i].name);
        check_distances(k, scalar);
        check_codes(k, scalar);
        check_tiles(k, scalar);
        check_values(k, scalar);
        check_walk(k, scalar);
        std::printf("%s checked\n", all[i].name);
    }
    check_values(kernels(), scalar);
    std::printf("active %s\n", active_layer());
    return failures == 0 ? 0 : 1;
}
