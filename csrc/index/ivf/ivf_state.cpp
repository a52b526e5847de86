#include "core/error.h"
#include "index/ivf/ivf_index.h"
#include "index/ivf/ivf_worker.h"

namespace nearfield {
namespace {

constexpr const char* no_rerank = "none";

/// Sizes of the groups of k lists; files without groups have none.
std::vector<std::uint32_t> read_groups(StateReader& in, std::size_t k) {
    if (!in.has("lists.groups")) return {};
    const std::size_t n = in.number("lists.groups_count", 1, k);
    auto sizes = in.values<std::uint32_t>("lists.groups", n);
    std::size_t total = 0;
    for (const std::uint32_t size : sizes) total += size;
    if (total != k)
        throw CorruptIndex(text("groups have ", total, " lists for ", k), "lists.groups");
    return sizes;
}

}  // namespace

void IvfIndex::state_rows(StateWriter& out) const {
    out.number("nlist", params_.nlist);
    out.number("nprobe", params_.nprobe);
    out.word("codes", codes_name(params_.codes.kind));
    out.number("bits", static_cast<std::uint64_t>(params_.codes.bits));
    out.number("pq_m", params_.codes.m);
    out.number("opq", params_.codes.opq);
    out.word("rerank", params_.rerank ? dtype_name(*params_.rerank) : no_rerank);
    out.number("candidates", params_.candidates);
    out.number("seed", params_.codes.seed);
    out.number("lists.trained", finder_.has_value());
    // That it is there says that vectors have two lists; files of before have none.
    if (params_.soar) out.array("lists.second", of_[1].data(), finder_ ? ids_map().slots() : 0);
    if (!finder_) return;
    out.number("lists.count", finder_->size());
    codes_.state(out);
    out.array("lists.centroids", finder_->centroids().data(), finder_->centroids().size());
    if (!finder_->groups().empty()) {
        out.number("lists.groups_count", finder_->groups().size());
        out.array("lists.groups", finder_->groups().data(), finder_->groups().size());
    }
    if (!limits_.empty()) {
        out.number("lists.limits_count", limits_.size());
        out.array("lists.limits", limits_.data(), limits_.size());
    }
    lists_.state(out);
    out.array("lists.of", of_[0].data(), ids_map().slots());
    if (params_.rerank) vectors_.state(out, ids_map().slots());
}

std::unique_ptr<Index> IvfIndex::from_state(StateReader& in) {
    constexpr std::uint64_t any = ~std::uint64_t{0};
    IvfParams params;
    params.nlist = in.number("nlist", 0, IvfParams::max_nlist);
    params.nprobe = in.number("nprobe", 1, IvfParams::max_nlist);
    params.codes.kind = parse_codes(in.word("codes"));
    params.codes.bits = static_cast<int>(in.number("bits", 1, 8));
    params.codes.m = in.number("pq_m", 0, Space::max_dim);
    params.codes.opq = in.number("opq", 0, 1) == 1;
    params.rerank.reset();
    if (in.word("rerank") != no_rerank) params.rerank = parse_dtype(in.word("rerank"));
    params.soar = in.has("lists.second");
    params.candidates = in.number("candidates", 0, most_candidates);
    params.codes.seed = in.number("seed", 0, any);
    auto index = std::make_unique<IvfIndex>(space_from_state(in), params);
    index->load_ids(in);
    const std::size_t slots = index->ids_map().slots(), dim = index->space_.dim();
    if (in.number("lists.trained", 0, 1) == 0) {
        if (slots != 0)
            throw CorruptIndex(text("an untrained index has ", slots, " slots"), "fields");
        return index;
    }
    const std::size_t k = in.number("lists.count", 1, IvfParams::max_nlist);
    index->codes_.load(in);
    std::vector<float> centroids = in.values<float>("lists.centroids", k * dim);
    require_finite("lists.centroids", centroids);
    index->finder_.emplace(std::move(centroids), dim, index->codes_.norms(), Run{1, nullptr},
                           read_groups(in, k));
    index->codes_.attach(*index->finder_);
    if (in.has("lists.limits"))  // files without them open all nprobe lists
        index->limits_ = in.values<float>("lists.limits", in.number("lists.limits_count", 1, 64));
    index->lists_ = InvertedLists(k, index->codes_);
    index->lists_.load(in, index->copies() * index->ids_map().size());
    index->of_[0] = in.column<Slot>("lists.of", slots);
    if (params.soar) index->of_[1] = in.column<Slot>("lists.second", slots);
    if (params.rerank) index->vectors_.load(in, slots);
    if (in.whole()) index->check_lists();
    return index;
}

/// Slots and lists name each other.
void IvfIndex::check_lists() const {
    const auto corrupt = [](bool broken, const char* section, const char* what, std::size_t where) {
        if (broken) throw CorruptIndex(text(what, " at ", where), section);
    };
    std::size_t entries = 0;
    std::vector<bool> first(of_[0].size(), false), second(of_[1].size(), false);
    for (std::size_t list = 0; list < lists_.size(); ++list)
        for (const Slot slot : lists_[list].slots) {
            ++entries;
            const bool known = slot < of_[0].size();
            const bool is_first = known && of_[0][slot] == list;
            corrupt(!is_first && (!known || !params_.soar || of_[1][slot] != list), "lists.slots",
                    "an entry without its slot", list);
            std::vector<bool>& seen = is_first ? first : second;
            corrupt(seen[slot], "lists.slots", "a slot twice", slot);
            seen[slot] = true;
        }
    ids_map().live().for_each([&](std::size_t slot) {
        corrupt(slot >= first.size() || !first[slot] || (params_.soar && !second[slot]), "lists.of",
                "a vector without its entry", slot);
    });
    corrupt(entries != copies() * ids_map().size(), "lists.sizes", "more entries than vectors",
            entries);
}

}  // namespace nearfield
