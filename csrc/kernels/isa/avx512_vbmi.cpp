// AVX-512 VBMI: look-ups in tables of 64 entries.
#include "kernels/isa/avx512.inl.h"
#include "kernels/prefetch.inl.h"

namespace nearfield::kernels {
namespace {

/// 16-bit sums of the bytes at odd places, and of both bytes of a word as they lie.
struct ByteSums {
    __m512i words, odd;
};

/// A byte of the code for 64 rows: those of two blocks.
[[gnu::always_inline]] inline __m512i rows_of(const Byte* first, const Byte* second) {
    const auto half = [](const Byte* at) {
        return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at));
    };
    return _mm512_inserti64x4(_mm512_castsi256_si512(half(first)), half(second), 1);
}

/// The upper two bits of three bytes side by side; a look-up minds the lower six bits alone.
[[gnu::always_inline]] inline __m512i upper_bits(const __m512i* x) {
    constexpr int choose = 0xca;  // the first operand's bits say which of the others
    const __m512i c = _mm512_srli_epi16(x[0], 6), b = _mm512_srli_epi16(x[1], 4),
                  a = _mm512_srli_epi16(x[2], 2);
    const __m512i ba = _mm512_ternarylogic_epi32(_mm512_set1_epi8(0x0c), b, a, choose);
    return _mm512_ternarylogic_epi32(_mm512_set1_epi8(0x03), c, ba, choose);
}

/// Adds what `n` bytes of the code give, whose tables are given.
template <int n>
[[gnu::always_inline]] inline void add(ByteSums& sums, const Byte* first, const Byte* second,
                                       const __m512i* tables) {
    __m512i x[3];
    unrolled<3>([&](auto i) {
        x[i] = i < n ? rows_of(first + i * lookup_rows, second + i * lookup_rows)
                     : _mm512_setzero_si512();
    });
    const __m512i a = _mm512_add_epi8(_mm512_permutexvar_epi8(x[0], tables[0]),
                                      _mm512_permutexvar_epi8(x[1], tables[1]));
    const __m512i b = _mm512_add_epi8(_mm512_permutexvar_epi8(x[2], tables[2]),
                                      _mm512_permutexvar_epi8(upper_bits(x), tables[3]));
    sums.words = _mm512_add_epi16(sums.words, _mm512_add_epi16(a, b));
    sums.odd = _mm512_add_epi16(sums.odd,
                                _mm512_add_epi16(_mm512_srli_epi16(a, 8), _mm512_srli_epi16(b, 8)));
}

/// Where the words of rows 2 i and 2 i + 1 lie: at i of one register and at i of another.
struct Places {
    alignas(64) std::uint16_t of[64];
};
constexpr Places places_of_rows() {
    Places places{};
    for (int row = 0; row < 64; ++row)
        places.of[row] = static_cast<std::uint16_t>(row / 2 + (row % 2 ? 32 : 0));
    return places;
}
constexpr Places places = places_of_rows();

/// Writes them as 64 int32, or adds them to these.
template <bool to_sums>
[[gnu::always_inline]] inline void flush(const ByteSums& sums, std::int32_t* out) {
    const __m512i even = _mm512_sub_epi16(sums.words, _mm512_slli_epi16(sums.odd, 8));
    unrolled<2>([&](auto half) {
        const __m512i rows =
            _mm512_permutex2var_epi16(even, _mm512_load_si512(places.of + 32 * half), sums.odd);
        unrolled<2>([&](auto i) {
            constexpr int which = decltype(i)::value;
            std::int32_t* const at = out + 32 * half + 16 * i;
            __m512i values = _mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64(rows, which));
            if constexpr (to_sums) values = _mm512_add_epi32(_mm512_loadu_si512(at), values);
            _mm512_storeu_si512(at, values);
        });
    });
}

/// 4 * 127 * 128 fits 16 bits.
constexpr std::size_t most_steps = 128;

/// Two blocks, the second right behind the first, or the first again. More at a time would share
/// the loads of tables, but memory gives two streams more: 19 GB/s where it gave eight of them 15.
template <bool ahead>
[[gnu::always_inline]] inline void two_blocks(const Byte* tables, const Byte* first,
                                              const Byte* second, std::size_t bytes,
                                              std::int32_t* sums) {
    const std::size_t block = bytes * lookup_rows;
    const std::size_t steps = bytes / 3, left = bytes % 3;
    ByteSums found{_mm512_setzero_si512(), _mm512_setzero_si512()};
    const auto step = [&](std::size_t s, auto n) {
        __m512i entries[4];
        unrolled<4>([&](auto i) { entries[i] = _mm512_loadu_si512(tables + 256 * s + 64 * i); });
        const std::size_t at = 3 * s * lookup_rows;
        if constexpr (ahead)
            unrolled<2>([&](auto i) {
                prefetch(first + at + (8 + i) * block);
                prefetch(first + at + (8 + i) * block + 64);
            });
        add<decltype(n)::value>(found, first + at, second + at, entries);
    };
    for (std::size_t s = 0; s < steps; ++s) {
        step(s, Constant<3>{});
        if ((s + 1) % most_steps == 0) {
            if (s + 1 == most_steps)
                flush<false>(found, sums);
            else
                flush<true>(found, sums);
            found = {_mm512_setzero_si512(), _mm512_setzero_si512()};
        }
    }
    if (left == 1) step(steps, Constant<1>{});
    if (left == 2) step(steps, Constant<2>{});
    if (steps < most_steps)
        flush<false>(found, sums);
    else
        flush<true>(found, sums);
}

template <bool ahead>
void sum_blocks(const Byte* tables, const Byte* blocks, std::size_t n, std::size_t bytes,
                std::int32_t* sums) {
    const std::size_t block = bytes * lookup_rows;
    std::size_t i = 0;
    for (; i + 2 <= n; i += 2, blocks += 2 * block)
        two_blocks<ahead>(tables, blocks, blocks + block, bytes, sums + i * lookup_rows);
    if (i == n) return;
    std::int32_t both[2 * lookup_rows];
    two_blocks<false>(tables, blocks, blocks, bytes, both);
    __builtin_memcpy(sums + i * lookup_rows, both, lookup_rows * sizeof(*sums));
}

void lookup6_sums(const std::uint8_t* tables, const std::uint8_t* blocks, std::size_t n,
                  std::size_t bytes, bool ahead, std::int32_t* sums) {
    (ahead ? sum_blocks<true> : sum_blocks<false>)(tables, blocks, n, bytes, sums);
}

constexpr Kernels avx512_vbmi_table() {
    Kernels table{};
    table.lookup6_sums = lookup6_sums;
    return table;
}

}  // namespace

extern const Kernels avx512_vbmi_kernels;
constinit const Kernels avx512_vbmi_kernels = avx512_vbmi_table();

}  // namespace nearfield::kernels
