#include "index/hnsw/hnsw_index.h"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "core/error.h"
#include "index/hnsw/connect.h"
#include "index/hnsw/hnsw_batch.h"

namespace nearfield {
namespace {

constexpr float largest_float16 = 65504.0f;

void check_ef(const char* name, std::size_t ef) {
    using P = HnswParams;
    require(ef >= P::min_ef && ef <= P::max_ef, name, " must be in ", P::min_ef, "..", P::max_ef,
            ", got ", ef);
}

HnswParams checked(HnswParams params) {
    using P = HnswParams;
    if (params.fits_bits) params.bits = P().bits;
    const int bits = params.bits;
    require(bits == 1 || bits == 2 || bits == 4 || bits == 8 || bits == 16 || bits == 32,
            "bits must be 1, 2, 4, 8, 16 or 32, got ", bits);
    require(params.keeps_vectors || bits <= 8,
            "rerank must name a dtype where there are no codes, got None");
    require(params.keeps_vectors || params.code_dim == 0,
            "code_dim must be 0 where codes stand for the vectors, got ", params.code_dim);
    if (bits == 16) params.rerank = kernels::Scalar::f16;
    if (bits == 32) params.rerank = kernels::Scalar::f32;
    require(params.M >= P::min_M && params.M <= P::max_M, "M must be in ", P::min_M, "..", P::max_M,
            ", got ", params.M);
    check_ef("ef_construction", params.ef_construction);
    check_ef("ef_search", params.ef_search);
    require(params.code_dim <= Space::max_dim, "code_dim must be in 0..", Space::max_dim, ", got ",
            params.code_dim);
    return params;
}

void corrupt(bool broken, const char* what, Slot node) {
    if (broken) throw CorruptIndex(text("hnsw: ", what, " at node ", node));
}

}  // namespace

const char* rerank_name(const HnswParams& params) {
    return params.keeps_vectors ? dtype_name(params.rerank) : "none";
}

void set_rerank(HnswParams& params, std::string_view name) {
    params.keeps_vectors = name != "none";
    params.rerank = params.keeps_vectors ? parse_dtype(name, "rerank", true) : kernels::Scalar::f16;
}

HnswIndex::HnswIndex(Space space, const HnswParams& params)
    : Index(std::move(space)), params_(checked(params)), graph_(space_, params_) {
    if (params_.rerank == kernels::Scalar::f16) space_.set_limit(largest_float16);
}

HnswIndex::~HnswIndex() = default;

std::size_t HnswIndex::ef_search() const {
    const auto lock = shared();
    return params_.ef_search;
}

void HnswIndex::set_ef_search(std::size_t ef_search) {
    check_ef("ef_search", ef_search);
    const auto lock = alone();
    params_.ef_search = ef_search;
}

std::size_t HnswIndex::vector_bytes() const {
    const auto lock = shared();
    constexpr std::size_t ids_and_places = 20;  // an id and its places, a code's factors
    const std::size_t vector = params_.keeps_vectors ? graph_.vectors.stride() : 0;
    return vector + graph_.code_stride() + graph_.link_bytes() + ids_and_places;
}

void HnswIndex::get_row(Slot slot, float* out) const {
    const Slot node = node_of_[slot];
    if (node >= graph_.size()) throw CorruptIndex(text("hnsw: slot ", slot, " has no node"));
    graph_.get(node, out);
}

void HnswIndex::add_stats(Stats& stats) const {
    std::size_t links = 0;
    if (graph_.linked)
        for (Slot node = 0; node < graph_.size(); ++node)
            if (graph_.live(node)) links += graph_.count(node);
    const std::size_t live = live_nodes();
    stats.words.emplace_back("kind", "hnsw");
    stats.words.emplace_back("rerank", rerank_name(params_));
    stats.words.emplace_back("search", graph_.linked ? "graph" : "scan");
    stats.words.emplace_back("isa", kernels::active_layer());
    stats.numbers.emplace_back("M", static_cast<double>(params_.M));
    stats.numbers.emplace_back("ef_construction", static_cast<double>(params_.ef_construction));
    stats.numbers.emplace_back("ef_search", static_cast<double>(params_.ef_search));
    stats.numbers.emplace_back("bits", params_.bits);
    stats.numbers.emplace_back("code_dim", static_cast<double>(graph_.codes.used_dim()));
    stats.numbers.emplace_back("entry_points", static_cast<double>(graph_.seeds.size()));
    stats.numbers.emplace_back("wide_entry_points", static_cast<double>(graph_.wide_seeds.size()));
    stats.numbers.emplace_back(
        "mean_degree", live == 0 ? 0.0 : static_cast<double>(links) / static_cast<double>(live));
    stats.bytes.emplace_back("vectors", graph_.vectors.bytes());
    stats.bytes.emplace_back("codes", graph_.code_rows.size() + graph_.seeds.codes.size() +
                                          graph_.wide_seeds.codes.size() +
                                          4 * graph_.factors.size());
    stats.bytes.emplace_back("links", graph_.links.size());
    stats.bytes.emplace_back("nodes", 4 * (graph_.slots.size() + node_of_.size()));
}

void HnswIndex::validate_rows() const {
    const std::size_t n = graph_.size();
    std::size_t live = 0;
    for (Slot node = 0; node < n; ++node) {
        if (!graph_.live(node)) continue;
        ++live;
        const Slot slot = graph_.slots[node];
        corrupt(slot >= node_of_.size() || node_of_[slot] != node, "a slot without its node", node);
    }
    ids_map().live().for_each([&](std::size_t slot) {
        const Slot node = slot < node_of_.size() ? node_of_[slot] : no_slot;
        corrupt(node >= n || graph_.slots[node] != slot, "a vector without its slot", node);
    });
    if (live != ids_map().size() || live != live_nodes())
        throw CorruptIndex(text("hnsw: ", live, " live nodes for ", ids_map().size(), " vectors"));
    if (!graph_.linked) return;

    std::vector<bool> spare(n, false);
    for (const Slot node : graph_.unused) spare[node] = true;
    const std::size_t stride = graph_.code_stride();
    for (const Seeds* const some : {&graph_.seeds, &graph_.wide_seeds})
        for (std::size_t i = 0; i < some->size(); ++i) {
            const Slot node = some->nodes[i];
            corrupt(node >= n || spare[node], "an entry point that is not in use", node);
            corrupt(some->factors[i] != graph_.factors[node] ||
                        (stride > 0 && std::memcmp(some->codes.data() + i * stride,
                                                   graph_.code(node), stride) != 0),
                    "an entry point with another code", node);
        }
    std::vector<Slot> sorted;
    for (Slot node = 0; node < n; ++node) {
        const std::uint32_t* const row = graph_.row(node);
        const std::size_t count = graph_.count(node);
        sorted.assign(row, row + count);
        std::sort(sorted.begin(), sorted.end());
        corrupt(std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end(), "a double link",
                node);
        corrupt(std::any_of(row + count, row + graph_.width,
                            [](std::uint32_t link) { return link != kernels::no_link; }),
                "a gap in the links", node);
        for (std::size_t i = 0; i < count; ++i) {
            corrupt(row[i] >= n || row[i] == node || spare[row[i]], "a link to nowhere", node);
            corrupt(row[graph_.width + i] != graph_.factors[row[i]], "a link with wrong factors",
                    node);
        }
    }
    if (unconnected_ > 0) return;
    const Bitmap seen = reachable(graph_);
    for (Slot node = 0; node < n; ++node)
        corrupt(graph_.live(node) && !seen.test(node), "no way from the entry points", node);
}

}  // namespace nearfield
