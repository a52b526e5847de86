// Arrays that a state gives in parts.
#include <algorithm>
#include <span>
#include <string>
#include <vector>

#include "check.h"
#include "core/state.h"
#include "storage/container.h"

namespace nearfield {
namespace {

using check::check_equal;
using check::Test;

const Test same_bytes("an array in parts is written as if it lay in one piece", [] {
    // Beyond what is checksummed at once; parts end anywhere, and some are empty.
    std::vector<std::uint16_t> values((std::size_t{18} << 20) / 2 + 5);
    for (std::size_t i = 0; i < values.size(); ++i)
        values[i] = static_cast<std::uint16_t>(i * 2654435761u >> 7);
    StateWriter whole, parted;
    whole.array("some.values", values.data(), values.size());
    std::vector<std::span<const std::byte>> parts;
    const auto all = std::as_bytes(std::span(values.data(), values.size()));
    for (std::size_t at = 0, size = 0; at < all.size(); at += size, size = 3 * size + 1)
        parts.push_back(all.subspan(at, std::min(size, all.size() - at)));
    parted.array("some.values", Element::u16, parts);
    for (StateWriter* state : {&whole, &parted}) {
        state->array("no.values", Element::u8, std::vector<std::span<const std::byte>>(2));
        state->number("after", 7);
    }
    for (const int threads : {1, 2})
        check_equal(to_bytes(parted, "test", {threads, {}}) == to_bytes(whole, "test", {1, {}}),
                    true);
});

}  // namespace
}  // namespace nearfield
