#include "index/hnsw/local_share.h"

#include <algorithm>
#include <numeric>

namespace nearfield {
namespace {

constexpr std::size_t nodes = 64, most = 256;
constexpr std::size_t nearest = 10, looked_at = 24;

/// The node, then those that its links and theirs lead to, in that order.
std::vector<Slot> around(Slot node, const LinkTable& near) {
    std::vector<Slot> found{node};
    const auto add = [&](Slot from) {
        for (std::size_t i = 0; i < near.filled[from] && found.size() < most; ++i)
            if (std::find(found.begin(), found.end(), near.row(from)[i]) == found.end())
                found.push_back(near.row(from)[i]);
    };
    for (std::size_t head = 0; head < found.size() && found.size() < most; ++head) add(found[head]);
    return found;
}

template <class T>
std::vector<std::size_t> first_by(const std::vector<T>& keys, std::size_t n) {
    std::vector<std::size_t> order(keys.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    n = std::min(n, order.size());
    std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(n), order.end(),
                      [&](std::size_t a, std::size_t b) { return keys[a] < keys[b]; });
    order.resize(n);
    return order;
}

}  // namespace

double local_share(const Graph& graph, const Source& source, const std::vector<Slot>& order,
                   const LinkTable& near, const Run& run) {
    const ScalarCodes& codes = graph.codes;
    const std::size_t n = order.size(), dim = graph.dim();
    std::vector<float> own(dim), scratch(dim), estimates;
    std::vector<double> distances;
    std::vector<std::uint8_t> rows(most * codes.stride());
    std::vector<std::uint32_t> factors(most);
    std::vector<Slot> slots(most);
    std::iota(slots.begin(), slots.end(), Slot{0});
    ScalarCodes::Query query;
    ScalarCodes::Scratch encoding;
    std::size_t right = 0, asked = 0;
    for (std::size_t i = 0; i < std::min(n, nodes); ++i) {
        if (run.tick) run.tick(i, nodes);
        const std::vector<Slot> group = around(static_cast<Slot>(i * n / std::min(n, nodes)), near);
        const std::size_t size = group.size() - 1;
        const float* const vector = source(order[group[0]], own.data());
        if (vector != own.data()) std::copy_n(vector, dim, own.data());
        codes.prepare(own.data(), ScalarCodes::Order::space, query);
        distances.assign(size, 0.0);
        for (std::size_t j = 0; j < size; ++j) {
            const float* const other = source(order[group[j + 1]], scratch.data());
            for (std::size_t d = 0; d < dim; ++d) {
                const double off = static_cast<double>(own[d]) - other[d];
                distances[j] += off * off;
            }
            factors[j] = codes.encode(other, &rows[j * codes.stride()], encoding);
        }
        estimates.resize(size + 16);
        codes.estimate(query, rows.data(), slots.data(), factors.data(), size, estimates.data());
        estimates.resize(size);
        if (size == 0) continue;
        // Equals count alike: a copy of a vector is as good as the vector.
        const double last = distances[first_by(distances, nearest).back()];
        const auto chosen = first_by(estimates, looked_at);
        const auto hits = static_cast<std::size_t>(std::count_if(
            chosen.begin(), chosen.end(), [&](std::size_t j) { return distances[j] <= last; }));
        const std::size_t wanted = std::min(nearest, size);
        right += std::min(wanted, hits);
        asked += wanted;
    }
    return asked == 0 ? 1.0 : static_cast<double>(right) / static_cast<double>(asked);
}

}  // namespace nearfield
