// The campaign against index files, to be run under sanitizers:
//   fuzz_files sweep FILES...   every byte of each changed once, raw and with checksums right
//   fuzz_files step N FILES...  as sweep, but each N-th byte alone
//   fuzz_files cuts FILES...    every length of each, raw and with checksums right
//   fuzz_files mutate SECONDS SEED FILES...   random damage
// With NEARFIELD_LIBFUZZER it is a target of libFuzzer instead, named fuzz_target (clang).
#include <chrono>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "use_file.h"

namespace nearfield::check {
namespace {

/// Some damage of a kind that sometimes gets far: numbers that matter, parts moved, bits.
void damage(std::string& bytes, const std::vector<std::string>& all, Random& random) {
    constexpr std::uint64_t values[] = {0,
                                        1,
                                        2,
                                        63,
                                        64,
                                        255,
                                        256,
                                        0x7fffffff,
                                        0xffffffff,
                                        0x100000000,
                                        std::uint64_t{1} << 62,
                                        ~std::uint64_t{0},
                                        0x7fc000007fc00000,
                                        0xff8000007f800000};
    if (bytes.size() < 16) return;
    const std::size_t at = random.below(bytes.size() - 8);
    std::uint64_t table = 0;
    if (bytes.size() > 64) std::memcpy(&table, &bytes[56], 8);
    switch (random.below(8)) {
        case 0:
            bytes[at] = static_cast<char>(random.next());
            break;
        case 1:
            std::memcpy(&bytes[at / 8 * 8], &values[random.below(std::size(values))], 8);
            break;
        case 2:
            std::memcpy(&bytes[at / 4 * 4], &values[random.below(std::size(values))], 4);
            break;
        case 3: {  // a field's value
            const std::size_t field = format::header_bytes + 64 * random.below(24) + 40;
            if (field + 8 <= bytes.size())
                std::memcpy(&bytes[field], &values[random.below(std::size(values))], 8);
            break;
        }
        case 4: {  // a number in the table, or one more or less than it was
            const std::size_t entry = table + 96 * random.below(20) + 32 + 8 * random.below(6);
            if (table < bytes.size() && entry + 8 <= bytes.size()) {
                std::uint64_t value;
                std::memcpy(&value, &bytes[entry], 8);
                const std::uint64_t near[] = {value + 1, value - 1, value * 2, value / 2, 0};
                std::memcpy(&bytes[entry], &near[random.below(5)], 8);
            }
            break;
        }
        case 5: {  // a part of another file
            const std::string& other = all[random.below(all.size())];
            const std::size_t n = 1 + random.below(512);
            if (at + n <= bytes.size() && at + n <= other.size())
                bytes.replace(at, n, other, at, n);
            break;
        }
        case 6: {  // a part moved within
            const std::size_t n = 1 + random.below(256), from = random.below(bytes.size());
            if (at + n <= bytes.size() && from + n <= bytes.size())
                bytes.replace(at, n, bytes.substr(from, n));
            break;
        }
        default:
            bytes.resize(random.below(16) ? bytes.size() : at);
            break;
    }
}

}  // namespace
}  // namespace nearfield::check

#ifdef NEARFIELD_LIBFUZZER

extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size, std::size_t most);

/// Half of the damage knows what a file is made of.
extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                               std::size_t most, unsigned seed) {
    if (seed % 2 == 0) return LLVMFuzzerMutate(data, size, most);
    nearfield::Random random(seed);
    std::string bytes(reinterpret_cast<const char*>(data), size);
    for (std::size_t n = 1 + random.below(3); n-- > 0;)
        nearfield::check::damage(bytes, {bytes}, random);
    const std::size_t kept = std::min(bytes.size(), most);
    std::memcpy(data, bytes.data(), kept);
    return kept;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    std::string bytes(reinterpret_cast<const char*>(data), size);
    nearfield::check::fix_checksums(bytes);
    nearfield::check::use_file(bytes);
    return 0;
}

#else

namespace nearfield::check {
namespace {

/// Both ways: as it is, and with its checksums made right.
std::size_t use_both(std::string bytes) {
    use_file(bytes);
    fix_checksums(bytes);
    use_file(bytes);
    return 2;
}

std::size_t sweep(const std::string& good, std::size_t step) {
    std::size_t runs = 0;
    for (std::size_t at = 0; at < good.size(); at += step) {
        std::string bad = good;
        bad[at] = static_cast<char>(bad[at] ^ (1 << (at * 5 + at / 8) % 8));
        runs += use_both(std::move(bad));
    }
    return runs;
}

std::size_t cuts(const std::string& good) {
    std::size_t runs = 0;
    for (std::size_t n = 0; n < good.size(); ++n) runs += use_both(good.substr(0, n));
    return runs;
}

std::size_t mutate(double seconds, std::uint64_t seed, const std::vector<std::string>& all) {
    using Clock = std::chrono::steady_clock;
    const auto end = Clock::now() + std::chrono::duration<double>(seconds);
    Random random(seed);
    std::size_t runs = 0, taken = 0;
    while (Clock::now() < end)
        for (int i = 0; i < 64; ++i, ++runs) {
            std::string bytes = all[random.below(all.size())];
            for (std::size_t n = 1 + random.below(4); n-- > 0;) damage(bytes, all, random);
            if (random.below(8)) fix_checksums(bytes);
            taken += use_file(bytes);
        }
    std::printf("%zu of them were taken\n", taken);
    return runs;
}

}  // namespace
}  // namespace nearfield::check

int main(int argc, char** argv) {
    using namespace nearfield::check;
    const std::string mode = argc > 1 ? argv[1] : "";
    const int first = mode == "mutate" ? 4 : mode == "step" ? 3 : 2;
    std::vector<std::string> files;
    for (int i = first; i < argc; ++i) {
        std::ifstream file(argv[i], std::ios::binary);
        files.emplace_back(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
    }
    if (files.empty()) {
        std::fputs(
            "fuzz_files sweep|cuts FILES..., step N FILES... or mutate SECONDS SEED FILES...\n",
            stderr);
        return 2;
    }
    std::size_t runs = 0;
    if (mode == "mutate") {
        runs = mutate(std::stod(argv[2]), std::stoull(argv[3]), files);
    } else {
        const std::size_t step = mode == "step" ? std::max(1ull, std::stoull(argv[2])) : 1;
        for (const std::string& good : files)
            runs += mode == "cuts" ? cuts(good) : sweep(good, step);
    }
    std::printf("%s: %zu files, %zu damaged ones opened, 0 crashes\n", mode.c_str(), files.size(),
                runs);
    return 0;
}

#endif
