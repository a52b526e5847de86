// Codes in panels of 16 rows against one query, over the byte operations P of a CPU:
//   Line, a part of a line, of which `registers` make one; load(at, h): part h of the line at `at`;
//   part<bits, p>(Line): the p-th values as bytes; store(out, h, Line);
//   Unit: four query bytes, repeated; unit(at);
//   Sum: int32 a row, with zero(); dot<bits, p>(Sum, Line, Unit); finish<bits>(sums): the total of
//     the sums of even and of odd p; store(out, Sum);
//   at_once: panels that fit the registers.
#pragma once

#include "kernels/generic/tile.inl.h"
#include "kernels/prefetch.inl.h"

namespace nearfield::kernels {
namespace {

/// Two sums a register where a byte holds more than one value: their products do not wait for one
/// another.
template <int bits>
inline constexpr int panel_chains = bits == 8 ? 1 : 2;

template <class P, int bits, int G>
[[gnu::always_inline]] inline void panel_group(const Byte* query, const Byte* panels,
                                               std::size_t lines, std::int32_t* dots) {
    constexpr int parts = 8 / bits, chains = panel_chains<bits>, n = G * P::registers;
    const std::size_t bytes = lines * panel_line;
    typename P::Sum sums[n * chains];
    unrolled<n * chains>([&](auto i) { sums[i] = P::Sum::zero(); });
    for (std::size_t l = 0; l < lines; ++l) {
        typename P::Unit units[parts];
        unrolled<parts>([&](auto p) { units[p] = P::unit(query + unit_bytes * (parts * l + p)); });
        unrolled<G>([&](auto g) {
            const Byte* const at = panels + g * bytes + l * panel_line;
            prefetch(at + G * bytes);
            unrolled<P::registers>([&](auto h) {
                constexpr int first = (decltype(g)::value * P::registers + decltype(h)::value);
                const typename P::Line line = P::load(at, h);
                unrolled<parts>([&](auto p) {
                    constexpr int part = decltype(p)::value, s = first * chains + part % chains;
                    sums[s] = P::template dot<bits, part>(sums[s], line, units[part]);
                });
            });
        });
    }
    unrolled<n>([&](auto i) {
        constexpr int rows = static_cast<int>(panel_rows) / P::registers;
        P::store(dots + i * rows, P::template finish<bits>(sums + i * chains));
    });
}

template <class P, int bits>
void panel_dots(const std::int8_t* query, const std::uint8_t* panels, std::size_t n,
                std::size_t lines, std::int32_t* dots) {
    constexpr int many = bits == 8 ? 2 * P::at_once : P::at_once;
    const Byte* const units = reinterpret_cast<const Byte*>(query);
    std::size_t i = 0;
    for (; i + many <= n; i += many)
        panel_group<P, bits, many>(units, panels + i * lines * panel_line, lines,
                                   dots + i * panel_rows);
    for (; i < n; ++i)
        panel_group<P, bits, 1>(units, panels + i * lines * panel_line, lines,
                                dots + i * panel_rows);
}

template <class P, int bits>
void panel_unpack(const std::uint8_t* panels, std::size_t n, std::size_t lines,
                  std::size_t out_lines, std::uint8_t* out) {
    constexpr int parts = 8 / bits;
    for (std::size_t i = 0; i < n; ++i, out += out_lines * panel_line) {
        for (std::size_t l = 0; l < lines; ++l, panels += panel_line)
            unrolled<P::registers>([&](auto h) {
                const typename P::Line line = P::load(panels, h);
                unrolled<parts>([&](auto p) {
                    if (l * parts + p < out_lines)
                        P::store(out + (l * parts + p) * panel_line, h,
                                 P::template part<bits, decltype(p)::value>(line));
                });
            });
        const std::size_t made = lines * parts < out_lines ? lines * parts : out_lines;
        __builtin_memset(out + made * panel_line, 0, (out_lines - made) * panel_line);
    }
}

template <class P>
constexpr void fill_panel_dots(Kernels& table) {
    table.panel_dots[0] = panel_dots<P, 1>;
    table.panel_dots[1] = panel_dots<P, 2>;
    table.panel_dots[2] = panel_dots<P, 4>;
    table.panel_dots[3] = panel_dots<P, 8>;
}

template <class P>
constexpr void fill_panels(Kernels& table) {
    fill_panel_dots<P>(table);
    table.panel_unpack[0] = panel_unpack<P, 1>;
    table.panel_unpack[1] = panel_unpack<P, 2>;
    table.panel_unpack[2] = panel_unpack<P, 4>;
    table.panel_unpack[3] = panel_unpack<P, 8>;
}

}  // namespace
}  // namespace nearfield::kernels
