// The bytes of an index file: a header, sections, a table of them, a trailer. README.md draws it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/state.h"

namespace nearfield::format {

inline constexpr std::uint16_t major_version = 1, minor_version = 0;
inline constexpr std::size_t header_bytes = 4096, entry_bytes = 96, trailer_bytes = 64;
inline constexpr std::size_t field_bytes = 64, most_name = 31;
inline constexpr std::size_t most_sections = 256, most_fields = 1024;
inline constexpr std::size_t chunk = std::size_t{1} << 20;  // bytes under one checksum
inline constexpr std::size_t alignment = 64, page = 4096;   // of small and large sections
inline constexpr const char* fields_name = "fields";
inline constexpr const char* sums_name = "checksums";

/// What may stand in the feature bits of a file that this version reads; none so far.
inline constexpr std::uint64_t known_incompatible = 0, known_read_only = 0;

struct Header {
    std::uint16_t major = major_version, minor = minor_version;
    std::uint64_t incompatible = 0;  // features without which the file cannot be read
    std::uint64_t read_only = 0;     // without which it must not be changed
    std::uint64_t compatible = 0;    // that may be ignored
    std::uint64_t file_bytes = 0, table_offset = 0;
    std::uint32_t sections = 0;
    std::string kind;    // of index, at most most_name bytes
    std::string writer;  // what made it, for people
};

struct Entry {
    enum Flags : std::uint16_t { required = 1 };
    std::string name;
    std::uint16_t version = 1, flags = required;
    Element element = Element::u8;
    std::uint64_t offset = 0, bytes = 0, count = 0;
    std::uint64_t first_sum = 0;  // where its checksums begin in the section of checksums
    std::uint64_t hash = 0;       // of the section of checksums only: of its bytes
};

constexpr std::uint64_t chunks(std::uint64_t bytes) { return (bytes + chunk - 1) / chunk; }
constexpr std::uint64_t align(std::uint64_t offset, std::uint64_t bytes) {
    const std::uint64_t to = bytes >= chunk ? page : alignment;
    return (offset + to - 1) / to * to;
}

/// Where everything goes; the section of checksums comes last.
struct Layout {
    std::vector<Entry> entries;
    std::uint64_t table_offset = 0, file_bytes = 0;
};
Layout plan(const std::vector<Section>& sections);

std::string encode_fields(const std::vector<Field>& fields);
std::string encode_header(const Header& header);
std::string encode_table(const std::vector<Entry>& entries);
std::string encode_trailer(std::string_view header, std::string_view table);

/// These throw CorruptIndex or IncompatibleVersion; nothing in the bytes is believed before it is
/// checked. `file_bytes` is what the system says.
Header decode_header(std::string_view bytes, std::uint64_t file_bytes);
void check_trailer(std::string_view bytes, std::string_view header, std::uint64_t file_bytes);
/// Also compares the trailer's checksum of the table.
std::vector<Entry> decode_table(std::string_view bytes, std::string_view trailer,
                                const Header& header);
std::vector<Field> decode_fields(std::string_view bytes);

/// How many bytes the table takes, its own checksum included.
constexpr std::uint64_t table_bytes(std::uint64_t sections) { return sections * entry_bytes + 8; }

}  // namespace nearfield::format
