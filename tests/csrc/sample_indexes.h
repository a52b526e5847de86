// Small indexes of every kind, and their files.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/random.h"
#include "index/flat/flat_index.h"
#include "index/hnsw/hnsw_index.h"
#include "index/ivf/ivf_index.h"
#include "index/registry.h"
#include "storage/container.h"

namespace nearfield::check {

inline std::vector<float> random_rows(std::size_t n, std::size_t dim, std::uint64_t seed) {
    Random random(seed);
    std::vector<float> rows(n * dim);
    for (float& value : rows) value = static_cast<float>(random.normal());
    return rows;
}

inline void fill(Index& index, std::size_t n, bool named) {
    const std::size_t dim = index.space().dim();
    const std::vector<float> rows = random_rows(n, dim, 3);
    std::vector<Id> ids(n), given(n);
    for (std::size_t i = 0; i < n; ++i) ids[i] = static_cast<Id>((i * 7919) % 100003) - 5000;
    index.add({rows.data(), n, dim}, named ? ids.data() : nullptr, given.data(), Run{1, {}});
    index.remove(given.data() + 5, 9, false, Run{1, {}});
}

inline std::unique_ptr<Index> trained_lists(Space space, const IvfParams& params) {
    auto index = std::make_unique<IvfIndex>(std::move(space), params);
    const std::size_t dim = index->space().dim();
    index->train({random_rows(60, dim, 5).data(), 60, dim}, Run{1, {}});
    return index;
}

/// One of each: exact with and without codes, rows of a byte, a graph, a graph too small for links,
/// lists of codes of two kinds, with rows and without.
inline std::vector<std::unique_ptr<Index>> sample_indexes() {
    std::vector<std::unique_ptr<Index>> all;
    FlatParams flat;
    all.push_back(std::make_unique<FlatIndex>(Space(8, "cosine"), flat));
    flat.prefilter = FlatParams::Prefilter::on;
    all.push_back(std::make_unique<FlatIndex>(Space(20, "l2"), flat));
    flat.prefilter = FlatParams::Prefilter::automatic;
    flat.dtype = kernels::Scalar::i8;
    all.push_back(std::make_unique<FlatIndex>(Space(8, "dot"), flat));
    HnswParams graph;
    graph.M = 4;
    graph.ef_construction = 32;
    all.push_back(std::make_unique<HnswIndex>(Space(6, "l2"), graph));
    graph.bits = 1;
    graph.rerank = kernels::Scalar::i8;
    all.push_back(std::make_unique<HnswIndex>(Space(6, "cosine"), graph));
    all.push_back(std::make_unique<HnswIndex>(Space(6, "dot"), graph));
    IvfParams lists;
    lists.nlist = 5;
    all.push_back(trained_lists(Space(10, "l2"), lists));
    lists.codes.kind = CodeKind::product;
    lists.codes.opq = true;
    lists.rerank.reset();
    all.push_back(trained_lists(Space(8, "cosine"), lists));
    const std::size_t sizes[] = {40, 30, 40, 300, 290, 30, 50, 50};
    for (std::size_t i = 0; i < all.size(); ++i) fill(*all[i], sizes[i], i % 2 == 1);
    return all;
}

inline std::string bytes_of(const Index& index) {
    std::string bytes;
    index.with_state(
        [&](const StateWriter& state) { bytes = to_bytes(state, index.kind(), Run{1, {}}); });
    return bytes;
}

/// As nearfield.load does it.
inline std::unique_ptr<Index> load(std::unique_ptr<Source> source, const ReadOptions& options) {
    Container file(std::move(source), options);
    auto index = index_from_state(file.header().kind, file);
    file.check_all_taken();
    if (file.read_only()) index->make_read_only();
    return index;
}

}  // namespace nearfield::check
