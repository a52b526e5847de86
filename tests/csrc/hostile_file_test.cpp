// Files with any damage: refused or harmless, on the way of copies and on that of maps.
#include <string>

#include "check.h"
#include "use_file.h"

namespace nearfield::check {
namespace {

const Test flips("a changed byte is refused, or with its checksums made right harmless", [] {
    // Prime, so that all offsets of a structure come up; the campaign takes every byte.
    constexpr std::size_t step = 31;
    std::size_t opened = 0;
    for (const auto& index : sample_indexes()) {
        const std::string good = bytes_of(*index);
        check(use_file(good));
        for (std::size_t at = 0; at < good.size(); at += at < 4200 ? 3 : step) {
            std::string bad = good;
            bad[at] = static_cast<char>(bad[at] ^ (1 << at % 8));
            bool refused = false;
            try {
                load(memory_source(bad),
                     {ReadOptions::Map::nothing, true, ~std::uint64_t{0}, Run{1, {}}});
            } catch (const CorruptIndex&) {
                refused = true;
            } catch (const IncompatibleVersion&) {
                refused = true;
            }
            check(refused);
            fix_checksums(bad);
            use_file(bad);
            ++opened;
        }
    }
    check(opened > 3000);
});

const Test cuts("a file cut short or with more at its end is refused", [] {
    for (const auto& index : sample_indexes()) {
        const std::string good = bytes_of(*index);
        for (std::size_t n = 0; n < good.size(); n += 97) {
            std::string bad = good.substr(0, n);
            check(!use_file(bad));
            fix_checksums(bad);
            check(!use_file(bad));
        }
        check(!use_file(good + '\0'));
        check(!use_file(good + good));
    }
});

const Test numbers("large and small numbers in any place are refused or harmless", [] {
    const std::uint64_t values[] = {0,
                                    1,
                                    2,
                                    0x7fffffff,
                                    0x80000000,
                                    0xfffffffe,
                                    0xffffffff,
                                    0x100000000,
                                    ~std::uint64_t{0},
                                    ~std::uint64_t{0} >> 1,
                                    std::uint64_t{1} << 61};
    for (const auto& index : sample_indexes()) {
        const std::string good = bytes_of(*index);
        std::uint64_t table;
        std::memcpy(&table, &good[56], 8);
        const auto change = [&](std::size_t begin, std::size_t end) {
            for (std::size_t at = begin; at + 8 <= end; at += 8)
                for (const std::uint64_t value : values) {
                    std::string bad = good;
                    std::memcpy(&bad[at], &value, 8);
                    fix_checksums(bad);
                    use_file(bad);
                }
        };
        change(0, 160);  // header
        change(format::header_bytes, format::header_bytes + 30 * format::field_bytes);
        change(table, good.size());
    }
});

const Test swaps("numbers and floats of arrays may be anything", [] {
    Random random(5);
    const std::uint32_t values[] = {0x7fc00000, 0x7f800000, 0xff800000, 0xffffffff,
                                    0,          0x7bff7bff, 299,        0x7f7fffff};
    for (const auto& index : sample_indexes()) {
        const std::string good = bytes_of(*index);
        const std::size_t words = (good.size() - format::header_bytes) / 4;
        for (int i = 0; i < 1500; ++i) {
            std::string bad = good;
            for (int j = 0; j < 1 << random.below(8); ++j)
                std::memcpy(&bad[format::header_bytes + 4 * random.below(words)],
                            &values[random.below(std::size(values))], 4);
            fix_checksums(bad);
            use_file(bad);
        }
    }
});

}  // namespace
}  // namespace nearfield::check
