#include "index/hnsw/graph.h"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <utility>

#include "core/bitmap.h"

namespace nearfield {

Graph::Graph(const Space& space, const HnswParams& params)
    : degree(2 * params.M),
      width(kernels::padded(2 * params.M, 16)),
      walks_rows(params.bits > 8),
      metric(&space.metric()),
      geometry(&space.geometry()),
      codes(space.dim(), walks_rows ? 8 : params.bits, walks_rows ? space.dim() : params.code_dim,
            space.metric(), params.seed),
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
        code_rows.resize(n * code_stride());
        links.resize(n * link_bytes());
        for (std::size_t node = old; node < n; ++node)
            set_links(static_cast<Slot>(node), nullptr, 0);
    }
    slots.resize(n, no_slot);
}

void Graph::put(Slot node, const float* vector, ScalarCodes::Scratch& scratch) {
    vectors.put(node, vector);
    if (codes.trained() && !walks_rows)
        factors[node] = codes.encode(vector, code(node), scratch);
}

void Graph::prepare(const float* vector, ScalarCodes::Order order, Query& query) const {
    if (!walks_rows) {
        codes.prepare(vector, order, query.codes);
        return;
    }
    if (!query.scorer || query.order != order)
        query.scorer = vectors.scorer(order == ScalarCodes::Order::space ? *geometry : *metric);
    query.order = order;
    query.scorer->set_query(vector);
}

void Graph::reorder(const std::vector<Slot>& order) {
    const std::size_t n = order.size(), stride = code_stride();
    std::vector<Slot> place(size(), no_slot);
    for (std::size_t i = 0; i < n; ++i) place[order[i]] = static_cast<Slot>(i);
    vectors.reorder(order);
    Column<Slot> new_slots;
    Column<std::uint32_t> new_factors;
    new_slots.resize(n);
    new_factors.resize(n);
    for (std::size_t i = 0; i < n; ++i) {
        new_slots[i] = slots[order[i]];
        new_factors[i] = factors[order[i]];
    }
    slots = std::move(new_slots);
    factors = std::move(new_factors);
    unused.clear();
    if (!linked) return;
    {
        Buffer fresh;
        fresh.resize(n * stride);
        for (std::size_t i = 0; i < n; ++i)
            std::memcpy(fresh.data() + i * stride, code(order[i]), stride);
        code_rows = std::move(fresh);
    }
    Buffer fresh;
    fresh.resize(n * link_bytes());
    for (std::size_t i = 0; i < n; ++i) {
        auto* const to = fresh.as<std::uint32_t>() + i * 2 * width;
        std::memcpy(to, row(order[i]), link_bytes());
        for (std::size_t j = 0; j < degree && to[j] != kernels::no_link; ++j) to[j] = place[to[j]];
    }
    links = std::move(fresh);
    for (Slot& seed : seeds) seed = place[seed];
}

std::vector<Slot> walk_order(const Graph& graph) {
    constexpr std::size_t page = 64;  // nodes; a page of memory holds as many codes of 64 bytes
    Bitmap taken(graph.size());
    std::vector<Slot> order, open;
    const auto take = [&](Slot node) {
        if (!graph.live(node) || taken.test(node)) return;
        taken.set(node);
        order.push_back(node);
    };
    const auto next_to = [&](Slot node) {
        const std::uint32_t* const row = graph.row(node);
        for (std::size_t i = 0; i < graph.degree && row[i] != kernels::no_link; ++i)
            if (graph.live(row[i]) && !taken.test(row[i])) return row[i];
        return no_slot;
    };
    const auto fill = [&](Slot start) {
        const std::size_t begin = order.size();
        take(start);
        for (std::size_t head = begin; head < order.size() && order.size() - begin < page; ++head)
            for (std::size_t i = 0; i < graph.count(order[head]) && order.size() - begin < page; ++i)
                take(graph.row(order[head])[i]);
        open.insert(open.end(), order.begin() + static_cast<std::ptrdiff_t>(begin), order.end());
    };
    for (Slot node = 0; node < graph.size(); ++node) {
        if (!graph.live(node) || taken.test(node)) continue;
        fill(node);
        while (!open.empty()) {
            const Slot next = next_to(open.back());
            if (next == no_slot)
                open.pop_back();
            else
                fill(next);
        }
    }
    return order;
}

void Graph::set_seeds(std::vector<Slot> chosen) {
    seeds = std::move(chosen);
    const std::size_t stride = code_stride();
    seed_codes.resize(seeds.size() * stride);
    seed_factors.resize(seeds.size());
    seed_order.resize(seeds.size());
    std::iota(seed_order.begin(), seed_order.end(), Slot{0});
    for (std::size_t i = 0; i < seeds.size(); ++i) {
        std::memcpy(seed_codes.data() + i * stride, code(seeds[i]), stride);
        seed_factors[i] = factors[seeds[i]];
    }
}

}  // namespace nearfield
