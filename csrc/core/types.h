// The few types every folder shares.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>

namespace nearfield {

using Id = std::int64_t;     // the user's name for a vector
using Slot = std::uint32_t;  // dense row number inside an index

inline constexpr Id no_id = -1;
inline constexpr Slot no_slot = std::numeric_limits<Slot>::max();
inline constexpr float infinity = std::numeric_limits<float>::infinity();

struct Neighbor {
    float distance = infinity;
    Slot slot = no_slot;

    /// Nearer first, ties by slot: a total order, so results never depend on threads.
    friend bool operator<(const Neighbor& a, const Neighbor& b) {
        return a.distance != b.distance ? a.distance < b.distance : a.slot < b.slot;
    }
    friend bool operator==(const Neighbor&, const Neighbor&) = default;
};

/// Row-major (rows, dim) floats owned by somebody else.
struct MatrixView {
    const float* data = nullptr;
    std::size_t rows = 0;
    std::size_t dim = 0;

    const float* row(std::size_t i) const { return data + i * dim; }
    MatrixView slice(std::size_t begin, std::size_t end) const {
        return {row(begin), end - begin, dim};
    }
};

}  // namespace nearfield
