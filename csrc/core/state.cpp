#include "core/state.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/error.h"

namespace nearfield {

const char* element_name(Element element) {
    constexpr const char* names[] = {"",         "uint8",   "int8",   "uint16", "int16",
                                     "uint32",   "int32",   "uint64", "int64",  "float16",
                                     "bfloat16", "float32", "float64"};
    return names[static_cast<std::size_t>(element)];
}

void StateWriter::number(std::string_view name, std::uint64_t value) {
    Field field;
    field.name = name;
    field.number = value;
    fields_.push_back(std::move(field));
}

void StateWriter::real(std::string_view name, double value) {
    Field field;
    field.name = name;
    field.type = Field::Type::real;
    field.real = value;
    fields_.push_back(std::move(field));
}

void StateWriter::word(std::string_view name, std::string_view value) {
    require(value.size() <= Field::most_letters, name, " must be at most ", Field::most_letters,
            " bytes, got '", value, "'");
    Field field;
    field.name = name;
    field.type = Field::Type::word;
    field.word = value;
    fields_.push_back(std::move(field));
}

void StateWriter::array(std::string_view name, Element element, const void* values,
                        std::size_t count) {
    sections_.push_back({std::string(name), element, values, count});
}

void StateWriter::array(std::string_view name, Element element,
                        std::vector<std::span<const std::byte>> parts) {
    std::size_t bytes = 0;
    for (const auto& part : parts) bytes += part.size();
    sections_.push_back(
        {std::string(name), element, nullptr, bytes / element_bytes(element), std::move(parts)});
}

const std::byte* Section::read(std::size_t begin, std::size_t n, std::byte* room) const {
    if (parts.empty()) return static_cast<const std::byte*>(values) + begin;
    std::byte* to = room;
    for (std::size_t i = 0; n > 0; ++i) {
        const std::size_t size = parts[i].size();
        if (begin < size) {
            const std::size_t taken = std::min(n, size - begin);
            to = std::copy_n(parts[i].data() + begin, taken, to);
            n -= taken;
            begin = 0;
        } else {
            begin -= size;
        }
    }
    return room;
}

const Field& StateReader::field(std::string_view name, Field::Type type) {
    const Field* const found = find_field(name);
    if (!found) throw CorruptIndex(text("field ", name, " is missing"), "fields");
    if (found->type != type)
        throw CorruptIndex(text("field ", name, " must have type ", static_cast<int>(type),
                                ", got ", static_cast<int>(found->type)),
                           "fields");
    return *found;
}

std::uint64_t StateReader::number(std::string_view name, std::uint64_t lowest,
                                  std::uint64_t highest) {
    const std::uint64_t value = field(name, Field::Type::number).number;
    if (value < lowest || value > highest)
        throw CorruptIndex(
            text("field ", name, " must be in ", lowest, "..", highest, ", got ", value), "fields");
    return value;
}

double StateReader::real(std::string_view name) {
    const double value = field(name, Field::Type::real).real;
    if (!std::isfinite(value))
        throw CorruptIndex(text("field ", name, " must be finite, got ", value), "fields");
    return value;
}

const std::string& StateReader::word(std::string_view name) {
    return field(name, Field::Type::word).word;
}

std::size_t StateReader::count(std::string_view name) const {
    const Section* const found = find(name);
    return found ? found->count : 0;
}

const Section& StateReader::check(std::string_view name, Element element, std::size_t count) const {
    const Section* const found = find(name);
    if (!found) throw CorruptIndex(text("section ", name, " is missing"), std::string(name));
    if (found->element != element || found->count != count)
        throw CorruptIndex(text("section ", name, " must hold ", count, " ", element_name(element),
                                ", got ", found->count, " ", element_name(found->element)),
                           std::string(name));
    return *found;
}

Buffer StateReader::buffer(std::string_view name, Element element, std::size_t count) {
    return load(check(name, element, count), false);
}

Buffer StateReader::rows(std::string_view name, Element element, std::size_t count) {
    return load(check(name, element, count), true);
}

}  // namespace nearfield
