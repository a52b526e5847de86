// Several indexes asked as one: a collection's segments, under one release of the GIL, or none
// where the answer is quick to have. Each release may cost its taker a wait for a busy thread.
#include <algorithm>
#include <chrono>
#include <limits>
#include <thread>
#include <utility>
#include <vector>

#include "bindings/bindings.h"
#include "core/error.h"
#include "index/together.h"

namespace nearfield::bindings {
namespace {

std::vector<AskedIndex> as_asked(const py::list& indexes, const py::list& filters,
                                 const py::list& shares) {
    require(indexes.size() == filters.size(), "filters must have one entry an index (",
            indexes.size(), "), got ", filters.size());
    require(shares.empty() || shares.size() == indexes.size(),
            "shares must have one entry an index (", indexes.size(), "), got ", shares.size());
    std::vector<AskedIndex> asked;
    for (std::size_t i = 0; i < indexes.size(); ++i) {
        FilterSpec filter;
        if (!filters[i].is_none()) {
            filter.kind = FilterSpec::Kind::prepared;
            filter.prepared = filters[i].cast<const PreparedFilter*>();
        }
        const float share = shares.empty() ? 1 : shares[i].cast<float>();
        require(share > 0 && share <= 1, "shares must be in (0, 1], got ", share);
        asked.push_back({indexes[i].cast<const Index*>(), filter, share});
    }
    return asked;
}

/// Whether searches of late came from one thread alone, which then takes nobody's turn by keeping
/// the GIL. Asked with the GIL held.
bool alone() {
    using Clock = std::chrono::steady_clock;
    constexpr auto recent = std::chrono::milliseconds(10);
    static std::thread::id last;
    static Clock::time_point shared{};  // when searches last came from another thread than before
    const auto now = Clock::now();
    if (const auto self = std::this_thread::get_id(); self != last) {
        last = self;
        shared = now;
    }
    return now - shared > recent;
}

/// `quick`: the caller expects no more than a fraction of a millisecond's work. None where an id
/// beyond `last` was found. `shares`: see SearchParams; 1 each where none are given.
py::object ask_together(const py::list& indexes, const py::list& filters, const py::object& queries,
                        Int<"k"> k, Threads threads, bool quick, Id last, const py::list& shares) {
    const Matrix matrix = as_matrix(queries, "queries");
    const std::size_t wanted = as_count(k);
    require(!matrix.single, "queries must be 2-D, got one query");
    const std::vector<AskedIndex> asked = as_asked(indexes, filters, shares);
    const Run run = make_run(threads, py::none());
    const std::vector<py::ssize_t> shape{static_cast<py::ssize_t>(matrix.view.rows),
                                         static_cast<py::ssize_t>(wanted)};
    py::array_t<Id> ids(shape);
    FloatArray distances(shape);
    Id* ids_out = ids.mutable_data();
    float* distances_out = distances.mutable_data();
    // Who changes an index may want the GIL: nobody waits for the one with the other in hand.
    if (!alone() || !quick ||
        !search_together(asked, matrix.view, wanted, run, false, ids_out, distances_out)) {
        const py::gil_scoped_release unlocked;
        search_together(asked, matrix.view, wanted, run, true, ids_out, distances_out);
    }
    const auto beyond = [last](Id id) { return id > last; };
    if (std::any_of(ids_out, ids_out + matrix.view.rows * wanted, beyond)) return py::none();
    return py::make_tuple(std::move(ids), std::move(distances));
}

}  // namespace

void bind_together(py::module_& m) {
    m.def("search_together", &ask_together, py::arg("indexes"), py::arg("filters"),
          py::arg("queries"), py::arg("k"), py::arg("threads"), py::arg("quick") = false,
          py::arg("last") = std::numeric_limits<Id>::max(), py::arg("shares") = py::list());
}

}  // namespace nearfield::bindings
