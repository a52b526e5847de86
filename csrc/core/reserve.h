// Room in a vector beforehand, where pushing later must not fail.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

namespace nearfield {

/// For n more; std::vector::reserve alone would copy everything at each of many small calls.
template <class T>
void reserve_more(std::vector<T>& values, std::size_t n) {
    if (values.size() + n > values.capacity())
        values.reserve(std::max(values.size() + n, 2 * values.capacity()));
}

}  // namespace nearfield
