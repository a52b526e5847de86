// AVX2 with FMA and F16C: every kernel.
#include "kernels/generic/graph.inl.h"
#include "kernels/generic/hadamard.inl.h"
#include "kernels/generic/rotate.inl.h"
#include "kernels/generic/select.inl.h"
#include "kernels/isa/avx2_blocks.inl.h"

namespace nearfield::kernels {
namespace {

// 6 rows x 1 panel: 12 sums, 2 panel registers and one broadcast fit 16 registers.
struct TileF32 : TileAvx2 {
    static constexpr int rows = 6;
    using Sum = F32x8;
    using Right = F32x8;
    static F32x8 load_left(const Byte* at) { return {_mm256_castsi256_ps(unit(at))}; }
    static F32x8 load_right(const Byte* at, int i) { return {_mm256_castsi256_ps(line(at, i))}; }
    static Sum madd(Sum sum, F32x8 x, F32x8 y) { return fma(x, y, sum); }
};

/// A pair of bf16 becomes two registers of floats.
struct TileBf16 : TileAvx2 {
    static constexpr int rows = 4;
    using Sum = F32x8;
    struct Right {
        F32x8 low, high;
    };
    static Right split(__m256i pairs) {
        const __m256i high = _mm256_set1_epi32(static_cast<int>(0xffff0000));
        return {{_mm256_castsi256_ps(_mm256_slli_epi32(pairs, 16))},
                {_mm256_castsi256_ps(_mm256_and_si256(pairs, high))}};
    }
    static Right load_left(const Byte* at) { return split(unit(at)); }
    static Right load_right(const Byte* at, int i) { return split(line(at, i)); }
    static Sum madd(Sum sum, Right x, Right y) {
        return fma(x.high, y.high, fma(x.low, y.low, sum));
    }
};

struct TileI8 : TileAvx2 {
    static constexpr int rows = 3;
    using Sum = I32x8;
    using Right = I16x32;
    static Right load_left(const Byte* at) { return BytesAvx2::widen<Scalar::i8>({unit(at)}); }
    static Right load_right(const Byte* at, int i) {
        return BytesAvx2::widen<Scalar::u8>({line(at, i)});
    }
    static Sum madd(Sum sum, Right x, Right y) { return BytesAvx2::madd(sum, x, y); }
};

/// 16 rows x 8 units: two squares of 8.
struct Transpose8 {
    static constexpr std::size_t span = 8;

    static __m256i load(const Byte* row, bool present, std::size_t bytes) {
        if (!present) return _mm256_setzero_si256();
        return bytes >= 32 ? load_32(row) : load_32_first(row, 0, bytes);
    }
    static void square(const Byte* rows, std::size_t stride, std::size_t count, std::size_t bytes,
                       std::size_t lines, Byte* out) {
        __m256i r[8], s[8];
        unrolled<8>([&](auto i) { r[i] = load(rows + i * stride, i < count, bytes); });
        unrolled<4>([&](auto i) {
            s[2 * i] = _mm256_unpacklo_epi32(r[2 * i], r[2 * i + 1]);
            s[2 * i + 1] = _mm256_unpackhi_epi32(r[2 * i], r[2 * i + 1]);
        });
        unrolled<2>([&](auto g) {
            unrolled<2>([&](auto c) {
                r[4 * g + 2 * c] = _mm256_unpacklo_epi64(s[4 * g + c], s[4 * g + 2 + c]);
                r[4 * g + 2 * c + 1] = _mm256_unpackhi_epi64(s[4 * g + c], s[4 * g + 2 + c]);
            });
        });
        // r[4 * g + c] holds, in 128-bit lane l, column 4 * l + c of rows 4 * g ... 4 * g + 3.
        unrolled<8>([&](auto i) {
            constexpr int lanes = i < 4 ? 0x20 : 0x31;
            if (i < lines)
                _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + i * panel_line),
                                    _mm256_permute2x128_si256(r[i % 4], r[4 + i % 4], lanes));
        });
    }
    static void transpose(const Byte* rows, std::size_t stride, std::size_t count,
                          std::size_t bytes, std::size_t lines, Byte* out) {
        square(rows, stride, count, bytes, lines, out);
        square(rows + 8 * stride, stride, count > 8 ? count - 8 : 0, bytes, lines, out + 32);
    }
};

/// The marks of eight links at a time.
inline std::size_t visit_avx2(const std::uint32_t* row, std::size_t width, std::uint64_t* visited,
                              const CodeRows& codes, std::uint32_t* slots, std::uint32_t* factors) {
    const __m256i one = _mm256_set1_epi32(1), low5 = _mm256_set1_epi32(31);
    const __m256i last = _mm256_set1_epi32(static_cast<int>(codes.n - 1));
    const auto* const words = reinterpret_cast<const int*>(visited);
    std::size_t n = 0;
    for (std::size_t i = 0; i < width; i += 8) {
        const __m256i slot = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(row + i));
        const __m256i used = _mm256_cmpeq_epi32(_mm256_min_epu32(slot, last), slot);
        const __m256i word = _mm256_mask_i32gather_epi32(_mm256_setzero_si256(), words,
                                                         _mm256_srli_epi32(slot, 5), used, 4);
        const __m256i bit = _mm256_sllv_epi32(one, _mm256_and_si256(slot, low5));
        const __m256i unseen =
            _mm256_cmpeq_epi32(_mm256_and_si256(word, bit), _mm256_setzero_si256());
        const auto mask = static_cast<unsigned>(
            _mm256_movemask_ps(_mm256_castsi256_ps(_mm256_and_si256(used, unseen))));
        unrolled<8>([&](auto j) {
            slots[n] = row[i + j];
            factors[n] = row[width + i + j];
            n += mask >> j & 1;
        });
        if (_mm256_movemask_ps(_mm256_castsi256_ps(used)) != 0xff) break;
    }
    fetch_seen(slots, n, visited, codes);
    return n;
}

constexpr Kernels avx2_table() {
    Kernels table{};
    fill_float_distances<F32x8>(table);
    fill_byte_distances<BytesAvx2>(table);
    fill_codes<BytesAvx2>(table);
    fill_hamming<BytesAvx2>(table);
    fill_pack<Transpose8>(table);
    fill_panels<PanelAvx2>(table);
    table.lookup_sums = lookup_sums<LookupAvx2>;
    table.tile_f32 = tile_f32<TileF32>;
    table.tile_bf16 = tile_bf16<TileBf16>;
    table.tile_i8 = tile_i8<TileI8>;
    fill_select<F32x8>(table);
    fill_estimates<BytesAvx2, FinishScalar>(table);
    table.visit = visit_avx2;
    table.pool_insert = pool_insert_ranked<F32x8>;
    fill_conversions<F32x8>(table);
    fill_hadamard<F32x8>(table);
    fill_rotation<F32x8>(table);
    return table;
}

}  // namespace

extern const Kernels avx2_kernels;
constinit const Kernels avx2_kernels = avx2_table();

}  // namespace nearfield::kernels
