#include "index/hnsw/local_share.h"

#include <algorithm>
#include <numeric>

namespace nearfield {
namespace {

constexpr std::size_t nodes = 64, most = 256;
constexpr std::size_t nearest = 10, looked_at = 24;
// So much better are new codes to be, for a graph to be made anew for them.
constexpr double worth_it = 0.02;

/// The node, then those that its links and theirs lead to, in that order.
std::vector<Slot> around(Slot node, const Links& links) {
    std::vector<Slot> found{node};
    const auto add = [&](Slot from) {
        for (const Slot to : links(from))
            if (found.size() < most && std::find(found.begin(), found.end(), to) == found.end())
                found.push_back(to);
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

double local_share(const Graph& graph, const Source& source, std::size_t n, const Links& links,
                   const Run& run) {
    const ScalarCodes& codes = graph.codes;
    const std::size_t dim = graph.dim();
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
        const std::vector<Slot> group =
            around(static_cast<Slot>(i * n / std::min(n, nodes)), links);
        const std::size_t size = group.size() - 1;
        const float* const vector = source(group[0], own.data());
        if (vector != own.data()) std::copy_n(vector, dim, own.data());
        codes.prepare(own.data(), ScalarCodes::Order::space, query);
        distances.assign(size, 0.0);
        for (std::size_t j = 0; j < size; ++j) {
            const float* const other = source(group[j + 1], scratch.data());
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

bool codes_are_stale(const Graph& graph, const Space& space, const HnswParams& params,
                     const Run& run) {
    if (graph.coded || graph.walks_rows) return false;
    const std::size_t n = graph.size();
    const Source source = [&](std::size_t node, float* scratch) -> const float* {
        graph.get(static_cast<Slot>(node), scratch);
        return scratch;
    };
    const Links links = [&](Slot node) {
        return std::span<const Slot>(graph.row(node), graph.count(node));
    };
    const double share = local_share(graph, source, n, links, run);
    if (share >= enough_share) return false;
    if (params.fits_bits && params.bits < 8) return true;
    Graph fresh(space, params);
    const std::vector<float> rows = training_rows(n, source, space.dim());
    fresh.codes.train({rows.data(), rows.size() / space.dim(), space.dim()}, run);
    return local_share(fresh, source, n, links, run) > share + worth_it;
}

}  // namespace nearfield
