// An index as named numbers and arrays in Python: what the readers and writers of other programs'
// files work on.
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bindings/bindings.h"
#include "core/error.h"
#include "core/state.h"
#include "index/registry.h"

namespace nearfield::bindings {
namespace {

/// numpy's name for an element; bfloat16, which it does not have, passes as uint16.
constexpr const char* dtypes[] = {"",   "u1", "i1", "u2", "i2", "u4", "i4",
                                  "u8", "i8", "f2", "u2", "f4", "f8"};

Element element_of_dtype(const std::string& name, const py::array& array) {
    const std::string given = py::str(array.dtype().attr("str"));
    for (std::uint32_t i = 1; i <= n_elements; ++i)
        if (given.substr(1) == dtypes[i]) return static_cast<Element>(i);
    throw py::type_error("array " + name + " must be of numbers of at most 8 bytes, got " + given);
}

struct Copied {
    std::string name;
    Element element;
    Buffer values;
};

py::array as_array(Copied part) {
    auto* const kept = new Buffer(std::move(part.values));
    const py::capsule owner(kept, [](void* held) { delete static_cast<Buffer*>(held); });
    const auto n = static_cast<py::ssize_t>(kept->size() / element_bytes(part.element));
    return {py::dtype(dtypes[static_cast<std::size_t>(part.element)]), {n}, kept->data(), owner};
}

/// (kind, fields, arrays), everything copied.
py::tuple state(const Index& index) {
    std::vector<Field> found;
    std::vector<Copied> parts;
    {
        const py::gil_scoped_release unlocked;
        index.with_state([&](const StateWriter& state) {
            found = state.fields();
            for (const Section& section : state.sections()) {
                Buffer values(section.bytes());
                const std::byte* const from = section.read(0, values.size(), values.data());
                if (from != values.data() && values.size() > 0)
                    std::memcpy(values.data(), from, values.size());
                parts.push_back({section.name, section.element, std::move(values)});
            }
        });
    }
    py::dict fields, arrays;
    for (const Field& field : found) {
        const py::str name(field.name);
        if (field.type == Field::Type::number)
            fields[name] = field.number;
        else if (field.type == Field::Type::real)
            fields[name] = field.real;
        else
            fields[name] = field.word;
    }
    for (Copied& part : parts) {
        const py::str name(part.name);
        arrays[name] = as_array(std::move(part));
    }
    return py::make_tuple(index.kind(), fields, arrays);
}

/// A state that Python holds. Its arrays are copied when they are taken.
class GivenState final : public StateReader {
  public:
    GivenState(const py::dict& fields, const py::dict& arrays) {
        for (const auto& [key, value] : fields) {
            Field field;
            field.name = key.cast<std::string>();
            if (py::isinstance<py::str>(value)) {
                field.type = Field::Type::word;
                field.word = value.cast<std::string>();
            } else if (py::isinstance<py::float_>(value)) {
                field.type = Field::Type::real;
                field.real = value.cast<double>();
            } else {
                field.number = value.cast<std::uint64_t>();
            }
            fields_.push_back(std::move(field));
        }
        for (const auto& [key, value] : arrays) {
            const auto name = key.cast<std::string>();
            const auto array = py::array::ensure(value, py::array::c_style);
            if (!array) throw py::type_error("array " + name + " must be an array");
            kept_.push_back(array);
            sections_.push_back({name, element_of_dtype(name, array), array.data(),
                                 static_cast<std::size_t>(array.size())});
        }
    }
    bool whole() const override { return true; }

  protected:
    const Field* find_field(std::string_view name) override {
        for (const Field& field : fields_)
            if (field.name == name) return &field;
        return nullptr;
    }
    const Section* find(std::string_view name) const override {
        for (const Section& section : sections_)
            if (section.name == name) return &section;
        return nullptr;
    }
    Buffer load(const Section& section, bool) override {
        Buffer out(section.bytes());
        if (section.bytes() > 0) std::memcpy(out.data(), section.values, section.bytes());
        return out;
    }
    void copy(std::string_view name, void* out) override {
        const Section& section = *find(name);
        if (section.bytes() > 0) std::memcpy(out, section.values, section.bytes());
    }

  private:
    std::vector<Field> fields_;
    std::vector<Section> sections_;
    std::vector<py::array> kept_;
};

/// Checked through and through, as a file is. Throws CorruptIndex.
std::unique_ptr<Index> from_state(const std::string& kind, const py::dict& fields,
                                  const py::dict& arrays) {
    GivenState given(fields, arrays);
    const py::gil_scoped_release unlocked;
    return index_from_state(kind, given);
}

}  // namespace

void bind_state(py::module_& m) {
    m.def("state", &state, py::arg("index"));
    m.def("from_state", &from_state, py::arg("kind"), py::arg("fields"), py::arg("arrays"));
}

}  // namespace nearfield::bindings
