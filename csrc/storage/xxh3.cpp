#include "storage/xxh3.h"

#include <bit>
#include <cstring>

namespace nearfield {
namespace {

using u64 = std::uint64_t;
using u8 = std::uint8_t;

constexpr u64 p32_1 = 0x9E3779B1, p32_2 = 0x85EBCA77, p32_3 = 0xC2B2AE3D;
constexpr u64 p64_1 = 0x9E3779B185EBCA87, p64_2 = 0xC2B2AE3D27D4EB4F, p64_3 = 0x165667B19E3779F9,
              p64_4 = 0x85EBCA77C2B2AE63, p64_5 = 0x27D4EB2F165667C5;

constexpr std::size_t secret_bytes = 192;
alignas(64) constexpr u8 secret[secret_bytes] = {
    0xb8, 0xfe, 0x6c, 0x39, 0x23, 0xa4, 0x4b, 0xbe, 0x7c, 0x01, 0x81, 0x2c, 0xf7, 0x21, 0xad, 0x1c,
    0xde, 0xd4, 0x6d, 0xe9, 0x83, 0x90, 0x97, 0xdb, 0x72, 0x40, 0xa4, 0xa4, 0xb7, 0xb3, 0x67, 0x1f,
    0xcb, 0x79, 0xe6, 0x4e, 0xcc, 0xc0, 0xe5, 0x78, 0x82, 0x5a, 0xd0, 0x7d, 0xcc, 0xff, 0x72, 0x21,
    0xb8, 0x08, 0x46, 0x74, 0xf7, 0x43, 0x24, 0x8e, 0xe0, 0x35, 0x90, 0xe6, 0x81, 0x3a, 0x26, 0x4c,
    0x3c, 0x28, 0x52, 0xbb, 0x91, 0xc3, 0x00, 0xcb, 0x88, 0xd0, 0x65, 0x8b, 0x1b, 0x53, 0x2e, 0xa3,
    0x71, 0x64, 0x48, 0x97, 0xa2, 0x0d, 0xf9, 0x4e, 0x38, 0x19, 0xef, 0x46, 0xa9, 0xde, 0xac, 0xd8,
    0xa8, 0xfa, 0x76, 0x3f, 0xe3, 0x9c, 0x34, 0x3f, 0xf9, 0xdc, 0xbb, 0xc7, 0xc7, 0x0b, 0x4f, 0x1d,
    0x8a, 0x51, 0xe0, 0x4b, 0xcd, 0xb4, 0x59, 0x31, 0xc8, 0x9f, 0x7e, 0xc9, 0xd9, 0x78, 0x73, 0x64,
    0xea, 0xc5, 0xac, 0x83, 0x34, 0xd3, 0xeb, 0xc3, 0xc5, 0x81, 0xa0, 0xff, 0xfa, 0x13, 0x63, 0xeb,
    0x17, 0x0d, 0xdd, 0x51, 0xb7, 0xf0, 0xda, 0x49, 0xd3, 0x16, 0x55, 0x26, 0x29, 0xd4, 0x68, 0x9e,
    0x2b, 0x16, 0xbe, 0x58, 0x7d, 0x47, 0xa1, 0xfc, 0x8f, 0xf8, 0xb8, 0xd1, 0x7a, 0xd0, 0x31, 0xce,
    0x45, 0xcb, 0x3a, 0x8f, 0x95, 0x16, 0x04, 0x28, 0xaf, 0xd7, 0xfb, 0xca, 0xbb, 0x4b, 0x40, 0x7e,
};
constexpr std::size_t stripe = 64, stripes_a_block = (secret_bytes - stripe) / 8;

u64 read64(const u8* at) {
    u64 value;
    std::memcpy(&value, at, sizeof value);
    return value;
}
u64 read32(const u8* at) {
    std::uint32_t value;
    std::memcpy(&value, at, sizeof value);
    return value;
}
u64 fold(u64 a, u64 b) {
    const auto product = static_cast<unsigned __int128>(a) * b;
    return static_cast<u64>(product) ^ static_cast<u64>(product >> 64);
}
u64 avalanche(u64 h) {
    h = (h ^ (h >> 37)) * 0x165667919E3779F9;
    return h ^ (h >> 32);
}
u64 avalanche_64(u64 h) {
    h = (h ^ (h >> 33)) * p64_2;
    h = (h ^ (h >> 29)) * p64_3;
    return h ^ (h >> 32);
}
u64 mix16(const u8* in, const u8* key) {
    return fold(read64(in) ^ read64(key), read64(in + 8) ^ read64(key + 8));
}

u64 up_to_16(const u8* in, std::size_t n) {
    if (n > 8) {
        const u64 low = read64(in) ^ read64(secret + 24) ^ read64(secret + 32);
        const u64 high = read64(in + n - 8) ^ read64(secret + 40) ^ read64(secret + 48);
        return avalanche(n + __builtin_bswap64(low) + high + fold(low, high));
    }
    if (n >= 4) {
        u64 h =
            (read32(in + n - 4) + (read32(in) << 32)) ^ read64(secret + 8) ^ read64(secret + 16);
        h ^= std::rotl(h, 49) ^ std::rotl(h, 24);
        h *= 0x9FB21C651E98DF25;
        h = (h ^ ((h >> 35) + n)) * 0x9FB21C651E98DF25;
        return h ^ (h >> 28);
    }
    if (n > 0) {
        const u64 word = u64{in[0]} << 16 | u64{in[n / 2]} << 24 | in[n - 1] | n << 8;
        return avalanche_64(word ^ read32(secret) ^ read32(secret + 4));
    }
    return avalanche_64(read64(secret + 56) ^ read64(secret + 64));
}

u64 up_to_240(const u8* in, std::size_t n) {
    u64 h = n * p64_1;
    if (n <= 128) {
        for (std::size_t i = (n - 1) / 32 + 1; i-- > 0;)
            h += mix16(in + 16 * i, secret + 32 * i) +
                 mix16(in + n - 16 * (i + 1), secret + 32 * i + 16);
        return avalanche(h);
    }
    for (std::size_t i = 0; i < 8; ++i) h += mix16(in + 16 * i, secret + 16 * i);
    h = avalanche(h);
    for (std::size_t i = 8; i < n / 16; ++i) h += mix16(in + 16 * i, secret + 16 * (i - 8) + 3);
    return avalanche(h + mix16(in + n - 16, secret + 136 - 17));
}

void accumulate(u64* sums, const u8* in, const u8* key) {
    for (std::size_t i = 0; i < 8; i += 2) {
        const u64 a = read64(in + 8 * i), b = read64(in + 8 * i + 8);
        const u64 x = a ^ read64(key + 8 * i), y = b ^ read64(key + 8 * i + 8);
        sums[i] += b + (x & 0xffffffff) * (x >> 32);
        sums[i + 1] += a + (y & 0xffffffff) * (y >> 32);
    }
}

u64 longer(const u8* in, std::size_t n) {
    u64 sums[8] = {p32_3, p64_1, p64_2, p64_3, p64_4, p32_2, p64_5, p32_1};
    const std::size_t stripes = (n - 1) / stripe;
    for (std::size_t s = 0; s < stripes; ++s) {
        const std::size_t in_block = s % stripes_a_block;
        accumulate(sums, in + s * stripe, secret + 8 * in_block);
        if (in_block + 1 < stripes_a_block) continue;
        for (std::size_t i = 0; i < 8; ++i)
            sums[i] = (sums[i] ^ (sums[i] >> 47) ^ read64(secret + secret_bytes - stripe + 8 * i)) *
                      p32_1;
    }
    accumulate(sums, in + n - stripe, secret + secret_bytes - stripe - 7);
    u64 h = n * p64_1;
    for (std::size_t i = 0; i < 4; ++i)
        h += fold(sums[2 * i] ^ read64(secret + 11 + 16 * i),
                  sums[2 * i + 1] ^ read64(secret + 19 + 16 * i));
    return avalanche(h);
}

}  // namespace

std::uint64_t xxh3(const void* data, std::size_t bytes) {
    const auto* const in = static_cast<const u8*>(data);
    if (bytes <= 16) return up_to_16(in, bytes);
    if (bytes <= 240) return up_to_240(in, bytes);
    return longer(in, bytes);
}

}  // namespace nearfield
