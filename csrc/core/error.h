// Errors: one sentence of the form "<argument> must <rule>, got <value>".
#pragma once

#include <cstdint>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>

namespace nearfield {

/// The index needs train() first.
struct NotTrained : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// A saved index or an internal invariant is broken.
struct CorruptIndex : std::runtime_error {
    explicit CorruptIndex(const std::string& what, std::string broken_section = {},
                          std::uint64_t at = 0)
        : std::runtime_error(what), section(std::move(broken_section)), offset(at) {}
    std::string path;      // empty where no file is involved, or it is not known yet
    std::string section;   // of the file; empty where the whole is meant
    std::uint64_t offset;  // in the file, 0 where none can be told
};

/// A file made by a later version, or holding a part that this one does not know.
struct IncompatibleVersion : std::runtime_error {
    IncompatibleVersion(const std::string& what, std::string found_one, std::string supported_ones,
                        std::string written_by)
        : std::runtime_error(what),
          found(std::move(found_one)),
          supported(std::move(supported_ones)),
          writer(std::move(written_by)) {}
    std::string path, found, supported, writer;
};

/// More memory would be needed than the caller allows.
struct ResourceLimit : std::runtime_error {
    ResourceLimit(const std::string& what, std::uint64_t needs, std::uint64_t allowed)
        : std::runtime_error(what), needed(needs), limit(allowed) {}
    std::uint64_t needed, limit;
};

/// The system refused to read or write.
struct StorageError : std::runtime_error {
    StorageError(const std::string& what, int error_number, std::string refused, std::string file)
        : std::runtime_error(what),
          code(error_number),
          operation(std::move(refused)),
          path(std::move(file)) {}
    int code;  // errno
    std::string operation, path;
};

/// A change of an index that views a file.
struct ReadOnlyIndex : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// An id that the index does not hold.
struct UnknownId : std::out_of_range {
    using std::out_of_range::out_of_range;
};

template <class... Parts>
std::string text(const Parts&... parts) {
    std::ostringstream out;
    (out << ... << parts);
    return out.str();
}

/// Throws std::invalid_argument with the parts joined unless `ok`.
template <class... Parts>
void require(bool ok, const Parts&... parts) {
    if (!ok) [[unlikely]]
        throw std::invalid_argument(text(parts...));
}

}  // namespace nearfield
