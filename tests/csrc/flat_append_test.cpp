// Rows appended while others search: for ThreadSanitizer above all.
#include <algorithm>
#include <atomic>
#include <numeric>
#include <thread>
#include <vector>

#include "check.h"
#include "core/random.h"
#include "index/flat/flat_index.h"

namespace nearfield {
namespace {

using check::check;
using check::check_equal;
using check::Test;

constexpr std::size_t dim = 64, n = 3000, n_first = 500, batch = 37, k = 5;

std::vector<float> normal_rows() {
    Random random(11);
    std::vector<float> rows(n * dim);
    for (float& value : rows) value = static_cast<float>(random.normal());
    return rows;
}

void append(FlatIndex& index, const std::vector<float>& rows, std::size_t begin, std::size_t end) {
    std::vector<Id> ids(end - begin);
    std::iota(ids.begin(), ids.end(), static_cast<Id>(begin));
    index.append({&rows[begin * dim], end - begin, dim}, ids.data(), Run{1, nullptr});
}

void searches_see_whole_rows() {
    const std::vector<float> rows = normal_rows();
    FlatIndex index(Space(dim, "l2"), {kernels::Scalar::f32, FlatParams::Prefilter::on});
    index.skim();
    append(index, rows, 0, n_first);
    std::atomic<bool> done = false;
    std::thread writer([&] {
        for (std::size_t i = n_first; i < n; i += batch)
            append(index, rows, i, std::min(n, i + batch));
        done = true;
    });
    std::vector<Id> found(k);
    std::vector<float> distances(k);
    SearchParams params;
    params.k = k;
    for (std::size_t i = 0; !done || i < 100; ++i) {
        const std::size_t own = i * 7 % n_first;
        index.search({&rows[own * dim], 1, dim}, params, {}, found.data(), distances.data(),
                     Run{1, nullptr});
        check_equal(found[0], static_cast<Id>(own));
        for (const Id id : found) check(id >= 0 && id < static_cast<Id>(n));
    }
    writer.join();
    check_equal(index.size(), n);
}

const Test appends("searches beside an append see whole rows alone", searches_see_whole_rows);

}  // namespace
}  // namespace nearfield
