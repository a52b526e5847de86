// The graph and all that hangs on its nodes, in the order of nodes.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "core/buffer.h"
#include "core/column.h"
#include "core/run.h"
#include "core/scorer.h"
#include "core/types.h"
#include "quantize/scalar_codes.h"
#include "store/space.h"
#include "store/vector_store.h"

namespace nearfield {

struct HnswParams {
    std::size_t M = 16;
    std::size_t ef_construction = 200;
    std::size_t ef_search = 64;
    int bits = 4;              // of codes; 16 and 32 are float16 and float32 vectors without codes
    bool fits_bits = false;    // more than 4 where those do not tell near vectors apart
    std::size_t code_dim = 0;  // as few as serve; else how many
    kernels::Scalar rerank = kernels::Scalar::f16;
    bool keeps_vectors =
        true;  // else answers are ranked by codes, once there are Graph::coded_from
    std::uint64_t seed = 0;

    static constexpr std::size_t min_M = 4, max_M = 128;
    static constexpr std::size_t min_ef = 1, max_ef = 65'536;
};

/// "none" where vectors are not kept, or as dtype_name.
const char* rerank_name(const HnswParams& params);
/// Throws std::invalid_argument.
void set_rerank(HnswParams& params, std::string_view name);

/// Nodes that searches begin at.
struct Seeds {
    std::vector<Slot> nodes, order;  // order: 0, 1, ...
    Buffer codes;
    std::vector<std::uint32_t> factors;

    std::size_t size() const { return nodes.size(); }
};

/// A node is a place in these arrays; bulk building gives neighbors places near each other. A
/// removed vector's node stays for walking through until the graph is mended, and is then used
/// again.
struct Graph {
    Graph(const Space& space, const HnswParams& params);

    std::size_t size() const { return slots.size(); }
    bool live(Slot node) const { return slots[node] != no_slot; }

    std::uint32_t* row(Slot node) { return links.as<std::uint32_t>() + node * 2 * width; }
    int bits() const {
        return walks_rows ? 8 * static_cast<int>(dtype_bytes(vectors.dtype())) : codes.bits();
    }
    const std::uint32_t* row(Slot node) const {
        return links.as<std::uint32_t>() + node * 2 * width;
    }
    /// How many links the node has.
    std::size_t count(Slot node) const;
    /// Replaces the node's links, at most `degree` of them.
    void set_links(Slot node, const Slot* neighbors, std::size_t n);

    std::uint8_t* code(Slot node) { return code_rows.as<std::uint8_t>() + node * code_stride(); }
    const std::uint8_t* code(Slot node) const {
        return code_rows.as<std::uint8_t>() + node * code_stride();
    }
    std::size_t code_stride() const { return walks_rows ? 0 : codes.stride(); }
    /// What is walked on: codes, or the vectors themselves.
    kernels::CodeRows walked() const {
        if (walks_rows)
            return {reinterpret_cast<const std::uint8_t*>(vectors.row(0)), vectors.stride(),
                    vectors.stride(), static_cast<std::uint32_t>(size())};
        return {code_rows.as<std::uint8_t>(), codes.stride(), codes.code_bytes(),
                static_cast<std::uint32_t>(size())};
    }
    std::size_t link_bytes() const { return 2 * width * sizeof(std::uint32_t); }

    /// A vector made ready to walk with; one for each thread and walk under way. `vector` must
    /// outlive it.
    struct Query {
        ScalarCodes::Query codes;
        std::unique_ptr<Scorer> scorer;
        ScalarCodes::Order order{};
    };
    void prepare(const float* vector, ScalarCodes::Order order, Query& query) const;
    /// Distances of nodes, estimated by their codes and factors or measured; `distances` needs room
    /// for n + 16.
    void estimate(const Query& query, const Slot* nodes, const std::uint32_t* with, std::size_t n,
                  float* distances) const {
        if (walks_rows)
            query.scorer->score(nodes, n, distances);
        else
            codes.estimate(query.codes, code_rows.as<std::uint8_t>(), nodes, with, n, distances);
    }
    /// Of `which` [first, first + n).
    void estimate_seeds(const Query& query, const Seeds& which, std::size_t first, std::size_t n,
                        float* distances) const {
        if (walks_rows)
            query.scorer->score(&which.nodes[first], n, distances);
        else
            codes.estimate(query.codes, which.codes.as<std::uint8_t>(), &which.order[first],
                           &which.factors[first], n, distances);
    }

    /// What the error of an estimate grows with: a code is off by a share of its vector's length,
    /// how far that lies from the middle of all, and the estimate by as large a share of the way to
    /// the query, or of the query where that is nearer to the middle.
    static float doubt(const Query& query, float length, float distance) {
        return length * std::min(distance, std::sqrt(query.codes.terms.square));
    }
    /// How much more than that of one of the nearest nodes an estimate may be where the vector is
    /// nearer, at so many standard deviations of noise.
    float margin(const Query& query, float length, float estimate, float deviations) const;

    /// The stored vector, or what its code says of it; `vector` (dim,).
    void get(Slot node, float* vector) const;
    /// Measures by the stored vectors, or by codes.
    std::unique_ptr<Scorer> scorer(const kernels::MetricInfo& by) const;
    /// Whether two nodes hold the same bytes.
    bool same(Slot a, Slot b) const;
    /// Bytes read to measure a node.
    std::size_t measured_bytes() const { return coded ? codes.code_bytes() : vectors.stride(); }
    std::size_t dim() const { return vectors.dim(); }
    /// From now on codes stand for the vectors.
    void drop_vectors();
    /// Fewer keep their vectors whatever was asked for: codes are trained on so many.
    static constexpr std::size_t coded_from = 4096;

    /// Room for nodes [0, n); new ones are dead and have no links.
    void resize(std::size_t n);
    /// As resize for a graph without nodes, whose links are all to be set before they are read.
    void make_room(std::size_t n);
    /// Stores a vector as Space::prepare gives it, with its code.
    void put(Slot node, const float* vector, ScalarCodes::Scratch& scratch) {
        put_vector(node, vector);
        put_code(node, vector, scratch);
    }
    void put_vector(Slot node, const float* vector) {
        if (!coded) vectors.put(node, vector);
    }
    void put_code(Slot node, const float* vector, ScalarCodes::Scratch& scratch) {
        if (codes.trained() && !walks_rows)
            factors[node] = codes.encode(vector, code(node), scratch);
    }
    /// Takes node order[i] to place i and drops the rest, to which no link may lead.
    void reorder(const std::vector<Slot>& order);
    /// Copies the codes of nodes next to each other, to be scanned.
    Seeds make_seeds(std::vector<Slot> chosen) const;
    /// With such copies.
    Seeds make_seeds(std::vector<Slot> chosen, Buffer copies) const;

    std::size_t degree, width;  // most links a node has; the same rounded up for the kernels
    bool walks_rows;
    const kernels::MetricInfo *metric, *geometry;
    ScalarCodes codes;  // where rows are walked on, only what bulk building compares by
    VectorStore vectors;
    Buffer code_rows;
    Column<std::uint32_t> factors;  // of the codes
    Buffer links;
    Column<Slot> slots;        // by node; no_slot where dead
    std::vector<Slot> unused;  // dead nodes that no link leads to
    std::size_t dead = 0;      // dead nodes that links may lead to
    Seeds seeds;               // every search begins at these
    /// And wide ones at the nearest of these too, where walks go astray (README.md). Any first few
    /// of them lie all over.
    Seeds wide_seeds;
    static constexpr std::size_t nodes_a_wide_seed = 32;
    /// Of estimates among neighbors, a standard deviation as a share of doubt(); in files older
    /// than that one for all.
    float noise = infinity;
    bool noise_for_all = false;
    bool coded = false;   // there are no vectors
    bool linked = false;  // false while there are too few vectors for a graph
};

/// The live nodes in the order of a walk that fills a page of memory breadth first and goes on near
/// the last one, so that what is searched together lies together.
std::vector<Slot> walk_order(const Graph& graph, const Run& run);

}  // namespace nearfield
