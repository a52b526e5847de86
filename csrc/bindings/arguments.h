// Arguments that know their name. pybind11 answers a number that is none with a list of signatures;
// these take whatever comes and say "<name> must be an int, got 'ten'".
#pragma once

#include <pybind11/pybind11.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <string>

#include "core/error.h"

namespace nearfield::bindings {

namespace py = pybind11;

/// A name as a template argument.
template <std::size_t size>
struct Name {
    constexpr Name(const char (&letters)[size]) { std::copy_n(letters, size, text); }
    char text[size] = {};
};

/// Whatever has __index__, but for bools. TypeError for anything else, ValueError beyond int64.
std::int64_t as_int(const py::handle& value, const char* name);
/// 0..2**64 - 1.
std::uint64_t as_natural(const py::handle& value, const char* name);
/// whatever has __float__ or __index__.
double as_real(const py::handle& value, const char* name);
/// A bool, numpy's too.
bool as_flag(const py::handle& value, const char* name);
/// A str.
std::string as_word(const py::handle& value, const char* name);

/// An argument that has been read.
template <class Value, Name name, Value (*read)(const py::handle&, const char*)>
struct Argument {
    std::size_t at_least(std::int64_t least) const {
        require(value >= least, name.text, " must be at least ", least, ", got ", value);
        return static_cast<std::size_t>(value);
    }
    std::size_t in(std::int64_t least, std::int64_t most) const {
        require(value >= least && value <= most, name.text, " must be in ", least, "..", most,
                ", got ", value);
        return static_cast<std::size_t>(value);
    }
    Value value{};
};

template <Name name>
using Int = Argument<std::int64_t, name, as_int>;
template <Name name>
using Natural = Argument<std::uint64_t, name, as_natural>;
template <Name name>
using Real = Argument<double, name, as_real>;
template <Name name>
using Flag = Argument<bool, name, as_flag>;
template <Name name>
using Word = Argument<std::string, name, as_word>;

using Threads = Int<"threads">;

/// For what takes an int and checks it itself; what is farther out is as wrong at the end of the
/// range.
template <Name name>
int as_c_int(const Int<name>& given) {
    using Limits = std::numeric_limits<int>;
    return static_cast<int>(std::clamp<std::int64_t>(given.value, Limits::min(), Limits::max()));
}

}  // namespace nearfield::bindings

namespace pybind11::detail {

template <class Value, nearfield::bindings::Name called, Value (*read)(const handle&, const char*)>
struct type_caster<nearfield::bindings::Argument<Value, called, read>> {
    using Named = nearfield::bindings::Argument<Value, called, read>;
    PYBIND11_TYPE_CASTER(Named, const_name("object"));
    bool load(handle from, bool) {
        value.value = read(from, called.text);
        return true;
    }
};

}  // namespace pybind11::detail
