#include "quantize/head_codes.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/error.h"

namespace nearfield {
namespace {

constexpr int sign_bits = 3;  // codes of two parts, of which the first is the sign

}  // namespace

void HeadCodes::use(Projection projection) {
    projection_ = std::move(projection);
    signs_.reset();
    if (!none()) signs_.emplace(dims(), sign_bits);
}

void HeadCodes::state(StateWriter& out) const {
    projection_.state(out);
    if (!none()) out.array("heads.margin", &margin_, 1);
}

void HeadCodes::load(StateReader& in) {
    Projection projection;
    projection.load(in, dim_);
    if (!projection.none()) {
        margin_ = in.values<float>("heads.margin", 1)[0];
        if (!(margin_ >= 0) || !std::isfinite(margin_))
            throw CorruptIndex(text("section heads.margin must be at least 0, got ", margin_),
                               "heads.margin");
    }
    use(std::move(projection));
}

void HeadCodes::encode(const float* vector, std::uint8_t* code, Scratch& scratch) const {
    scratch.values.resize(dims());
    projection_.apply(vector, scratch.projection, scratch.values.data());
    for (std::size_t i = 0; i < dims(); ++i)
        code[i] = scratch.values[i] < 0 ? 0 : 1u << (sign_bits - 1);
}

HeadCodes::Terms HeadCodes::prepare(const float* query, float length, Scratch& scratch,
                                    std::byte* out) const {
    scratch.values.resize(dims());
    projection_.apply(query, scratch.projection, scratch.values.data());
    scratch.no_rest.resize(dims());
    const BlockCodes::Terms terms =
        signs_->prepare({scratch.values.data(), scratch.no_rest.data(), 0, 0}, out);
    double norm2 = 0;
    for (const float value : scratch.values) norm2 += static_cast<double>(value) * value;
    const auto share = static_cast<double>(dims()) / static_cast<double>(dim_);
    // Of a query that has less in these directions than in others they say nothing.
    const bool known = 2 * norm2 > share * length * length;
    const auto size = static_cast<float>(std::sqrt(norm2 * static_cast<double>(dims())));
    return {known ? 2 * terms.unit / (size * sign_cosine) : 0.0f, terms.shift};
}

}  // namespace nearfield
