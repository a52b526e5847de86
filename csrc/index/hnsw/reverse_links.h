// Links read backwards: which nodes chose each.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "core/column.h"
#include "core/run.h"
#include "core/types.h"
#include "index/hnsw/prune.h"

namespace nearfield {

/// Links of all nodes while they are chosen, (n, degree).
struct LinkTable {
    LinkTable(std::size_t n, std::size_t most) : degree(most) {
        links.resize(n * most);
        filled.resize(n);
    }
    std::size_t size() const { return filled.size(); }
    const Slot* row(std::size_t node) const { return &links[node * degree]; }
    void put(std::size_t node, const Chosen& chosen);

    std::size_t degree;
    Column<Slot> links;
    Column<std::uint16_t> filled;
};

/// For nodes [low, high), those that chose them.
class ReverseLinks {
  public:
    ReverseLinks(const LinkTable& table, std::size_t low, std::size_t high, const Run& run);
    /// Their order depends on the threads.
    std::span<const Slot> of(std::size_t node) const {
        return {from_.data() + first_[node - low_], from_.data() + first_[node - low_ + 1]};
    }

  private:
    std::size_t low_;
    std::vector<std::uint32_t> first_;
    std::vector<Slot> from_;
};

}  // namespace nearfield
