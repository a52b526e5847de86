#include "index/hnsw/graph.h"

#include <algorithm>
#include <cstring>
#include <numeric>

namespace nearfield {

Graph::Graph(const Space& space, const HnswParams& params)
    : degree(2 * params.M),
      width(kernels::padded(2 * params.M, 16)),
      codes(space.dim(), params.bits, space.metric(), params.seed),
      vectors(space.dim(), params.rerank) {}

std::size_t Graph::count(Slot node) const {
    const std::uint32_t* const links_of = row(node);
    std::size_t n = 0;
    while (n < degree && links_of[n] != kernels::no_link) ++n;
    return n;
}

void Graph::set_links(Slot node, const Slot* neighbors, std::size_t n) {
    std::uint32_t* const out = row(node);
    for (std::size_t i = 0; i < n; ++i) {
        out[i] = neighbors[i];
        out[width + i] = factors[neighbors[i]];
    }
    std::fill(out + n, out + width, kernels::no_link);
    std::fill(out + width + n, out + 2 * width, 0u);
}

void Graph::resize(std::size_t n) {
    const std::size_t old = size();
    vectors.resize(std::max(n, vectors.size()));
    slots.reserve(n);
    factors.resize(n);
    if (codes.trained()) {
        code_rows.resize(n * codes.stride());
        links.resize(n * link_bytes());
        for (std::size_t node = old; node < n; ++node)
            set_links(static_cast<Slot>(node), nullptr, 0);
    }
    slots.resize(n, no_slot);
}

void Graph::put(Slot node, const float* vector, float* rotated) {
    vectors.put(node, vector);
    if (!codes.trained()) return;
    codes.rotate(vector, rotated);
    factors[node] = codes.encode(rotated, code(node));
}

void Graph::set_seeds(std::vector<Slot> chosen) {
    seeds = std::move(chosen);
    seed_codes.resize(seeds.size() * codes.stride());
    seed_factors.resize(seeds.size());
    seed_order.resize(seeds.size());
    std::iota(seed_order.begin(), seed_order.end(), Slot{0});
    for (std::size_t i = 0; i < seeds.size(); ++i) {
        std::memcpy(seed_codes.data() + i * codes.stride(), code(seeds[i]), codes.stride());
        seed_factors[i] = factors[seeds[i]];
    }
}

}  // namespace nearfield
