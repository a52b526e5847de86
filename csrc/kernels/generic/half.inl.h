// float16 and bfloat16 in plain arithmetic, for CPUs and tails without instructions for them.
#pragma once

#include "kernels/generic/rows.inl.h"

namespace nearfield::kernels {
namespace {

/// Element i of a row of T, aligned or not.
template <class T>
[[gnu::always_inline]] inline T read(const Byte* row, std::size_t i) {
    T value;
    __builtin_memcpy(&value, row + i * sizeof(T), sizeof(T));
    return value;
}

template <class T>
[[gnu::always_inline]] inline void write(Byte* row, std::size_t i, T value) {
    __builtin_memcpy(row + i * sizeof(T), &value, sizeof(T));
}

inline float bits_to_float(std::uint32_t bits) { return __builtin_bit_cast(float, bits); }
inline std::uint32_t float_to_bits(float value) { return __builtin_bit_cast(std::uint32_t, value); }

inline float bfloat_to_float(std::uint16_t half) {
    return bits_to_float(static_cast<std::uint32_t>(half) << 16);
}

/// Round to nearest even; NaN stays NaN.
inline std::uint16_t float_to_bfloat(float value) {
    const std::uint32_t bits = float_to_bits(value);
    if ((bits & 0x7fffffff) > 0x7f800000) return static_cast<std::uint16_t>(bits >> 16 | 0x40);
    return static_cast<std::uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

inline float half_to_float(std::uint16_t half) {
    const std::uint32_t sign = static_cast<std::uint32_t>(half & 0x8000) << 16;
    const std::uint32_t rest = static_cast<std::uint32_t>(half & 0x7fff) << 13;
    if (rest >= 0x7c00u << 13) return bits_to_float(sign | 0x7f800000 | rest);
    // Scaling by 2^112 turns the half's exponent into the float's, subnormals included.
    return bits_to_float(sign | float_to_bits(bits_to_float(rest) * 0x1p112f));
}

/// Round to nearest even; too large becomes infinite; NaN stays NaN.
inline std::uint16_t float_to_half(float value) {
    const std::uint32_t bits = float_to_bits(value);
    const std::uint32_t sign = bits >> 16 & 0x8000;
    const std::uint32_t size = bits & 0x7fffffff;
    std::uint32_t half;
    if (size > 0x7f800000) {
        half = 0x7e00 | (size >> 13 & 0x3ff);
    } else if (size >= 0x477ff000) {  // 65520: the midpoint above the largest half
        half = 0x7c00;
    } else if (size < 0x38800000) {  // below 2^-14: adding 0.5 leaves multiples of 2^-24
        half = float_to_bits(bits_to_float(size) + 0.5f) - float_to_bits(0.5f);
    } else {
        half = (size - (112u << 23) + 0xfff + (size >> 13 & 1)) >> 13;
    }
    return static_cast<std::uint16_t>(sign | half);
}

/// Round to nearest even, saturated to [-127, 127].
inline std::int8_t float_to_int8(float value) {
    const float low = value > -127.0f ? value : -127.0f;
    const float kept = low < 127.0f ? low : 127.0f;
    const float rounder = 12582912.0f;  // 1.5 * 2^23: its unit is 1
    return static_cast<std::int8_t>(static_cast<int>((kept + rounder) - rounder));
}

}  // namespace
}  // namespace nearfield::kernels
