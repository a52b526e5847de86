// What of many values need not be offered to a pool.
#include "quantize/nearest_pool.h"

#include <algorithm>
#include <vector>

#include "check.h"
#include "core/random.h"

namespace nearfield {
namespace {

using check::check;
using check::check_equal;
using check::Test;

const Test leaves_enough("at least k values are at most what enough_below says, and not all", [] {
    Random random(3);
    for (const std::size_t n : {1, 3, 4, 31, 32, 100, 255, 256})
        for (const std::size_t k : {1, 2, 10, 16, 30, 64, 128, 200}) {
            std::vector<float> values(n);
            for (float& value : values) value = static_cast<float>(random.normal());
            const float enough = enough_below(values.data(), n, k);
            const auto within = static_cast<std::size_t>(
                std::count_if(values.begin(), values.end(), [&](float v) { return v <= enough; }));
            check(within >= std::min(n, k));
            if (n >= 255 && k <= 30) check(within < 2 * n / 3);
            if (n == 256 && k == 1) check_equal(within, std::size_t{1});
        }
});

}  // namespace
}  // namespace nearfield
