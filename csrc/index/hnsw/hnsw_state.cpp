#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "core/error.h"
#include "core/thread_pool.h"
#include "index/hnsw/hnsw_index.h"
#include "index/hnsw/hnsw_worker.h"

namespace nearfield {
namespace {

constexpr std::size_t nodes_a_piece = 4096;

[[noreturn]] void corrupt(const char* section, const std::string& what) {
    throw CorruptIndex(text("section ", section, " ", what), section);
}

const char* noise_section(const Graph& graph) {
    return graph.noise_for_all ? "graph.noise" : "graph.noise_share";
}

std::vector<Slot> nodes_of(StateReader& in, const char* section, std::size_t nodes) {
    const std::size_t n = in.count(section);
    if (n == 0) return {};
    if (n > nodes) corrupt(section, text("names ", n, " of ", nodes, " nodes"));
    std::vector<Slot> found = in.values<Slot>(section, n), sorted = found;
    std::sort(sorted.begin(), sorted.end());
    if (sorted.back() >= nodes) corrupt(section, text("names node ", sorted.back(), " of ", nodes));
    const auto twin = std::adjacent_find(sorted.begin(), sorted.end());
    if (twin != sorted.end()) corrupt(section, text("names node ", *twin, " twice"));
    return found;
}

}  // namespace

void HnswIndex::state_rows(StateWriter& out) const {
    out.number("M", params_.M);
    out.number("ef_construction", params_.ef_construction);
    out.number("ef_search", params_.ef_search);
    out.number("bits", static_cast<std::uint64_t>(params_.bits));
    out.word("rerank", rerank_name(params_));
    out.number("seed", params_.seed);
    const std::size_t n = graph_.size();
    if (params_.code_dim > 0)
        out.array("params.code_dim",
                  std::vector<std::uint32_t>{static_cast<std::uint32_t>(params_.code_dim)});
    if (params_.fits_bits) out.array("params.fits_bits", std::vector<std::uint8_t>{1});
    out.number("graph.nodes", n);
    out.number("graph.dead", graph_.dead);
    out.number("graph.linked", graph_.linked);
    out.number("graph.built", built_);
    out.number("graph.unconnected", unconnected_);
    if (!graph_.coded) graph_.vectors.state(out, n);
    out.array("graph.slots", graph_.slots.data(), n);
    out.array("graph.node_of", node_of_.data(), ids_map().slots());
    out.array("graph.unused", graph_.unused.data(), graph_.unused.size());
    if (!graph_.linked) return;
    graph_.codes.state(out);
    if (std::isfinite(graph_.noise)) out.array(noise_section(graph_), &graph_.noise, 1);
    if (!graph_.walks_rows)
        out.array("graph.codes", graph_.code_rows.as<std::uint8_t>(), n * graph_.code_stride());
    out.array("graph.factors", graph_.factors.data(), n);
    out.array("graph.links", graph_.links.as<std::uint32_t>(), n * 2 * graph_.width);
    out.array("graph.seeds", graph_.seeds.nodes.data(), graph_.seeds.size());
    const Seeds& wide = graph_.wide_seeds;
    if (wide.size() == 0) return;
    out.array("graph.wide_seeds", wide.nodes.data(), wide.size());
    // Copied from all over, they would have to be read from all over when the file is opened.
    if (!graph_.walks_rows)
        out.array("graph.wide_codes", wide.codes.as<std::uint8_t>(), wide.codes.size());
}

std::unique_ptr<Index> HnswIndex::from_state(StateReader& in) {
    using P = HnswParams;
    P params;
    params.M = in.number("M", P::min_M, P::max_M);
    params.ef_construction = in.number("ef_construction", P::min_ef, P::max_ef);
    params.ef_search = in.number("ef_search", P::min_ef, P::max_ef);
    params.bits = static_cast<int>(in.number("bits", 1, 32));
    // Arrays that the first files did not have are there only where they say something.
    if (in.has("params.code_dim")) {
        params.code_dim = in.values<std::uint32_t>("params.code_dim", 1)[0];
        if (params.code_dim > Space::max_dim)
            corrupt("params.code_dim", text("has ", params.code_dim));
    }
    set_rerank(params, in.word("rerank"));
    const bool fits_bits = in.has("params.fits_bits");
    if (fits_bits && in.values<std::uint8_t>("params.fits_bits", 1)[0] != 1)
        corrupt("params.fits_bits", "must be 1");
    params.seed = in.number("seed", 0, ~std::uint64_t{0});
    auto index = std::make_unique<HnswIndex>(space_from_state(in), params);
    index->params_.fits_bits = fits_bits;
    index->load_ids(in);
    const std::size_t slots = index->ids_map().slots(), live = index->ids_map().size();

    Graph& graph = index->graph_;
    const std::size_t n = in.number("graph.nodes", live, no_slot - 1);
    graph.linked = in.number("graph.linked", 0, 1) == 1;
    graph.dead = in.number("graph.dead", 0, n - live);
    index->built_ = in.number("graph.built", 0, no_slot);
    index->unconnected_ = in.number("graph.unconnected", 0, no_slot);
    graph.coded = !params.keeps_vectors && graph.linked && !in.has("vectors.rows");
    if (!graph.coded) graph.vectors.load(in, n);
    graph.slots = in.column<Slot>("graph.slots", n);
    index->node_of_ = in.column<Slot>("graph.node_of", slots);
    graph.unused = nodes_of(in, "graph.unused", n);
    if (live + graph.dead + graph.unused.size() != n)
        corrupt("graph.unused", text("has ", graph.unused.size(), " nodes, with ", live,
                                     " live and ", graph.dead, " dead ones of ", n));
    if (graph.linked) {
        graph.codes.load(in);
        graph.noise_for_all = in.has("graph.noise");
        const char* const noise = noise_section(graph);
        if (in.has(noise)) graph.noise = in.values<float>(noise, 1)[0];
        if (!(graph.noise >= 0)) corrupt(noise, text("is ", graph.noise));
        if (!graph.walks_rows)
            graph.code_rows = in.buffer("graph.codes", Element::u8, n * graph.code_stride());
        graph.factors = in.column<std::uint32_t>("graph.factors", n);
        graph.links = in.buffer("graph.links", Element::u32, n * 2 * graph.width);
        graph.seeds = graph.make_seeds(nodes_of(in, "graph.seeds", n));
        if (in.has("graph.wide_seeds")) {
            std::vector<Slot> wide = nodes_of(in, "graph.wide_seeds", n);
            Buffer copies;
            if (!graph.walks_rows)
                copies =
                    in.buffer("graph.wide_codes", Element::u8, wide.size() * graph.code_stride());
            graph.wide_seeds = graph.make_seeds(std::move(wide), std::move(copies));
        }
        if (graph.seeds.size() == 0) corrupt("graph.seeds", "must name a node, got none");
    } else {
        graph.factors.resize(n);
    }
    if (in.whole()) {
        index->check_nodes();
        if (graph.linked) index->check_links();
    }
    return index;
}

/// Slots and nodes name each other, and the dead are those that are said to be.
void HnswIndex::check_nodes() const {
    const std::size_t n = graph_.size();
    std::size_t live = 0;
    for (Slot node = 0; node < n; ++node) {
        if (!graph_.live(node)) continue;
        ++live;
        const Slot slot = graph_.slots[node];
        if (slot >= node_of_.size() || node_of_[slot] != node)
            corrupt("graph.slots", text("gives node ", node, " slot ", slot));
    }
    for (std::size_t slot = 0; slot < node_of_.size(); ++slot) {
        const bool held = ids_map().live().test(slot);
        const Slot node = node_of_[slot];
        if (held ? node >= n || graph_.slots[node] != slot : node != no_slot)
            corrupt("graph.node_of", text("gives slot ", slot, " node ", node));
    }
    if (live != ids_map().size())
        corrupt("graph.slots",
                text("has ", live, " live nodes for ", ids_map().size(), " vectors"));
    std::vector<bool> spare(n, false);
    for (const Slot node : graph_.unused) {
        if (graph_.live(node) || spare[node])
            corrupt("graph.unused", text("names node ", node, ", which is in use"));
        spare[node] = true;
    }
}

/// Links lead to other nodes in use, carry the factors of their codes, and leave no gaps.
void HnswIndex::check_links() const {
    const std::size_t n = graph_.size();
    Bitmap spare(n);
    for (const Slot node : graph_.unused) spare.set(node);
    const auto check_used = [&](const char* section, const std::vector<Slot>& nodes) {
        for (const Slot node : nodes)
            if (spare.test(node)) corrupt(section, text("names node ", node, ", which is unused"));
    };
    check_used("graph.seeds", graph_.seeds.nodes);
    check_used("graph.wide_seeds", graph_.wide_seeds.nodes);
    const Seeds& wide = graph_.wide_seeds;
    const std::size_t stride = graph_.code_stride();
    for (std::size_t i = 0; i < wide.size() && stride > 0; ++i)
        if (std::memcmp(wide.codes.data() + i * stride, graph_.code(wide.nodes[i]), stride) != 0)
            corrupt("graph.wide_codes", text("has another code of node ", wide.nodes[i]));
    parallel_for(Run{}, n, nodes_a_piece, [&](std::size_t begin, std::size_t end, std::size_t) {
        for (auto node = static_cast<Slot>(begin); node < end; ++node) {
            const std::uint32_t* const row = graph_.row(node);
            const std::size_t count = graph_.count(node);
            for (std::size_t i = 0; i < count; ++i) {
                const Slot to = row[i];
                if (to >= n || to == node || spare.test(to))
                    corrupt("graph.links", text("leads from node ", node, " to ", to));
                if (row[graph_.width + i] != graph_.factors[to])
                    corrupt("graph.links", text("has other factors of node ", to, " at ", node));
            }
            for (std::size_t i = count; i < graph_.width; ++i)
                if (row[i] != kernels::no_link)
                    corrupt("graph.links", text("has a gap at node ", node));
        }
    });
}

}  // namespace nearfield
