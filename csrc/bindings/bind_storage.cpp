#include <pybind11/stl.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "bindings/bindings.h"
#include "core/error.h"
#include "index/registry.h"
#include "storage/container.h"
#include "storage/xxh3.h"

namespace nearfield::bindings {
namespace {

// Sections that belong to the Python face of an index: string ids, and what nf.build chose.
constexpr const char* extra_names[] = {"names.offsets", "names.heap", "names.table", "choice"};

/// Arrays as Python hands them over, by name.
using Extras = std::vector<std::pair<std::string, py::array>>;

Element element_of_array(const py::array& array) {
    const auto type = array.dtype();
    if (type.kind() == 'u' && type.itemsize() == 1) return Element::u8;
    if (type.kind() == 'u' && type.itemsize() == 4) return Element::u32;
    if (type.kind() == 'u' && type.itemsize() == 8) return Element::u64;
    throw py::type_error("extras must be uint8, uint32 or uint64");
}

template <class Use>
void with_extras(const Index& index, const Extras& extras, Use&& use) {
    std::vector<Section> sections;
    for (const auto& [name, array] : extras)
        sections.push_back(
            {name, element_of_array(array), array.data(), static_cast<std::size_t>(array.size())});
    const py::gil_scoped_release unlocked;
    index.with_state([&](const StateWriter& state) {
        StateWriter all = state;
        for (const Section& extra : sections)
            all.array(extra.name, extra.element, extra.values, extra.count);
        use(all);
    });
}

void save(const Index& index, const std::string& path, const Extras& extras, Threads threads,
          const py::object& progress) {
    const Run run = make_run(threads, progress);
    with_extras(index, extras, [&](const StateWriter& state) {
        save_file(system_vfs(), path, state, index.kind(), run);
    });
}

py::bytes dump(const Index& index, const Extras& extras) {
    const Run run = make_run({0}, py::none());
    std::string bytes;
    with_extras(index, extras,
                [&](const StateWriter& state) { bytes = to_bytes(state, index.kind(), run); });
    return bytes;
}

py::object as_value(const Field& field) {
    if (field.type == Field::Type::number) return py::int_(field.number);
    if (field.type == Field::Type::real) return py::float_(field.real);
    return py::reinterpret_steal<py::object>(PyUnicode_DecodeUTF8(
        field.word.data(), static_cast<py::ssize_t>(field.word.size()), "replace"));
}

py::dict as_dict(const std::vector<Field>& fields) {
    py::dict out;
    for (const Field& field : fields) out[field.name.c_str()] = as_value(field);
    return out;
}

/// A read-only array that keeps its buffer.
template <class T>
py::array as_view(Buffer buffer) {
    auto* const kept = new Buffer(std::move(buffer));
    const py::capsule owner(kept, [](void* held) { delete static_cast<Buffer*>(held); });
    py::array_t<T> array(static_cast<py::ssize_t>(kept->size() / sizeof(T)), kept->as<T>(), owner);
    array.attr("flags").attr("writeable") = false;
    return array;
}

struct Extra {
    std::string name;
    Element element;
    Buffer values;
};

std::vector<Extra> take_extras(Container& file) {
    std::vector<Extra> found;
    for (const char* name : extra_names) {
        if (!file.has(name)) continue;
        const std::string text_name = name;
        const Element element = text_name == "names.offsets" ? Element::u64
                                : text_name == "names.table" ? Element::u32
                                                             : Element::u8;
        found.push_back({text_name, element, file.buffer(name, element, file.count(name))});
    }
    return found;
}

/// Runs `body`, which may release the GIL, and tells errors which file they are about.
template <class Body>
auto with_path(const std::string& path, Body&& body) {
    try {
        return body();
    } catch (CorruptIndex& error) {
        error.path = path;
        throw;
    } catch (IncompatibleVersion& error) {
        error.path = path;
        throw;
    }
}

py::tuple load_from(std::unique_ptr<Source> source, const std::string& path,
                    const ReadOptions& options) {
    std::unique_ptr<Index> index;
    std::vector<Extra> extras;
    std::vector<Field> fields;
    with_path(path, [&] {
        const py::gil_scoped_release unlocked;
        Container file(std::move(source), options);
        index = index_from_state(file.header().kind, file);
        extras = take_extras(file);
        file.check_all_taken();
        fields = file.fields();
        if (file.read_only()) index->make_read_only();
    });
    py::dict arrays;
    for (Extra& extra : extras) {
        const py::str name(extra.name);
        if (extra.element == Element::u64)
            arrays[name] = as_view<std::uint64_t>(std::move(extra.values));
        else if (extra.element == Element::u32)
            arrays[name] = as_view<std::uint32_t>(std::move(extra.values));
        else
            arrays[name] = as_view<std::uint8_t>(std::move(extra.values));
    }
    return py::make_tuple(std::move(index), as_dict(fields), arrays);
}

py::tuple load(const std::string& path, const std::string& map, bool full,
               Natural<"max_memory"> max_memory, Threads threads, const py::object& progress) {
    using Map = ReadOptions::Map;
    const Map mapped = map == "everything" ? Map::everything
                       : map == "rows"     ? Map::rows
                                           : Map::nothing;
    std::unique_ptr<Source> source = file_source(system_vfs(), path);
    return load_from(std::move(source), path,
                     {mapped, full, max_memory.value, make_run(threads, progress)});
}

py::tuple restore(const py::bytes& bytes) {
    const std::string_view view = bytes;
    return load_from(memory_source(view), "",
                     {ReadOptions::Map::nothing, true, ~std::uint64_t{0}, {}});
}

/// What a file says about itself, and every checksum in it that does not match.
py::dict inspect(const std::string& path, std::size_t most_faults, Threads threads) {
    std::unique_ptr<Container> file;
    std::vector<Fault> faults;
    const Run run = make_run(threads, py::none());
    with_path(path, [&] {
        const py::gil_scoped_release unlocked;
        file = std::make_unique<Container>(
            file_source(system_vfs(), path),
            ReadOptions{ReadOptions::Map::nothing, true, ~std::uint64_t{0}, run});
        if (most_faults > 0) faults = file->faults(most_faults);
    });
    py::dict out;
    out["kind"] = file->header().kind;
    out["version"] = text(file->header().major, ".", file->header().minor);
    out["writer"] = file->header().writer;
    out["file_bytes"] = file->header().file_bytes;
    out["fields"] = as_dict(file->fields());
    py::list sections, broken;
    for (const format::Entry& entry : file->entries())
        sections.append(py::make_tuple(entry.name, element_name(entry.element), entry.count,
                                       entry.offset, entry.bytes));
    for (const Fault& fault : faults)
        broken.append(py::make_tuple(fault.section, fault.offset, fault.what));
    out["sections"] = sections;
    out["faults"] = broken;
    return out;
}

}  // namespace

void bind_storage(py::module_& m) {
    m.def("save", &save, py::arg("index"), py::arg("path"), py::arg("extras"), py::arg("threads"),
          py::arg("progress"));
    m.def("dump", &dump, py::arg("index"), py::arg("extras"));
    m.def("load", &load, py::arg("path"), py::arg("map"), py::arg("full"), py::arg("max_memory"),
          py::arg("threads"), py::arg("progress"));
    m.def("restore", &restore, py::arg("bytes"));
    m.def("inspect", &inspect, py::arg("path"), py::arg("most_faults"), py::arg("threads"));
    m.def(
        "xxh3",
        [](const py::bytes& bytes) {
            const std::string_view view = bytes;
            return xxh3(view.data(), view.size());
        },
        py::arg("bytes"));
}

}  // namespace nearfield::bindings
