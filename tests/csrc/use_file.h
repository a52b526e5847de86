// Opens bytes as an index file in every way and does with it what a program would. Damage may be
// refused; nothing else may happen.
#pragma once

#include <algorithm>
#include <string>
#include <vector>

#include "core/error.h"
#include "sample_indexes.h"
#include "storage/format.h"
#include "storage/xxh3.h"

namespace nearfield::check {

inline void use(Index& index) {
    const std::size_t dim = index.space().dim();
    const Run run{1, {}};
    const std::vector<float> queries = random_rows(2, dim, 11);
    const MatrixView view{queries.data(), 2, dim};
    std::vector<Id> ids(2 * 12);
    std::vector<float> distances(2 * 12);
    SearchParams params;
    params.k = 12;
    index.search(view, params, {}, ids.data(), distances.data(), run);
    index.range_search({queries.data(), 1, dim}, 1.0f, params, {}, run);
    const std::vector<Id> held = index.ids();
    FilterSpec filter;
    filter.kind = FilterSpec::Kind::allow_ids;
    filter.ids = held.data();
    filter.size = held.size() / 2;
    index.search(view, params, filter, ids.data(), distances.data(), run);
    if (!held.empty()) {
        std::vector<float> row(dim);
        if (index.contains(held.back())) index.get(&held.back(), 1, row.data());
    }
    index.stats();
    bytes_of(index);
    if (index.read_only()) return;
    Id given[2];
    index.add(view, nullptr, given, run);
    if (!held.empty() && index.contains(held[0])) index.remove(held.data(), 1, false, run);
    index.search(view, params, {}, ids.data(), distances.data(), run);
}

/// Whether the file was taken, by any of the ways to open it.
inline bool use_file(std::string_view bytes) {
    bool taken = false;
    using Map = ReadOptions::Map;
    for (const Map map : {Map::nothing, Map::rows, Map::everything}) {
        // A map shows bytes whose checksums were not compared.
        const ReadOptions options{map, map == Map::nothing, std::uint64_t{64} << 20, Run{1, {}}};
        try {
            const auto index = load(memory_source(bytes), options);
            taken = true;
            use(*index);
        } catch (const CorruptIndex&) {
        } catch (const IncompatibleVersion&) {
        } catch (const ResourceLimit&) {
        } catch (const std::invalid_argument&) {
            // Numbers that no caller gave, such as an id beyond the largest.
        }
    }
    return taken;
}

/// Makes all checksums right again, as far as the table can be read, so that what was changed is
/// seen by the checks behind them.
inline void fix_checksums(std::string& bytes) {
    namespace f = format;
    const std::size_t size = bytes.size();
    if (size < f::header_bytes + f::trailer_bytes) return;
    const auto get = [&](std::size_t at) {
        std::uint64_t value;
        std::memcpy(&value, &bytes[at], 8);
        return value;
    };
    const auto put = [&](std::size_t at, std::uint64_t value) {
        std::memcpy(&bytes[at], &value, 8);
    };
    const std::uint64_t table = get(56);
    const std::uint64_t sections = get(64) & 0xffffffff;
    if (sections <= f::most_sections && table < size && f::table_bytes(sections) <= size - table &&
        sections > 0) {
        const auto entry = [&](std::size_t i) { return table + i * f::entry_bytes; };
        const std::size_t last = entry(sections - 1);
        const std::uint64_t sums = get(last + 40), sums_bytes = get(last + 48);
        const bool sums_fit = sums < size && sums_bytes <= size - sums;
        for (std::size_t i = 0; sums_fit && i + 1 < sections; ++i) {
            const std::uint64_t offset = get(entry(i) + 40), length = get(entry(i) + 48);
            const std::uint64_t first = get(entry(i) + 64);
            if (offset > size || length > size - offset) continue;
            for (std::uint64_t c = 0; c < f::chunks(length); ++c) {
                if (first + c >= sums_bytes / 8) break;
                const std::uint64_t at = c * f::chunk;
                put(sums + 8 * (first + c),
                    xxh3(&bytes[offset + at], std::min<std::uint64_t>(f::chunk, length - at)));
            }
        }
        if (sums_fit) put(last + 72, xxh3(bytes.data() + sums, sums_bytes));
        const std::size_t end = table + sections * f::entry_bytes;
        put(end, xxh3(&bytes[table], end - table));
        put(size - f::trailer_bytes + 24, get(end));
    }
    put(f::header_bytes - 8, xxh3(bytes.data(), f::header_bytes - 8));
    put(size - f::trailer_bytes + 16, get(f::header_bytes - 8));
    put(size - 8, xxh3(&bytes[size - f::trailer_bytes], f::trailer_bytes - 8));
}

}  // namespace nearfield::check
