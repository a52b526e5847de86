// Which kernels run: the layers compiled in, what the CPU and the system allow, and the choice.
#include <array>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>

#include "kernels/kernels.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#if defined(__aarch64__)
#include <sys/auxv.h>
#endif
#endif

namespace nearfield::kernels {

extern const Kernels scalar_kernels;
#if defined(__x86_64__)
extern const Kernels avx2_kernels, avx2_vnni_kernels, avx512_kernels, avx512_vnni_kernels,
    avx512_bf16_kernels, avx512_vpopcntdq_kernels, avx512_vbmi_kernels, avx512_amx_kernels;
#elif defined(__aarch64__)
extern const Kernels neon_kernels;
#endif

namespace {

bool always() { return true; }

#if defined(__x86_64__)

struct CpuId {
    unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
};

CpuId cpuid(unsigned leaf, unsigned subleaf) {
    CpuId id;
    if (!__get_cpuid_count(leaf, subleaf, &id.eax, &id.ebx, &id.ecx, &id.edx)) return {};
    return id;
}

constexpr bool bit(unsigned word, int n) { return (word >> n & 1u) != 0; }

/// The register state that the operating system saves and restores (XCR0).
unsigned saved_state() {
    if (!bit(cpuid(1, 0).ecx, 27)) return 0;  // OSXSAVE
    unsigned low = 0, high = 0;
    asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

constexpr unsigned ymm_state = 0x6;       // XMM and the upper half of YMM
constexpr unsigned zmm_state = 0xe6;      // and the masks and ZMM
constexpr unsigned tile_state = 0x60000;  // TILECFG and TILEDATA

bool saves(unsigned state) { return (saved_state() & state) == state; }

bool has_avx2() {
    const CpuId one = cpuid(1, 0);
    return saves(ymm_state) && bit(one.ecx, 12) /* FMA */ && bit(one.ecx, 28) /* AVX */ &&
           bit(one.ecx, 29) /* F16C */ && bit(cpuid(7, 0).ebx, 5) /* AVX2 */;
}

bool has_avx2_vnni() { return has_avx2() && bit(cpuid(7, 1).eax, 4); }

bool has_avx512() {
    const CpuId seven = cpuid(7, 0);
    return has_avx2() && saves(zmm_state) && bit(seven.ebx, 16) /* F */ &&
           bit(seven.ebx, 17) /* DQ */ && bit(seven.ebx, 30) /* BW */ &&
           bit(seven.ebx, 31) /* VL */;
}

bool has_avx512_vnni() { return has_avx512() && bit(cpuid(7, 0).ecx, 11); }
bool has_avx512_bf16() { return has_avx512() && bit(cpuid(7, 1).eax, 5); }
bool has_avx512_vbmi() { return has_avx512() && bit(cpuid(7, 0).ecx, 1); }
bool has_avx512_vpopcntdq() { return has_avx512() && bit(cpuid(7, 0).ecx, 14); }

/// Linux hands out the 8 KB of tile registers only to processes that ask.
bool system_grants_tiles() {
#if defined(__linux__)
    constexpr long request_permission = 0x1023;  // ARCH_REQ_XCOMP_PERM
    constexpr long tile_data = 18;
    return syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
#else
    return false;
#endif
}

bool has_avx512_amx() {
    const CpuId seven = cpuid(7, 0);
    return has_avx512() && saves(tile_state) && bit(seven.edx, 22) /* BF16 */ &&
           bit(seven.edx, 24) /* TILE */ && bit(seven.edx, 25) /* INT8 */ && system_grants_tiles();
}

constexpr Layer all_layers[] = {
    {"scalar", &scalar_kernels, always},
    {"avx2", &avx2_kernels, has_avx2},
    {"avx2_vnni", &avx2_vnni_kernels, has_avx2_vnni},
    {"avx512", &avx512_kernels, has_avx512},
    {"avx512_vnni", &avx512_vnni_kernels, has_avx512_vnni},
    {"avx512_bf16", &avx512_bf16_kernels, has_avx512_bf16},
    {"avx512_vpopcntdq", &avx512_vpopcntdq_kernels, has_avx512_vpopcntdq},
    {"avx512_vbmi", &avx512_vbmi_kernels, has_avx512_vbmi},
    {"avx512_amx", &avx512_amx_kernels, has_avx512_amx},
};

#elif defined(__aarch64__)

bool has_neon_dot_product() {
#if defined(__linux__)
    return (getauxval(AT_HWCAP) & (1ul << 20)) != 0;  // HWCAP_ASIMDDP
#else
    return true;  // every Apple arm64 CPU
#endif
}

constexpr Layer all_layers[] = {
    {"scalar", &scalar_kernels, always},
    {"neon", &neon_kernels, has_neon_dot_product},
};

#else

constexpr Layer all_layers[] = {{"scalar", &scalar_kernels, always}};

#endif

constexpr std::size_t n_layers = sizeof(all_layers) / sizeof(all_layers[0]);

/// A table is nothing but function pointers, so stacking works on an array of words.
using Entries = std::array<std::uintptr_t, sizeof(Kernels) / sizeof(std::uintptr_t)>;
static_assert(sizeof(Entries) == sizeof(Kernels));

void lay_over(Kernels& table, const Kernels& layer) {
    Entries below, above;
    std::memcpy(&below, &table, sizeof(Entries));
    std::memcpy(&above, &layer, sizeof(Entries));
    for (std::size_t i = 0; i < below.size(); ++i)
        if (above[i] != 0) below[i] = above[i];
    std::memcpy(&table, &below, sizeof(Entries));
}

std::string supported_names() {
    std::string names;
    for (const Layer& layer : all_layers) {
        if (!layer.supported()) continue;
        names += names.empty() ? "" : ", ";
        names += layer.name;
    }
    return names;
}

struct Stack {
    Kernels table{};
    const char* top = nullptr;
};

/// The stack up to the named layer, or of everything this CPU has. `argument` is for the message.
Stack stack(const char* name, const char* argument) {
    Stack result;
    for (std::size_t i = 0; i < n_layers; ++i) {
        const Layer& layer = all_layers[i];
        if (!layer.supported()) continue;
        lay_over(result.table, *layer.kernels);
        result.top = layer.name;
        if (name != nullptr && std::strcmp(name, layer.name) == 0) return result;
    }
    if (name != nullptr)
        throw std::invalid_argument(std::string(argument) + " must be one of " + supported_names() +
                                    " on this CPU, got " + name);
    return result;
}

const Stack& active() {
    static const Stack chosen = [] {
        const char* const forced = std::getenv("NEARFIELD_ISA");
        return stack(forced != nullptr && *forced != '\0' ? forced : nullptr, "NEARFIELD_ISA");
    }();
    return chosen;
}

}  // namespace

const Kernels& kernels() { return active().table; }

Kernels kernels_up_to(const char* layer) { return stack(layer, "layer").table; }

const Layer* layers(std::size_t& count) {
    count = n_layers;
    return all_layers;
}

const char* active_layer() { return active().top; }

}  // namespace nearfield::kernels
