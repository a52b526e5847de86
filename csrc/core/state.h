// What an index holds, as named numbers, words and arrays: it is saved and taken back as these. No
// file is known here.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/buffer.h"
#include "core/column.h"

namespace nearfield {

static_assert(std::endian::native == std::endian::little, "files are little-endian");
static_assert(sizeof(std::size_t) == 8, "a count of bytes must fit size_t");

/// What an array holds. The numbers are part of the file format.
enum class Element : std::uint32_t {
    u8 = 1,
    i8,
    u16,
    i16,
    u32,
    i32,
    u64,
    i64,
    f16,
    bf16,
    f32,
    f64
};
inline constexpr std::uint32_t n_elements = 12;

constexpr std::size_t element_bytes(Element element) {
    constexpr std::size_t bytes[] = {0, 1, 1, 2, 2, 4, 4, 8, 8, 2, 2, 4, 8};
    return bytes[static_cast<std::size_t>(element)];
}
const char* element_name(Element element);

template <class T>
constexpr Element element_of();
template <>
constexpr Element element_of<std::uint8_t>() {
    return Element::u8;
}
template <>
constexpr Element element_of<std::int8_t>() {
    return Element::i8;
}
template <>
constexpr Element element_of<std::uint16_t>() {
    return Element::u16;
}
template <>
constexpr Element element_of<std::uint32_t>() {
    return Element::u32;
}
template <>
constexpr Element element_of<std::uint64_t>() {
    return Element::u64;
}
template <>
constexpr Element element_of<std::int64_t>() {
    return Element::i64;
}
template <>
constexpr Element element_of<float>() {
    return Element::f32;
}

/// A number, or a word of at most most_letters bytes.
struct Field {
    enum class Type : std::uint32_t { number = 1, real, word };
    static constexpr std::size_t most_letters = 24;

    std::string name;
    Type type = Type::number;
    std::uint64_t number = 0;
    double real = 0;
    std::string word;
};

struct Section {
    std::string name;
    Element element = Element::u8;
    const void* values = nullptr;
    std::size_t count = 0;
    /// Where the values do not lie side by side: parts of them, in order; `values` is null.
    std::vector<std::span<const std::byte>> parts{};

    std::size_t bytes() const { return count * element_bytes(element); }
    /// Bytes [begin, begin + n): as they lie, or copied into `room` (n,).
    const std::byte* read(std::size_t begin, std::size_t n, std::byte* room) const;
};

/// Collects a state. Arrays are borrowed: they must stay as they are until the state is written.
/// Names are lower case words joined by dots, at most 31 bytes, each used once.
class StateWriter {
  public:
    void number(std::string_view name, std::uint64_t value);
    void real(std::string_view name, double value);
    void word(std::string_view name, std::string_view value);
    void array(std::string_view name, Element element, const void* values, std::size_t count);
    template <class T>
    void array(std::string_view name, const T* values, std::size_t count) {
        array(name, element_of<T>(), values, count);
    }
    /// An array in parts.
    void array(std::string_view name, Element element,
               std::vector<std::span<const std::byte>> parts);
    /// Keeps the values itself.
    template <class T>
    void array(std::string_view name, std::vector<T> values) {
        const auto kept = std::make_shared<const std::vector<T>>(std::move(values));
        kept_.push_back(kept);
        array(name, kept->data(), kept->size());
    }

    const std::vector<Field>& fields() const { return fields_; }
    const std::vector<Section>& sections() const { return sections_; }

  private:
    std::vector<Field> fields_;
    std::vector<Section> sections_;
    std::vector<std::shared_ptr<const void>> kept_;
};

/// Gives a state back. What it returns has the size and type asked for, and nothing else is known
/// about it: whoever takes it checks every number before using it. Everything throws CorruptIndex
/// where the state holds no such thing.
class StateReader {
  public:
    virtual ~StateReader() = default;

    /// In lowest..highest.
    std::uint64_t number(std::string_view name, std::uint64_t lowest, std::uint64_t highest);
    /// Finite.
    double real(std::string_view name);
    const std::string& word(std::string_view name);

    bool has(std::string_view section) const { return find(section) != nullptr; }
    /// How many elements a section has; 0 where there is none. It has been compared with the file's
    /// length.
    std::size_t count(std::string_view section) const;
    /// A view of the file where whole() is false, else a copy.
    Buffer buffer(std::string_view section, Element element, std::size_t count);
    /// The same of plain values that lead nowhere: they may be a view where whole() is true, too.
    Buffer rows(std::string_view section, Element element, std::size_t count);
    template <class T>
    Column<T> column(std::string_view section, std::size_t count) {
        return Column<T>(buffer(section, element_of<T>(), count));
    }
    /// Always a copy, with its checksum compared.
    template <class T>
    std::vector<T> values(std::string_view section, std::size_t count) {
        std::vector<T> out(check(section, element_of<T>(), count).count);
        copy(section, out.data());
        return out;
    }

    /// True: arrays but rows() are copies, to be checked through and through now. False: they view
    /// a file that may change at any time, and every number in them is checked when it is used.
    virtual bool whole() const = 0;

  protected:
    virtual const Field* find_field(std::string_view name) = 0;
    virtual const Section* find(std::string_view name) const = 0;
    virtual Buffer load(const Section& section, bool rows) = 0;
    virtual void copy(std::string_view section, void* out) = 0;

  private:
    const Field& field(std::string_view name, Field::Type type);
    const Section& check(std::string_view name, Element element, std::size_t count) const;
};

}  // namespace nearfield
