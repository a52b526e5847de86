#include "index/hnsw/reverse_links.h"

#include <algorithm>
#include <atomic>
#include <numeric>

#include "core/thread_pool.h"

namespace nearfield {
namespace {

constexpr std::size_t nodes_a_piece = 8192;

}  // namespace

void LinkTable::put(std::size_t node, const Chosen& chosen) {
    std::copy(chosen.links.begin(), chosen.links.end(), &links[node * degree]);
    filled[node] = static_cast<std::uint16_t>(chosen.links.size());
}

ReverseLinks::ReverseLinks(const LinkTable& table, std::size_t low, std::size_t high,
                           const Run& run)
    : low_(low), first_(high - low + 2, 0) {
    // What is counted for a node lies two places on, and while links are listed its end one place
    // on: where the next node's begin.
    const auto for_each_link = [&](auto&& use) {
        parallel_for(run, table.size(), nodes_a_piece,
                     [&](std::size_t begin, std::size_t end, std::size_t) {
                         for (std::size_t node = begin; node < end; ++node)
                             for (std::size_t i = 0; i < table.filled[node]; ++i)
                                 if (const Slot to = table.row(node)[i]; to >= low && to < high)
                                     use(node, to - low);
                     });
    };
    const auto add = [](std::uint32_t& count) {
        return std::atomic_ref(count).fetch_add(1, std::memory_order_relaxed);
    };
    for_each_link([&](std::size_t, std::size_t to) { add(first_[to + 2]); });
    std::partial_sum(first_.begin(), first_.end(), first_.begin());
    from_.resize(first_.back());
    for_each_link([&](std::size_t node, std::size_t to) {
        from_[add(first_[to + 1])] = static_cast<Slot>(node);
    });
}

}  // namespace nearfield
