// Errors: one sentence of the form "<argument> must <rule>, got <value>".
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>

namespace nearfield {

/// The index needs train() first.
struct NotTrained : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// A saved index or an internal invariant is broken.
struct CorruptIndex : std::runtime_error {
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
