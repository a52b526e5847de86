// Software prefetch that compilers keep. GCC 12 takes a function whose only effect is
// _mm_prefetch for a pure one and deletes its calls; volatile asm survives. Baseline instructions,
// internal linkage: any file of the library may include this.
#pragma once

#include <cstddef>

namespace nearfield::kernels {

inline constexpr std::size_t cache_line = 64;

/// Starts fetching one line into the second-level cache; a bad address is harmless.
[[gnu::always_inline]] static inline void prefetch(const void* address) {
#if defined(__x86_64__)
    asm volatile("prefetcht1 %0" : : "m"(*static_cast<const char*>(address)));
#elif defined(__aarch64__)
    asm volatile("prfm pldl2keep, %0" : : "Q"(*static_cast<const char*>(address)));
#else
    (void)address;
#endif
}

/// The same into the first-level cache.
[[gnu::always_inline]] static inline void prefetch_near(const void* address) {
#if defined(__x86_64__)
    asm volatile("prefetcht0 %0" : : "m"(*static_cast<const char*>(address)));
#elif defined(__aarch64__)
    asm volatile("prfm pldl1keep, %0" : : "Q"(*static_cast<const char*>(address)));
#else
    (void)address;
#endif
}

/// Starts fetching every line of [address, address + bytes).
[[gnu::always_inline]] static inline void prefetch_range(const void* address, std::size_t bytes) {
    const char* const first = static_cast<const char*>(address);
    for (std::size_t at = 0; at < bytes; at += cache_line) prefetch(first + at);
}

}  // namespace nearfield::kernels
