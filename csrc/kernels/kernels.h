// The kernel table: every distance the library computes goes through one of these pointers.
// Kernels are batch-shaped: one indirect call serves many rows, and prefetch happens inside.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/metric.h"

namespace nearfield::kernels {

/// Element type of stored rows. Queries are f32 for f32/f16/bf16 rows and of the rows' own type
/// for i8/u8 rows.
enum class Scalar : std::uint8_t { f32, f16, bf16, i8, u8 };
inline constexpr std::size_t n_scalars = 5;

/// Where the rows of a call take so many bytes, functions for rows ask memory for them ahead of
/// time.
inline constexpr std::size_t streamed_bytes = std::size_t{64} << 10;

/// Distances of one query to rows [0, n): rows start `stride` bytes apart, need no alignment.
using RowsFn = void (*)(const void* query, const void* rows, std::size_t n, std::size_t dim,
                        std::size_t stride, float* distances);
/// The same to the rows base + slots[i] * stride; prefetches ahead.
using GatherFn = void (*)(const void* query, const void* base, const std::uint32_t* slots,
                          std::size_t n, std::size_t dim, std::size_t stride, float* distances);

/// Integer dot products of an int8 query with unsigned codes. `bytes` is the length of a code and a
/// multiple of 32. Layout of packed codes (independent of the ISA): with b bits a byte holds 8/b
/// dimensions that lie `bytes` apart, lowest bits first; so for 4 bits the low nibble of byte j
/// is dimension j and the high nibble is dimension bytes + j. The query has 8/b * bytes entries.
using CodeRowsFn = void (*)(const std::int8_t* query, const std::uint8_t* codes, std::size_t n,
                            std::size_t bytes, std::size_t stride, std::int32_t* dots);
using CodeGatherFn = void (*)(const std::int8_t* query, const std::uint8_t* base,
                              const std::uint32_t* slots, std::size_t n, std::size_t bytes,
                              std::size_t stride, std::int32_t* dots);

/// Differing bits between one bit string and n others of `bytes` bytes.
using HammingRowsFn = void (*)(const std::uint8_t* query, const std::uint8_t* rows, std::size_t n,
                               std::size_t bytes, std::size_t stride, std::uint32_t* counts);
using HammingGatherFn = void (*)(const std::uint8_t* query, const std::uint8_t* base,
                                 const std::uint32_t* slots, std::size_t n, std::size_t bytes,
                                 std::size_t stride, std::uint32_t* counts);

/// Many x many. The right-hand rows are packed once into panels of 16 rows, k-major:
/// f32: [panel][dim][16]; bf16: [panel][dim/2][16][2], dim padded to a multiple of 32;
/// u8: [panel][dim/4][16][4], dim padded to a multiple of 64. Missing rows and dims are zero.
inline constexpr std::size_t panel_rows = 16;
constexpr std::size_t padded(std::size_t value, std::size_t to) {
    return (value + to - 1) / to * to;
}
constexpr std::size_t panel_dim(Scalar scalar, std::size_t dim) {
    return scalar == Scalar::f32 ? dim : padded(dim, scalar == Scalar::bf16 ? 32 : 64);
}
constexpr std::size_t panel_elements(Scalar scalar, std::size_t n, std::size_t dim) {
    return padded(n, panel_rows) * panel_dim(scalar, dim);
}
/// `stride` in bytes; `panels` has panel_elements(scalar, n, dim) entries, 64-byte aligned.
using PackFn = void (*)(const void* rows, std::size_t n, std::size_t dim, std::size_t stride,
                        void* panels);
/// out[i * out_stride + j] = a_i . b_j for i in [0, m), j in [0, padded(n, 16)); columns beyond n
/// are zero. `a` has m rows `a_stride` elements apart, each zero-padded to panel_dim. out_stride in
/// elements, >= padded(n, 16), a multiple of 16; `out` 64-byte aligned.
using TileF32Fn = void (*)(const float* a, std::size_t m, std::size_t a_stride, const float* panels,
                           std::size_t n, std::size_t dim, float* out, std::size_t out_stride);
/// As TileF32Fn with bf16 inputs (uint16 bit patterns), sums in f32.
using TileBf16Fn = void (*)(const std::uint16_t* a, std::size_t m, std::size_t a_stride,
                            const std::uint16_t* panels, std::size_t n, std::size_t dim, float* out,
                            std::size_t out_stride);
/// As TileF32Fn with int8 left rows and uint8 right rows, exact int32 sums.
using TileI8Fn = void (*)(const std::int8_t* a, std::size_t m, std::size_t a_stride,
                          const std::uint8_t* panels, std::size_t n, std::size_t dim,
                          std::int32_t* out, std::size_t out_stride);

/// Codes in panels: 16 rows side by side in the order that tile_i8 takes, with 8/b values a byte.
/// Line l of a panel is 64 bytes; byte 4 r + j of it holds values 4 (8/b l + p) + j of row r for p
/// = 0 ... 8/b - 1, lowest bits first. dots[16 i + r] = query . row r of panel i, for a query in
/// -127..127 of 32/b * lines entries.
using PanelDotsFn = void (*)(const std::int8_t* query, const std::uint8_t* panels, std::size_t n,
                             std::size_t lines, std::int32_t* dots);
/// Panels of codes to panels of bytes for tile_i8, of out_lines lines each, a multiple of 16; those
/// beyond 8/b * lines become zero.
using PanelUnpackFn = void (*)(const std::uint8_t* panels, std::size_t n, std::size_t lines,
                               std::size_t out_lines, std::uint8_t* out);
/// Place of codes of 2^i bits in the arrays below.
constexpr std::size_t bits_index(int bits) {
    return bits == 1 ? 0 : bits == 2 ? 1 : bits == 4 ? 2 : 3;
}

/// Sums of table entries, blocks of 32 rows: sums[32 i + r] = sum over m of tables[16 m + c], c the
/// m-th code of row r of block i. Byte 32 g + r of a block holds codes 2 g (lowest bits) and 2 g +
/// 1 of row r. `pairs` is even.
using LookupSumsFn = void (*)(const std::uint8_t* tables, const std::uint8_t* blocks, std::size_t n,
                              std::size_t pairs, std::int32_t* sums);
inline constexpr std::size_t lookup_rows = 32;
/// The same of codes of one bit, by six of them: byte 32 g + r of a block holds values 8 g ... 8 g
/// + 7 of row r, and tables have 64 entries of at most 127. Table 4 t + i is looked up by the lower
/// six bits of byte 3 t + i of a row, for i < 3; table 4 t + 3 by the upper two of bytes 3 t
/// (lowest), 3 t + 1 and 3 t + 2. Bytes beyond the last count as zero. `ahead` asks memory for the
/// blocks that follow these.
using Lookup6SumsFn = void (*)(const std::uint8_t* tables, const std::uint8_t* blocks,
                               std::size_t n, std::size_t bytes, bool ahead, std::int32_t* sums);

/// Indices i with values[i] < threshold, ascending; returns how many. NaN is never below.
using SelectFn = std::size_t (*)(const float* values, std::size_t n, float threshold,
                                 std::uint32_t* out);

/// A lower bound on a distance from an integer dot product, per row j:
/// bound_j = add[j] - scale[j] * a * (dots[j] - shift) - error[j] * b - c; `error` may be null.
struct BoundRows {
    const float* add;
    const float* scale;
    const float* error;
};
struct BoundQuery {
    std::int32_t shift;
    float a, b, c;
};
/// Indices j with bound_j <= threshold, ascending, and their bounds, these only where rows have
/// errors; returns how many.
using SelectBoundFn = std::size_t (*)(const std::int32_t* dots, std::size_t n,
                                      const BoundRows& rows, const BoundQuery& query,
                                      float threshold, std::uint32_t* out, float* bounds);

/// Bit j of `marks`, 64 a word: whether slack * d < limits[j] with d = term + terms[j] - 2 (dots[j]
/// - shift), each operation rounded on its own. The arrays are read up to n rounded up to 16.
struct CloserQuery {
    std::int32_t shift;
    float term, slack;
};
using MarkCloserFn = void (*)(const std::int32_t* dots, const float* terms, const float* limits,
                              std::size_t n, const CloserQuery& query, std::uint64_t* marks);

// Walking a graph. A row of links is `width` slots (a multiple of 16; unused ones are no_link and
// come last) followed by as many factors: two float16, `add` in the lower half and `scale` in the
// upper.
inline constexpr std::uint32_t no_link = 0xffffffff;
/// Where the codes of slots 0..n - 1 lie, and how long one is.
struct CodeRows {
    const std::uint8_t* base;
    std::size_t stride, bytes;
    std::uint32_t n;
};
/// Appends the links that `visited` (a bit a slot) has not seen, and their factors; marks them as
/// seen and starts fetching their codes. Returns how many. A row ends at the first that is not
/// below codes.n: no_link, or nonsense in a file that changed while it was mapped. `slots` and
/// `factors` need room for width + 16 entries.
using VisitFn = std::size_t (*)(const std::uint32_t* row, std::size_t width, std::uint64_t* visited,
                                const CodeRows& codes, std::uint32_t* slots,
                                std::uint32_t* factors);
/// A query's int8 entries and how distances come from dot products with them.
struct EstimateQuery {
    const std::int8_t* codes;
    float a, b;
    std::int32_t shift;
    float square = 0;  // of the query's length, for who asks how far off estimates are
};
/// distances[i] = a * add_i + b * scale_i * (dot_i - shift), each operation rounded on its own; the
/// codes of slots[0, n) are to have been requested before. `distances` needs room for n + 16.
using EstimateFn = void (*)(const EstimateQuery& query, const CodeRows& codes,
                            const std::uint32_t* slots, const std::uint32_t* factors, std::size_t n,
                            float* distances);
/// Candidates by ascending distance; a node is twice a slot, plus one once it has been expanded.
struct Pool {
    float* distances;
    std::uint32_t* nodes;
};
/// Merges n candidates into a pool of `size` and keeps the `capacity` nearest; of equals the
/// earlier ones. Returns the lowest position that changed (capacity when none did). Both arrays
/// need pool_slack more entries than capacity, and n is at most pool_batch.
inline constexpr std::size_t pool_batch = 64;
inline constexpr std::size_t pool_slack = pool_batch + 16;
using PoolInsertFn = std::size_t (*)(const Pool& pool, std::size_t* size, std::size_t capacity,
                                     const float* distances, const std::uint32_t* slots,
                                     std::size_t n);

using ToHalfFn = void (*)(const float* in, std::size_t n, std::uint16_t* out);
using FromHalfFn = void (*)(const std::uint16_t* in, std::size_t n, float* out);
/// out[i] = round-to-nearest-even(in[i] * factor), saturated to [-127, 127].
using ToI8Fn = void (*)(const float* in, std::size_t n, float factor, std::int8_t* out);
/// In place, unnormalised Walsh-Hadamard transform; n a power of two.
using HadamardFn = void (*)(float* values, std::size_t n);
/// out[i] = (in[i] - middle[i]) * factor; `in` and `out` may be the same.
using CentreFn = void (*)(const float* in, const float* middle, float factor, std::size_t n,
                          float* out);
/// values[i] *= factors[i].
using MultiplyFn = void (*)(const float* factors, std::size_t n, float* values);
/// values[i], values[n - 1 - i] = (their sum, their difference) / sqrt(2), for i < n / 2.
using FoldFn = void (*)(float* values, std::size_t n);
/// The largest |values[i]|, 0 for none.
using LargestFn = float (*)(const float* values, std::size_t n);
/// The sum of their squares in double, the same bits on every CPU.
using SquaresFn = double (*)(const float* values, std::size_t n);

struct Kernels {
    RowsFn rows[n_scalars][n_metrics];
    GatherFn gather[n_scalars][n_metrics];
    /// q . x (not negated) of an f32 query with int8 rows.
    RowsFn dot_f32_i8_rows;
    GatherFn dot_f32_i8_gather;

    CodeRowsFn dot_u8_rows, dot_u4_rows, dot_u2_rows, dot_u1_rows;
    CodeGatherFn dot_u8_gather, dot_u4_gather, dot_u2_gather, dot_u1_gather;
    HammingRowsFn hamming_rows;
    HammingGatherFn hamming_gather;

    PackFn pack_f32, pack_bf16, pack_u8;  // pack_bf16 takes bf16 rows
    TileF32Fn tile_f32;
    TileBf16Fn tile_bf16;
    TileI8Fn tile_i8;

    PanelDotsFn panel_dots[4];  // by bits_index
    PanelUnpackFn panel_unpack[4];
    LookupSumsFn lookup_sums;
    Lookup6SumsFn lookup6_sums;  // null where shuffles of 16 entries are quicker

    SelectFn select_below;
    SelectBoundFn select_bound;
    MarkCloserFn mark_closer;

    VisitFn visit;
    EstimateFn estimate_u8, estimate_u4, estimate_u2, estimate_u1;
    PoolInsertFn pool_insert;

    ToHalfFn to_f16, to_bf16;  // round to nearest even; NaN stays NaN
    FromHalfFn from_f16, from_bf16;
    ToI8Fn to_i8;
    HadamardFn hadamard;
    CentreFn centre;
    MultiplyFn multiply;
    FoldFn fold;
    LargestFn largest;
    SquaresFn squares;
};

/// A set of kernels that needs some CPU features. Layers are stacked in order: each replaces the
/// entries it fills, so a CPU with AVX-512 F but without VNNI still gets the best of both.
struct Layer {
    const char* name;        // "scalar", "avx2", "avx2_vnni", "avx512", "avx512_vnni", ...
    const Kernels* kernels;  // null entries are inherited from the layer below
    bool (*supported)();
};

/// The table in use: chosen once, on first use. NEARFIELD_ISA=<layer name> stops the stack at that
/// layer; an unknown or unsupported name throws std::invalid_argument.
const Kernels& kernels();
/// The stack up to the named layer. Throws as above.
Kernels kernels_up_to(const char* layer);
/// Every layer compiled in, lowest first.
const Layer* layers(std::size_t& count);
/// Name of the highest layer in use, e.g. "avx512_amx".
const char* active_layer();

}  // namespace nearfield::kernels
