// Codes in panels and in blocks of 32, with NEON.
#pragma once

#include <arm_neon.h>

#include "kernels/generic/lookup.inl.h"
#include "kernels/generic/panels.inl.h"

namespace nearfield::kernels {
namespace {

struct PanelNeon {
    static constexpr int registers = 4, at_once = 1;
    using Line = uint8x16_t;
    using Unit = int8x16_t;
    struct Sum {
        int32x4_t v;
        static Sum zero() { return {vdupq_n_s32(0)}; }
    };

    static Line load(const Byte* at, int h) { return vld1q_u8(at + 16 * h); }
    static void store(Byte* at, int h, Line x) { vst1q_u8(at + 16 * h, x); }
    static Unit unit(const Byte* at) {
        return vreinterpretq_s8_s32(vdupq_n_s32(read<std::int32_t>(at, 0)));
    }
    template <int bits, int p>
    static Line part(Line x) {
        if constexpr (bits == 8) return x;
        const uint8x16_t mask = vdupq_n_u8((1 << bits) - 1);
        if constexpr (p == 0)
            return vandq_u8(x, mask);
        else
            return vandq_u8(vshrq_n_u8(x, p * bits), mask);
    }
    /// The product takes signed bytes: codes of 8 bits go in two parts.
    template <int bits, int p>
    static Sum dot(Sum sum, Line x, Unit unit) {
        if constexpr (bits < 8) {
            return {vdotq_s32(sum.v, vreinterpretq_s8_u8(part<bits, p>(x)), unit)};
        } else {
            const int8x16_t low = vreinterpretq_s8_u8(vandq_u8(x, vdupq_n_u8(0x7f)));
            const int8x16_t top = vreinterpretq_s8_u8(vshrq_n_u8(x, 7));
            const int32x4_t tops = vdotq_s32(vdupq_n_s32(0), top, unit);
            return {vaddq_s32(vdotq_s32(sum.v, low, unit), vshlq_n_s32(tops, 7))};
        }
    }
    template <int bits>
    static Sum finish(const Sum* sums) {
        if constexpr (bits == 8)
            return sums[0];
        else
            return {vaddq_s32(sums[0].v, sums[1].v)};
    }
    static void store(std::int32_t* out, Sum sum) { vst1q_s32(out, sum.v); }
};

struct LookupNeon {
    static constexpr std::size_t pairs = 1;
    struct Tables {
        uint8x16_t low, high;
    };
    struct Sums {
        uint16x8_t rows[4];
        static Sums zero() {
            const uint16x8_t none = vdupq_n_u16(0);
            return {{none, none, none, none}};
        }
    };
    static Tables load(const Byte* t) { return {vld1q_u8(t), vld1q_u8(t + 16)}; }
    static Sums add(Sums sums, const Byte* codes, const Tables& tables) {
        unrolled<2>([&](auto i) {
            const uint8x16_t x = vld1q_u8(codes + 16 * i);
            const uint8x16_t low = vqtbl1q_u8(tables.low, vandq_u8(x, vdupq_n_u8(15)));
            const uint8x16_t high = vqtbl1q_u8(tables.high, vshrq_n_u8(x, 4));
            sums.rows[2 * i] =
                vaddq_u16(sums.rows[2 * i], vaddl_u8(vget_low_u8(low), vget_low_u8(high)));
            sums.rows[2 * i + 1] = vaddq_u16(sums.rows[2 * i + 1], vaddl_high_u8(low, high));
        });
        return sums;
    }
    static void flush(const Sums& sums, std::int32_t* out) {
        unrolled<4>([&](auto i) {
            std::int32_t* const at = out + 8 * i;
            const auto wide = [](uint16x4_t x) { return vreinterpretq_s32_u32(vmovl_u16(x)); };
            vst1q_s32(at, vaddq_s32(vld1q_s32(at), wide(vget_low_u16(sums.rows[i]))));
            vst1q_s32(at + 4, vaddq_s32(vld1q_s32(at + 4), wide(vget_high_u16(sums.rows[i]))));
        });
    }
};

}  // namespace
}  // namespace nearfield::kernels
