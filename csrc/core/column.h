// A growable array of plain values over a Buffer: it may own its memory or view a file.
#pragma once

#include <algorithm>
#include <cstddef>
#include <type_traits>
#include <utility>

#include "core/buffer.h"

namespace nearfield {

/// As std::vector, for values that may be copied as bytes. A view must not be written to.
template <class T>
class Column {
    static_assert(std::is_trivially_copyable_v<T>);

  public:
    Column() = default;
    explicit Column(Buffer values) : values_(std::move(values)) {}

    std::size_t size() const { return values_.size() / sizeof(T); }
    bool empty() const { return values_.size() == 0; }
    T* data() { return values_.template as<T>(); }
    const T* data() const { return values_.template as<T>(); }
    T& operator[](std::size_t i) { return data()[i]; }
    const T& operator[](std::size_t i) const { return data()[i]; }
    T* begin() { return data(); }
    T* end() { return data() + size(); }
    const T* begin() const { return data(); }
    const T* end() const { return data() + size(); }

    void reserve(std::size_t n) { values_.reserve(n * sizeof(T)); }
    /// New places hold `value`.
    void resize(std::size_t n, T value = T{}) {
        const std::size_t old = size();
        values_.resize(n * sizeof(T));
        if (n > old && value != T{}) std::fill(begin() + old, end(), value);
    }
    void assign(std::size_t n, T value) {
        values_ = Buffer();
        resize(n, value);
    }
    void trim() { values_.trim(); }
    std::size_t bytes() const { return values_.size(); }

  private:
    Buffer values_;
};

}  // namespace nearfield
