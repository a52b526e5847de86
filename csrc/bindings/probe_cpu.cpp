// What this core can do at most, in nanoseconds an instruction: the yardstick of
// benchmarks/kernels.py.
#include <algorithm>
#include <chrono>
#include <cstdint>

#include "bindings/bindings.h"
#include "core/error.h"

namespace nearfield::bindings {

namespace {

#if defined(__x86_64__)

using Clock = std::chrono::steady_clock;

constexpr long probe_rounds = 20000;
constexpr int probe_tries = 50;

/// Nanoseconds of one round of `body`, the best of many tries.
template <class Body>
double best_of(const Body& body) {
    double best = 1e9;
    for (int i = 0; i < probe_tries; ++i) {
        const auto begin = Clock::now();
        body(probe_rounds);
        const std::chrono::duration<double, std::nano> took = Clock::now() - begin;
        best = std::min(best, took.count() / probe_rounds);
    }
    return best;
}

// Twelve independent instructions a round, on registers of 64 bytes. Assembler text, since this
// object is built for the baseline.
double multiply_add(const char* memory) {
    return best_of([&](long n) {
               asm volatile(
                   "1:\n"
                   "vfmadd231ps %%zmm12, %%zmm12, %%zmm0\nvfmadd231ps %%zmm12, %%zmm12, %%zmm1\n"
                   "vfmadd231ps %%zmm12, %%zmm12, %%zmm2\nvfmadd231ps %%zmm12, %%zmm12, %%zmm3\n"
                   "vfmadd231ps %%zmm12, %%zmm12, %%zmm4\nvfmadd231ps %%zmm12, %%zmm12, %%zmm5\n"
                   "vfmadd231ps %%zmm12, %%zmm12, %%zmm6\nvfmadd231ps %%zmm12, %%zmm12, %%zmm7\n"
                   "vfmadd231ps %%zmm12, %%zmm12, %%zmm8\nvfmadd231ps %%zmm12, %%zmm12, %%zmm9\n"
                   "vfmadd231ps %%zmm12, %%zmm12, %%zmm10\nvfmadd231ps %%zmm12, %%zmm12, %%zmm11\n"
                   "sub $1, %0\n jnz 1b"
                   : "+r"(n)
                   : "r"(memory)
                   : "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7",
                     "xmm8", "xmm9", "xmm10", "xmm11", "xmm12");
           }) /
           12;
}

double byte_product(const char* memory) {
    return best_of([&](long n) {
               asm volatile(
                   "1:\n"
                   "vpdpbusd %%zmm12, %%zmm12, %%zmm0\nvpdpbusd %%zmm12, %%zmm12, %%zmm1\n"
                   "vpdpbusd %%zmm12, %%zmm12, %%zmm2\nvpdpbusd %%zmm12, %%zmm12, %%zmm3\n"
                   "vpdpbusd %%zmm12, %%zmm12, %%zmm4\nvpdpbusd %%zmm12, %%zmm12, %%zmm5\n"
                   "vpdpbusd %%zmm12, %%zmm12, %%zmm6\nvpdpbusd %%zmm12, %%zmm12, %%zmm7\n"
                   "vpdpbusd %%zmm12, %%zmm12, %%zmm8\nvpdpbusd %%zmm12, %%zmm12, %%zmm9\n"
                   "vpdpbusd %%zmm12, %%zmm12, %%zmm10\nvpdpbusd %%zmm12, %%zmm12, %%zmm11\n"
                   "sub $1, %0\n jnz 1b"
                   : "+r"(n)
                   : "r"(memory)
                   : "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7",
                     "xmm8", "xmm9", "xmm10", "xmm11", "xmm12");
           }) /
           12;
}

double load(const char* memory) {
    return best_of([&](long n) {
               asm volatile(
                   "1:\n"
                   "vmovdqu64 0(%1), %%zmm0\nvmovdqu64 64(%1), %%zmm1\n"
                   "vmovdqu64 128(%1), %%zmm2\nvmovdqu64 192(%1), %%zmm3\n"
                   "vmovdqu64 256(%1), %%zmm4\nvmovdqu64 320(%1), %%zmm5\n"
                   "vmovdqu64 384(%1), %%zmm6\nvmovdqu64 448(%1), %%zmm7\n"
                   "vmovdqu64 512(%1), %%zmm8\nvmovdqu64 576(%1), %%zmm9\n"
                   "vmovdqu64 640(%1), %%zmm10\nvmovdqu64 704(%1), %%zmm11\n"
                   "sub $1, %0\n jnz 1b"
                   : "+r"(n)
                   : "r"(memory)
                   : "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7",
                     "xmm8", "xmm9", "xmm10", "xmm11", "xmm12");
           }) /
           12;
}

double load_and_operate(const char* memory) {
    return best_of([&](long n) {
               asm volatile(
                   "1:\n"
                   "vpandd 0(%1), %%zmm12, %%zmm0\nvpandd 64(%1), %%zmm12, %%zmm1\n"
                   "vpandd 128(%1), %%zmm12, %%zmm2\nvpandd 192(%1), %%zmm12, %%zmm3\n"
                   "vpandd 256(%1), %%zmm12, %%zmm4\nvpandd 320(%1), %%zmm12, %%zmm5\n"
                   "vpandd 384(%1), %%zmm12, %%zmm6\nvpandd 448(%1), %%zmm12, %%zmm7\n"
                   "vpandd 512(%1), %%zmm12, %%zmm8\nvpandd 576(%1), %%zmm12, %%zmm9\n"
                   "vpandd 640(%1), %%zmm12, %%zmm10\nvpandd 704(%1), %%zmm12, %%zmm11\n"
                   "sub $1, %0\n jnz 1b"
                   : "+r"(n)
                   : "r"(memory)
                   : "memory", "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7",
                     "xmm8", "xmm9", "xmm10", "xmm11", "xmm12");
           }) /
           12;
}

/// Nanoseconds of a multiply-add, a byte product, a load, and a load with an operation, all on 64
/// bytes and independent of each other.
py::dict probe_avx512() {
    __builtin_cpu_init();
    require(__builtin_cpu_supports("avx512vnni"), "the CPU must have AVX-512 VNNI, got none");
    alignas(64) static char memory[1024];
    py::dict result;
    result["fma"] = multiply_add(memory);
    result["dot"] = byte_product(memory);
    result["load"] = load(memory);
    result["pair"] = load_and_operate(memory);
    return result;
}

#else

py::dict probe_avx512() {
    require(false, "the CPU must have AVX-512 VNNI, got none");
    return {};
}

#endif

/// Reads every byte once: what a core can read at most.
std::uint64_t read_all(const py::array& bytes) {
    const auto* const words = static_cast<const std::uint64_t*>(bytes.data());
    const std::size_t n = static_cast<std::size_t>(bytes.nbytes()) / 8;
    const py::gil_scoped_release unlocked;
    std::uint64_t sums[16] = {};
    for (std::size_t i = 0; i + 16 <= n; i += 16)
        for (std::size_t j = 0; j < 16; ++j) sums[j] ^= words[i + j];
    std::uint64_t total = 0;
    for (const std::uint64_t sum : sums) total ^= sum;
    return total;
}

}  // namespace

void bind_probes(py::module_& kernels);

void bind_probes(py::module_& kernels) {
    kernels.def("probe_avx512", probe_avx512);
    kernels.def("read_all", read_all, py::arg("bytes"));
}

}  // namespace nearfield::bindings
