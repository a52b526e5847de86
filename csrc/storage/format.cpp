#include "storage/format.h"

#include <cstring>
#include <set>

#include "core/error.h"
#include "storage/xxh3.h"

namespace nearfield::format {
namespace {

// As PNG does: a byte above 127 and both line ends show what a transfer as text has done.
constexpr char magic[8] = {'\x89', 'N', 'F', 'I', '\r', '\n', '\x1a', '\n'};
constexpr std::uint32_t endian_tag = 0x01020304;
constexpr std::size_t kind_at = 72, writer_at = 104, writer_bytes = 64;

template <class T>
void put(std::string& out, std::size_t at, T value) {
    std::memcpy(out.data() + at, &value, sizeof value);
}
template <class T>
T take(std::string_view in, std::size_t at) {
    T value;
    std::memcpy(&value, in.data() + at, sizeof value);
    return value;
}

void put_text(std::string& out, std::size_t at, std::string_view value, std::size_t most) {
    require(!value.empty() && value.size() <= most, "a name must be 1..", most, " bytes, got '",
            value, "'");
    std::memcpy(out.data() + at, value.data(), value.size());
}

[[noreturn]] void corrupt(std::uint64_t offset, const std::string& what, const char* section) {
    throw CorruptIndex(text("the ", section, " ", what), section, offset);
}

void check_zero(std::string_view bytes, std::size_t from, std::size_t to, std::uint64_t base,
                const char* section) {
    for (std::size_t i = from; i < to; ++i)
        if (bytes[i] != 0) corrupt(base + i, "has a stray byte", section);
}

/// A name: letters, digits, dots and underscores, filled up with zeros.
std::string take_name(std::string_view bytes, std::size_t at, std::size_t room, std::uint64_t base,
                      const char* section) {
    const std::string_view field = bytes.substr(at, room);
    const std::size_t length = field.find('\0');
    if (length == 0 || length == std::string_view::npos)
        corrupt(base + at, "has a name without an end", section);
    for (const char c : field.substr(0, length)) {
        const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        if (!letter && !(c >= '0' && c <= '9') && c != '.' && c != '_')
            corrupt(base + at, "has a name with a strange letter", section);
    }
    check_zero(bytes, at + length, at + room, base, section);
    return std::string(field.substr(0, length));
}

void check_sum(std::string_view bytes, std::uint64_t base, const char* section) {
    const std::size_t end = bytes.size() - 8;
    if (xxh3(bytes.data(), end) != take<std::uint64_t>(bytes, end))
        corrupt(base + end, "does not match its checksum", section);
}

std::string escaped(std::string_view bytes) {
    constexpr char digits[] = "0123456789abcdef";
    std::string out;
    for (const char c : bytes) {
        if (c >= ' ' && c <= '~') {
            out += c;
            continue;
        }
        const auto value = static_cast<unsigned char>(c);
        out += "\\x";
        out += digits[value / 16];
        out += digits[value % 16];
    }
    return out;
}

void check_versions(const Header& header) {
    const std::string found = text(header.major, ".", header.minor);
    const std::string own = text("1.0..", major_version, ".x");
    if (header.major > major_version || header.major == 0)
        throw IncompatibleVersion(text("file has format ", found, ", this version reads ", own,
                                       "; it was written by ", header.writer),
                                  found, own, header.writer);
    if (const std::uint64_t unknown = header.incompatible & ~known_incompatible)
        throw IncompatibleVersion(
            text("file uses features ", unknown,
                 " that this version does not know; it was written by ", header.writer),
            found, own, header.writer);
}

}  // namespace

Layout plan(const std::vector<Section>& sections) {
    require(sections.size() < most_sections, "an index must have fewer than ", most_sections,
            " sections, got ", sections.size());
    Layout layout;
    std::uint64_t at = header_bytes, sums = 0;
    const auto place = [&](Entry entry) {
        entry.offset = at = align(at, entry.bytes);
        at += entry.bytes;
        layout.entries.push_back(std::move(entry));
    };
    for (const Section& section : sections) {
        Entry entry;
        entry.name = section.name;
        entry.element = section.element;
        entry.count = section.count;
        entry.bytes = section.bytes();
        entry.first_sum = sums;
        sums += chunks(entry.bytes);
        place(std::move(entry));
    }
    Entry own;
    own.name = sums_name;
    own.element = Element::u64;
    own.count = own.first_sum = sums;
    own.bytes = sums * 8;
    place(std::move(own));
    layout.table_offset = align(at, 0);
    layout.file_bytes =
        align(layout.table_offset + table_bytes(layout.entries.size()), 0) + trailer_bytes;
    return layout;
}

std::string encode_fields(const std::vector<Field>& fields) {
    require(fields.size() <= most_fields, "an index must have at most ", most_fields,
            " fields, got ", fields.size());
    std::string out(fields.size() * field_bytes, '\0');
    for (std::size_t i = 0; i < fields.size(); ++i) {
        const Field& field = fields[i];
        const std::size_t at = i * field_bytes;
        put_text(out, at, field.name, most_name);
        put(out, at + 32, static_cast<std::uint32_t>(field.type));
        if (field.type == Field::Type::number) put(out, at + 40, field.number);
        if (field.type == Field::Type::real) put(out, at + 40, field.real);
        if (field.type != Field::Type::word) continue;
        put(out, at + 36, static_cast<std::uint32_t>(field.word.size()));
        std::memcpy(out.data() + at + 40, field.word.data(), field.word.size());
    }
    return out;
}

std::vector<Field> decode_fields(std::string_view bytes) {
    if (bytes.size() % field_bytes != 0 || bytes.size() / field_bytes > most_fields)
        corrupt(0, text("must be a multiple of ", field_bytes, " bytes, got ", bytes.size()),
                fields_name);
    std::vector<Field> fields;
    std::set<std::string> names;
    for (std::size_t at = 0; at < bytes.size(); at += field_bytes) {
        Field field;
        field.name = take_name(bytes, at, 32, 0, fields_name);
        if (!names.insert(field.name).second)
            corrupt(0, text("name ", field.name, " more than once"), fields_name);
        const auto type = take<std::uint32_t>(bytes, at + 32);
        const auto length = take<std::uint32_t>(bytes, at + 36);
        field.type = static_cast<Field::Type>(type);
        const bool is_word = field.type == Field::Type::word;
        if (type < 1 || type > 3 || length > Field::most_letters || (!is_word && length != 0))
            corrupt(0, text("hold ", field.name, " with type ", type, " and length ", length),
                    fields_name);
        field.number = take<std::uint64_t>(bytes, at + 40);
        field.real = take<double>(bytes, at + 40);
        if (is_word) field.word = bytes.substr(at + 40, length);
        check_zero(bytes, at + 40 + (is_word ? length : 8), at + field_bytes, 0, fields_name);
        fields.push_back(std::move(field));
    }
    return fields;
}

std::string encode_header(const Header& header) {
    std::string out(header_bytes, '\0');
    std::memcpy(out.data(), magic, sizeof magic);
    put(out, 8, header.major);
    put(out, 10, header.minor);
    put(out, 12, static_cast<std::uint32_t>(header_bytes));
    put(out, 16, endian_tag);
    put(out, 24, header.incompatible);
    put(out, 32, header.read_only);
    put(out, 40, header.compatible);
    put(out, 48, header.file_bytes);
    put(out, 56, header.table_offset);
    put(out, 64, header.sections);
    put(out, 68, static_cast<std::uint32_t>(entry_bytes));
    put_text(out, kind_at, header.kind, most_name);
    put_text(out, writer_at, header.writer, writer_bytes - 1);
    put(out, header_bytes - 8, xxh3(out.data(), header_bytes - 8));
    return out;
}

Header decode_header(std::string_view bytes, std::uint64_t file_bytes) {
    if (std::memcmp(bytes.data(), magic, sizeof magic) != 0)
        throw CorruptIndex(text("file is no nearfield index, it begins with '",
                                escaped(bytes.substr(0, sizeof magic)), "'"),
                           "header");
    check_sum(bytes, 0, "header");
    if (take<std::uint32_t>(bytes, 16) != endian_tag)
        corrupt(16, "was written in another order of bytes", "header");
    Header header;
    header.major = take<std::uint16_t>(bytes, 8);
    header.minor = take<std::uint16_t>(bytes, 10);
    header.incompatible = take<std::uint64_t>(bytes, 24);
    header.read_only = take<std::uint64_t>(bytes, 32);
    header.compatible = take<std::uint64_t>(bytes, 40);
    const std::string_view writer = bytes.substr(writer_at, writer_bytes);
    header.writer = escaped(writer.substr(0, writer.find('\0')));
    check_versions(header);
    header.file_bytes = take<std::uint64_t>(bytes, 48);
    header.table_offset = take<std::uint64_t>(bytes, 56);
    header.sections = take<std::uint32_t>(bytes, 64);
    header.kind = take_name(bytes, kind_at, most_name + 1, 0, "header");
    if (header.file_bytes != file_bytes)
        corrupt(48, text("says the file has ", header.file_bytes, " bytes, it has ", file_bytes),
                "header");
    if (take<std::uint32_t>(bytes, 12) != header_bytes ||
        take<std::uint32_t>(bytes, 68) != entry_bytes)
        corrupt(12, "has another size of header or entry", "header");
    if (header.sections < 1 || header.sections > most_sections)
        corrupt(64, text("must count 1..", most_sections, " sections, got ", header.sections),
                "header");
    const std::uint64_t rest = align(table_bytes(header.sections), 0) + trailer_bytes;
    if (file_bytes < header_bytes + rest || header.table_offset != file_bytes - rest)
        corrupt(56, text("puts the table at ", header.table_offset), "header");
    check_zero(bytes, 20, 24, 0, "header");
    check_zero(bytes, writer_at + writer_bytes, header_bytes - 8, 0, "header");
    return header;
}

std::string encode_table(const std::vector<Entry>& entries) {
    std::string out(table_bytes(entries.size()), '\0');
    for (std::size_t i = 0; i < entries.size(); ++i) {
        const Entry& entry = entries[i];
        const std::size_t at = i * entry_bytes;
        put_text(out, at, entry.name, most_name);
        put(out, at + 32, entry.version);
        put(out, at + 34, entry.flags);
        put(out, at + 36, static_cast<std::uint32_t>(entry.element));
        put(out, at + 40, entry.offset);
        put(out, at + 48, entry.bytes);
        put(out, at + 56, entry.count);
        put(out, at + 64, entry.first_sum);
        put(out, at + 72, entry.hash);
    }
    put(out, out.size() - 8, xxh3(out.data(), out.size() - 8));
    return out;
}

std::vector<Entry> decode_table(std::string_view bytes, std::string_view trailer,
                                const Header& header) {
    check_sum(bytes, header.table_offset, "table");
    if (take<std::uint64_t>(bytes, bytes.size() - 8) != take<std::uint64_t>(trailer, 24))
        corrupt(header.table_offset, "does not match the trailer", "table");
    std::vector<Entry> entries;
    std::set<std::string> names;
    std::uint64_t end = header_bytes, sums = 0;
    for (std::size_t i = 0; i < header.sections; ++i) {
        const std::size_t at = i * entry_bytes;
        const std::uint64_t where = header.table_offset + at;
        Entry entry;
        entry.name = take_name(bytes, at, most_name + 1, header.table_offset, "table");
        entry.version = take<std::uint16_t>(bytes, at + 32);
        entry.flags = take<std::uint16_t>(bytes, at + 34);
        const auto element = take<std::uint32_t>(bytes, at + 36);
        entry.offset = take<std::uint64_t>(bytes, at + 40);
        entry.bytes = take<std::uint64_t>(bytes, at + 48);
        entry.count = take<std::uint64_t>(bytes, at + 56);
        entry.first_sum = take<std::uint64_t>(bytes, at + 64);
        entry.hash = take<std::uint64_t>(bytes, at + 72);
        check_zero(bytes, at + 80, at + entry_bytes, header.table_offset, "table");
        if (!names.insert(entry.name).second) corrupt(where, "names a section twice", "table");
        if (element < 1 || element > n_elements)
            corrupt(where, text("gives ", entry.name, " the element type ", element), "table");
        entry.element = static_cast<Element>(element);
        // Divided, not multiplied: no product here can wrap.
        const std::uint64_t each = element_bytes(entry.element);
        if (entry.bytes % each != 0 || entry.bytes / each != entry.count)
            corrupt(where,
                    text("gives ", entry.name, " ", entry.bytes, " bytes for ", entry.count,
                         " elements"),
                    "table");
        // In order, aligned, without overlap or holes, inside the file.
        if (entry.bytes > header.table_offset || entry.offset != align(end, entry.bytes) ||
            entry.offset > header.table_offset - entry.bytes)
            corrupt(where, text("puts ", entry.name, " at ", entry.offset), "table");
        if (entry.first_sum != sums)
            corrupt(where, text("puts the checksums of ", entry.name, " at ", entry.first_sum),
                    "table");
        end = entry.offset + entry.bytes;
        const bool last = i + 1 == header.sections;
        if (last != (entry.name == sums_name) || (last && entry.element != Element::u64))
            corrupt(where, "must have the section of checksums last", "table");
        if (last && entry.count != sums)
            corrupt(where, text("must count ", sums, " checksums, got ", entry.count), "table");
        sums += chunks(entry.bytes);
        entries.push_back(std::move(entry));
    }
    if (align(end, 0) != header.table_offset)
        corrupt(header.table_offset, "leaves a hole", "table");
    return entries;
}

std::string encode_trailer(std::string_view header, std::string_view table) {
    std::string out(trailer_bytes, '\0');
    for (std::size_t i = 0; i < sizeof magic; ++i) out[i] = magic[sizeof magic - 1 - i];
    put(out, 8, take<std::uint64_t>(header, 48));
    put(out, 16, take<std::uint64_t>(header, header.size() - 8));
    put(out, 24, take<std::uint64_t>(table, table.size() - 8));
    put(out, trailer_bytes - 8, xxh3(out.data(), trailer_bytes - 8));
    return out;
}

void check_trailer(std::string_view bytes, std::string_view header, std::uint64_t file_bytes) {
    const std::uint64_t at = file_bytes - trailer_bytes;
    check_sum(bytes, at, "trailer");
    for (std::size_t i = 0; i < sizeof magic; ++i)
        if (bytes[i] != magic[sizeof magic - 1 - i]) corrupt(at, "has another mark", "trailer");
    if (take<std::uint64_t>(bytes, 8) != file_bytes ||
        take<std::uint64_t>(bytes, 16) != take<std::uint64_t>(header, header.size() - 8))
        corrupt(at, "does not match the header", "trailer");
    check_zero(bytes, 32, trailer_bytes - 8, at, "trailer");
}

}  // namespace nearfield::format
