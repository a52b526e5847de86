#include "quantize/product_codes.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/kernels.h"

namespace nearfield {

void ProductCodes::state(StateWriter& out) const {
    const std::vector<float>& codebooks = quantizer_.codebooks();
    out.array("codes.codebooks", codebooks.data(), codebooks.size());
}

void ProductCodes::load(StateReader& in) {
    std::vector<float> codebooks =
        in.values<float>("codes.codebooks", quantizer_.k() * quantizer_.dim());
    require_finite("codes.codebooks", codebooks);
    quantizer_.set_codebooks(std::move(codebooks));
}

void ProductCodes::pack(const std::uint8_t* code, std::size_t lane, std::byte* block) const {
    auto* const bytes = reinterpret_cast<std::uint8_t*>(block);
    for (std::size_t j = 0; j < quantizer_.m(); ++j) {
        if (!nibbles()) {
            bytes[j * block_rows + lane] = code[j];
            continue;
        }
        std::uint8_t& byte = bytes[j / 2 * block_rows + lane];
        byte = static_cast<std::uint8_t>(j % 2 ? (byte & 0x0f) | code[j] << 4
                                               : (byte & 0xf0) | code[j]);
    }
}

void ProductCodes::unpack(const std::byte* block, std::size_t lane, std::uint8_t* code) const {
    const auto* const bytes = reinterpret_cast<const std::uint8_t*>(block);
    for (std::size_t j = 0; j < quantizer_.m(); ++j) {
        const std::uint8_t byte = bytes[(nibbles() ? j / 2 : j) * block_rows + lane];
        code[j] = !nibbles() ? byte : static_cast<std::uint8_t>(j % 2 ? byte >> 4 : byte & 15);
    }
}

std::size_t ProductCodes::query_bytes() const {
    const std::size_t bytes = nibbles() ? pairs_bytes() * 2 * 16 : quantizer_.m() * 256 * 2;
    return kernels::padded(bytes, 64);
}

/// Each subspace's entries less their least one, in steps of 1/255 (or 1/65535) of the widest
/// range.
BlockCodes::Terms ProductCodes::prepare(const Query& query, std::byte* out) const {
    const std::size_t m = quantizer_.m(), k = quantizer_.k();
    std::vector<float> table(m * k);
    quantizer_.table(query.values, ProductQuantizer::Table::dot, table.data());
    double base = 0;
    float widest = 0;
    std::vector<float> least(m);
    for (std::size_t j = 0; j < m; ++j) {
        const auto [low, high] = std::minmax_element(&table[j * k], &table[j * k] + k);
        least[j] = *low;
        base += *low;
        widest = std::max(widest, *high - *low);
    }
    std::memset(out, 0, query_bytes());
    const float levels = nibbles() ? 255.0f : 65535.0f;
    // The shift must fit an integer even where all entries of a subspace are alike.
    widest = std::max({widest, 1e-4f * static_cast<float>(std::abs(base)), 1e-30f});
    const float unit = widest / levels, inverse = 1 / unit;
    for (std::size_t j = 0; j < m; ++j)
        for (std::size_t c = 0; c < k; ++c) {
            const float step = std::min((table[j * k + c] - least[j]) * inverse + 0.5f, levels);
            if (nibbles())
                reinterpret_cast<std::uint8_t*>(out)[j * k + c] = static_cast<std::uint8_t>(step);
            else
                reinterpret_cast<std::uint16_t*>(out)[j * k + c] = static_cast<std::uint16_t>(step);
        }
    return {unit, static_cast<std::int32_t>(std::lrint(-base / unit)), 0, 0};
}

void ProductCodes::scan(const std::byte* queries, std::size_t m, const std::byte* blocks,
                        std::size_t n, std::int32_t* sums, std::size_t stride, Scratch&) const {
    const auto* const codes = reinterpret_cast<const std::uint8_t*>(blocks);
    for (std::size_t i = 0; i < m; ++i, queries += query_bytes(), sums += stride) {
        if (nibbles()) {
            kernels::kernels().lookup_sums(reinterpret_cast<const std::uint8_t*>(queries), codes, n,
                                           pairs_bytes(), sums);
            continue;
        }
        const auto* const table = reinterpret_cast<const std::uint16_t*>(queries);
        std::fill_n(sums, n * block_rows, 0);
        for (std::size_t b = 0; b < n; ++b)
            for (std::size_t j = 0; j < quantizer_.m(); ++j) {
                const std::uint8_t* const row = codes + b * block_bytes() + j * block_rows;
                for (std::size_t r = 0; r < block_rows; ++r)
                    sums[b * block_rows + r] += table[j * 256 + row[r]];
            }
    }
}

}  // namespace nearfield
