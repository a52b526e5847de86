#include "index/hnsw/graph.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <utility>

#include "core/bitmap.h"
#include "core/permute.h"

namespace nearfield {
namespace {

constexpr std::size_t codes_at_once = 64;

/// Estimates by codes as the distances of a metric.
class CodeScorer final : public Scorer {
  public:
    CodeScorer(const Graph& graph, const kernels::MetricInfo& metric)
        : graph_(graph),
          metric_(metric),
          order_(metric.needs_norm || metric.unit_vectors ? ScalarCodes::Order::space
                                                          : ScalarCodes::Order::metric) {}
    void set_query(const float* query) override {
        graph_.codes.prepare(query, order_, query_);
        offset_ = graph_.codes.offset(query, order_);
        scale_ =
            static_cast<float>((metric_.needs_norm ? 1.0 : 0.5) / graph_.codes.distance_scale());
        if (metric_.unit_vectors) offset_ /= 2;
    }
    void score(const Slot* slots, std::size_t n, float* distances) const override {
        std::uint32_t factors[codes_at_once];
        float found[codes_at_once + 16];
        for (std::size_t i = 0; i < n; i += codes_at_once) {
            const std::size_t part = std::min(codes_at_once, n - i);
            for (std::size_t j = 0; j < part; ++j) factors[j] = graph_.factors[slots[i + j]];
            graph_.codes.estimate(query_, graph_.code_rows.as<std::uint8_t>(), slots + i, factors,
                                  part, found);
            for (std::size_t j = 0; j < part; ++j) {
                const float distance = offset_ + scale_ * found[j];
                distances[i + j] =
                    order_ == ScalarCodes::Order::space ? std::max(0.0f, distance) : distance;
            }
        }
    }
    void score_rows(Slot first, std::size_t n, float* distances) const override {
        for (std::size_t i = 0; i < n; ++i) {
            const Slot slot = first + static_cast<Slot>(i);
            score(&slot, 1, distances + i);
        }
    }

  private:
    const Graph& graph_;
    const kernels::MetricInfo& metric_;
    ScalarCodes::Order order_;
    ScalarCodes::Query query_;
    float offset_ = 0, scale_ = 1;
};

}  // namespace

Graph::Graph(const Space& space, const HnswParams& params)
    : degree(2 * params.M),
      width(kernels::padded(2 * params.M, 16)),
      walks_rows(params.bits > 8),
      metric(&space.metric()),
      geometry(&space.geometry()),
      codes(space.dim(), walks_rows ? 8 : params.bits,
            walks_rows || !params.keeps_vectors ? space.dim() : params.code_dim, space.metric(),
            params.seed),
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
    make_room(n);
    if (codes.trained())
        for (std::size_t node = old; node < n; ++node)
            set_links(static_cast<Slot>(node), nullptr, 0);
}

void Graph::make_room(std::size_t n) {
    if (!coded) vectors.resize(std::max(n, vectors.size()));
    slots.reserve(n);
    factors.reserve(n);
    if (codes.trained()) {
        code_rows.reserve(n * code_stride());
        links.reserve(n * link_bytes());
        code_rows.resize(n * code_stride());
        links.resize(n * link_bytes());
    }
    factors.resize(n);
    slots.resize(n, no_slot);
}

void Graph::get(Slot node, float* vector) const {
    if (coded)
        codes.decode(code_rows.as<std::uint8_t>() + node * code_stride(), factors[node], vector);
    else
        vectors.get(node, vector);
}

std::unique_ptr<Scorer> Graph::scorer(const kernels::MetricInfo& by) const {
    if (coded) return std::make_unique<CodeScorer>(*this, by);
    return vectors.scorer(by);
}

bool Graph::same(Slot a, Slot b) const {
    if (!coded) return std::memcmp(vectors.row(a), vectors.row(b), vectors.stride()) == 0;
    const auto* const rows = code_rows.as<std::uint8_t>();
    return factors[a] == factors[b] &&
           std::memcmp(rows + a * code_stride(), rows + b * code_stride(), codes.code_bytes()) == 0;
}

void Graph::drop_vectors() {
    vectors = VectorStore(vectors.dim(), vectors.dtype());
    coded = true;
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

float Graph::margin(const Query& query, float length, float estimate, float deviations) const {
    const float share = deviations * noise;
    if (noise_for_all || !(share > 0 && share < infinity)) return share;
    // The estimate may be too low itself: the distance d solves d^2 = away + share * length * d.
    const float square = query.codes.terms.square, off = share * length / 2;
    const float distance = off + std::sqrt(off * off + std::max(0.0f, estimate + square));
    return share * doubt(query, length, distance);
}

void Graph::reorder(const std::vector<Slot>& order) {
    const std::size_t n = order.size(), stride = code_stride();
    std::vector<Slot> place(size(), no_slot);
    for (std::size_t i = 0; i < n; ++i) place[order[i]] = static_cast<Slot>(i);
    Permutation rows(order, size(),
                     std::max({vectors.stride(), VectorStore::scale_bytes, stride, link_bytes()}));
    // Nothing below fails.
    const auto move = [&](Buffer& buffer, std::size_t bytes) {
        rows.apply(buffer.data(), bytes);
        buffer.resize(n * bytes);
        buffer.trim();
    };
    const auto move_column = [&](auto& column) {
        rows.apply(reinterpret_cast<std::byte*>(column.data()), sizeof(column[0]));
        column.resize(n);
        column.trim();
    };
    if (!coded) vectors.reorder(rows, n);
    move_column(slots);
    move_column(factors);
    unused.clear();
    if (!linked) return;
    move(code_rows, stride);
    move(links, link_bytes());
    for (Slot node = 0; node < n; ++node) {
        std::uint32_t* const to = row(node);
        for (std::size_t i = 0; i < degree && to[i] != kernels::no_link; ++i) to[i] = place[to[i]];
    }
    for (Seeds* const some : {&seeds, &wide_seeds})
        for (Slot& node : some->nodes) node = place[node];
}

std::vector<Slot> walk_order(const Graph& graph, const Run& run) {
    constexpr std::size_t page = 64;  // nodes; a page of memory holds as many codes of 64 bytes
    Bitmap taken(graph.size());
    std::vector<Slot> order, open;
    const auto take = [&](Slot node) {
        if (!graph.live(node) || taken.test(node)) return;
        run.hear(order.size());
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
            for (std::size_t i = 0; i < graph.count(order[head]) && order.size() - begin < page;
                 ++i)
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

Seeds Graph::make_seeds(std::vector<Slot> chosen) const {
    const std::size_t stride = code_stride();
    Buffer copies(chosen.size() * stride);
    for (std::size_t i = 0; i < chosen.size(); ++i)
        std::memcpy(copies.data() + i * stride, code(chosen[i]), stride);
    return make_seeds(std::move(chosen), std::move(copies));
}

Seeds Graph::make_seeds(std::vector<Slot> chosen, Buffer copies) const {
    Seeds made{std::move(chosen), {}, std::move(copies), {}};
    made.order.resize(made.size());
    std::iota(made.order.begin(), made.order.end(), Slot{0});
    made.factors.reserve(made.size());
    for (const Slot node : made.nodes) made.factors.push_back(factors[node]);
    return made;
}

}  // namespace nearfield
