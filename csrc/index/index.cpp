#include "index/index.h"

#include <algorithm>
#include <numeric>

#include "core/error.h"
#include "core/thread_pool.h"

namespace nearfield {
namespace {

constexpr std::size_t max_slots = no_slot - 1;

std::uint64_t next_serial() {
    static std::atomic<std::uint64_t> made{0};
    return ++made;
}

void check_distinct(const Id* ids, std::size_t n) {
    std::vector<Id> sorted(ids, ids + n);
    std::sort(sorted.begin(), sorted.end());
    const auto twin = std::adjacent_find(sorted.begin(), sorted.end());
    require(twin == sorted.end(), "ids must be distinct, got ", twin == sorted.end() ? 0 : *twin,
            " more than once");
}

}  // namespace

Index::Index(Space space) : space_(std::move(space)), serial_(next_serial()) {}

std::size_t Index::size() const {
    const FairLock lock(mutex_, FairLock::For::look);
    return ids_.size();
}

bool Index::contains(Id id) const {
    const FairLock lock(mutex_, FairLock::For::look);
    return ids_.find(id) != no_slot;
}

std::vector<Id> Index::ids() const {
    const FairLock lock(mutex_, FairLock::For::look);
    std::vector<Id> all;
    all.reserve(ids_.size());
    ids_.live().for_each(
        [&](std::size_t slot) { all.push_back(ids_.id(static_cast<Slot>(slot))); });
    return all;
}

std::vector<Slot> Index::find_all(const Id* ids, std::size_t n, bool ignore_missing) const {
    std::vector<Slot> slots;
    slots.reserve(n);
    for (std::size_t i = 0; i < n; ++i) {
        const Slot slot = ids_.find(ids[i]);
        if (slot != no_slot)
            slots.push_back(slot);
        else if (!ignore_missing)
            throw UnknownId(text("ids must be in the index, got ", ids[i]));
    }
    return slots;
}

void Index::add(const MatrixView& vectors, const Id* ids, Id* ids_out, const Run& run) {
    check_writable();
    space_.check("vectors", vectors, run);
    const FairLock lock = alone();
    const std::vector<Slot> slots = begin_add(vectors.rows, ids, ids_out);
    if (slots.empty()) return;
    add_rows(vectors, slots.data(), run);
    end_add(slots, ids_out);
}

std::vector<Slot> Index::begin_add(std::size_t n, const Id* ids, Id* ids_out) {
    if (ids) {
        check_distinct(ids, n);
        for (std::size_t i = 0; i < n; ++i)
            require(ids_.find(ids[i]) == no_slot, "ids must be new, got ", ids[i],
                    ", which the index holds; update() replaces it");
        std::copy_n(ids, n, ids_out);
    } else {
        require(n == 0 || ids_.next_id() <= std::numeric_limits<Id>::max() - static_cast<Id>(n),
                "ids must be given once the largest id is ", std::numeric_limits<Id>::max());
        std::iota(ids_out, ids_out + n, ids_.next_id());
    }
    require(ids_.size() + n <= max_slots, "an index must hold at most ", max_slots,
            " vectors, got ", ids_.size() + n);
    if (n == 0) return {};
    std::vector<Slot> slots = ids_.plan(n);
    reserve_slots(std::max<std::size_t>(ids_.slots(), std::size_t{slots.back()} + 1));
    ids_.reserve(slots.data(), ids_out, n);
    return slots;
}

void Index::update(const Id* ids, const MatrixView& vectors, const Run& run) {
    check_writable();
    space_.check("vectors", vectors, run);
    const FairLock lock = alone();
    check_distinct(ids, vectors.rows);
    const std::vector<Slot> slots = find_all(ids, vectors.rows, false);
    if (!slots.empty()) update_rows(vectors, slots.data(), run);
}

std::size_t Index::remove(const Id* ids, std::size_t n, bool ignore_missing, const Run& run) {
    check_writable();
    const FairLock lock = alone();
    check_distinct(ids, n);
    const std::vector<Slot> slots = find_all(ids, n, ignore_missing);
    if (slots.empty()) return 0;
    ids_.reserve_free(slots.size());
    ++removals_;
    remove_slots(slots.data(), slots.size(), run);
    ids_.remove(slots.data(), slots.size());
    return slots.size();
}

void Index::get(const Id* ids, std::size_t n, float* out) const {
    const FairLock lock = shared();
    const std::vector<Slot> slots = find_all(ids, n, false);
    for (std::size_t i = 0; i < n; ++i) get_row(slots[i], out + i * space_.dim());
}

void Index::compact(const Run& run) {
    check_writable();
    const FairLock lock = alone();
    if (ids_.size() == ids_.slots()) return;
    std::vector<Slot> old_slots;
    old_slots.reserve(ids_.size());
    ids_.live().for_each([&](std::size_t slot) { old_slots.push_back(static_cast<Slot>(slot)); });
    IdMap compacted = ids_.compacted(old_slots);
    compact_slots(old_slots, run);
    ++removals_;
    ids_ = std::move(compacted);
}

Index::Filter Index::resolve(const FilterSpec& spec, Bitmap& scratch) const {
    using Kind = FilterSpec::Kind;
    const bool holes = ids_.size() < ids_.slots();
    if (spec.kind == Kind::none)
        return holes ? Filter{&ids_.live(), ids_.size()} : Filter{nullptr, ids_.size()};
    if (spec.kind == Kind::prepared) {
        const PreparedFilter& ready = *spec.prepared;
        require(ready.index == serial_ && ready.removals == removals_,
                "filter must be prepared by this index and after its last removal");
        if (ready.allowed.size() == ids_.slots()) return {&ready.allowed, ready.count};
        scratch = ready.allowed;
        scratch.resize(ids_.slots());
        return {&scratch, ready.count};
    }
    if (spec.kind == Kind::mask) {
        require(spec.size == ids_.size(), "filter must have one value a vector (", ids_.size(),
                "), got ", spec.size);
        if (!holes) {
            scratch.pack(spec.mask, spec.size);
            return {&scratch, scratch.count()};
        }
        scratch = Bitmap(ids_.slots());
        std::size_t rank = 0;
        ids_.live().for_each([&](std::size_t slot) {
            if (spec.mask[rank++]) scratch.set(slot);
        });
    } else {
        const bool exclude = spec.kind == Kind::exclude_ids;
        if (exclude)
            scratch = ids_.live();
        else
            scratch = Bitmap(ids_.slots());
        for (std::size_t i = 0; i < spec.size; ++i) {
            const Slot slot = ids_.find(spec.ids[i]);
            if (slot == no_slot) continue;
            if (exclude)
                scratch.reset(slot);
            else
                scratch.set(slot);
        }
    }
    return {&scratch, scratch.count()};
}

void Index::search(const MatrixView& queries, const SearchParams& params, const FilterSpec& filter,
                   Id* ids, float* distances, const Run& run) const {
    require(params.k >= 1, "k must be at least 1, got ", params.k);
    space_.check("queries", queries, run);
    const FairLock lock = shared();
    answer(queries, params, filter, ids, distances, run);
}

bool Index::try_search(const MatrixView& queries, const SearchParams& params,
                       const FilterSpec& filter, Id* ids, float* distances, const Run& run) const {
    require(params.k >= 1, "k must be at least 1, got ", params.k);
    space_.check("queries", queries, run);
    const FairLock lock(mutex_, FairLock::For::read_at_once);
    if (lock) answer(queries, params, filter, ids, distances, run);
    return static_cast<bool>(lock);
}

void Index::answer(const MatrixView& queries, const SearchParams& params, const FilterSpec& filter,
                   Id* ids, float* distances, const Run& run) const {
    Bitmap scratch;
    const Filter resolved = resolve(filter, scratch);
    // Asking for more than there is must not cost memory for what cannot come.
    SearchParams capped = params;
    capped.k = std::min(params.k, resolved.count);
    std::vector<Neighbor> found(queries.rows * capped.k);
    if (capped.k > 0 && queries.rows > 0) search_rows(queries, capped, resolved, found.data(), run);
    name(found, queries.rows, capped.k, params, ids, distances);
}

void Index::name(const std::vector<Neighbor>& found, std::size_t n_queries, std::size_t k,
                 const SearchParams& params, Id* ids, float* distances) const {
    std::fill_n(ids, n_queries * params.k, no_id);
    std::fill_n(distances, n_queries * params.k, infinity);
    for (std::size_t i = 0; i < n_queries; ++i)
        for (std::size_t j = 0; j < k; ++j) {
            const Neighbor& neighbor = found[i * k + j];
            if (neighbor.slot == no_slot) break;
            ids[i * params.k + j] = ids_.id(neighbor.slot);
            distances[i * params.k + j] = neighbor.distance;
        }
}

/// What answer() does, before and after the steps of a kind of index.
class Index::Beginning final : public Steps {
  public:
    Beginning(const Index& index, const float* query, const SearchParams& params,
              const FilterSpec& filter, Id* ids, float* distances)
        : index_(index),
          lock_(index.mutex_, FairLock::For::read_at_once),
          params_(params),
          ids_(ids),
          distances_(distances) {
        if (!lock_) return;
        const Filter resolved = index.resolve(filter, scratch_);
        SearchParams capped = params;
        capped.k = k_ = std::min(params.k, resolved.count);
        if (k_ == 0) return;
        found_.resize(k_);
        steps_ = index.begin_rows(query, capped, resolved, found_.data());
    }
    bool begun() const { return steps_ != nullptr; }
    bool step() override {
        if (steps_->step()) return true;
        index_.name(found_, 1, k_, params_, ids_, distances_);
        return false;
    }

  private:
    const Index& index_;
    FairLock lock_;
    SearchParams params_;
    std::size_t k_ = 0;
    Id* ids_;
    float* distances_;
    Bitmap scratch_;
    std::vector<Neighbor> found_;
    std::unique_ptr<Steps> steps_;
};

std::unique_ptr<Steps> Index::begin_search(const MatrixView& query, const SearchParams& params,
                                           const FilterSpec& filter, Id* ids,
                                           float* distances) const {
    require(params.k >= 1, "k must be at least 1, got ", params.k);
    space_.check("queries", query, Run{1, nullptr});
    if (!takes_steps()) return nullptr;
    auto begun = std::make_unique<Beginning>(*this, query.row(0), params, filter, ids, distances);
    return begun->begun() ? std::move(begun) : nullptr;
}

RangeResult Index::range_search(const MatrixView& queries, float radius, const SearchParams& params,
                                const FilterSpec& filter, const Run& run) const {
    require(radius == radius, "radius must be a number, got nan");
    space_.check("queries", queries, run);
    const FairLock lock = shared();
    Bitmap scratch;
    const Filter resolved = resolve(filter, scratch);
    std::vector<std::vector<Neighbor>> found(queries.rows);
    if (resolved.count > 0 && queries.rows > 0)
        range_rows(queries, radius, params, resolved, found, run);
    RangeResult result;
    result.lims.assign(queries.rows + 1, 0);
    for (std::size_t i = 0; i < queries.rows; ++i)
        result.lims[i + 1] = result.lims[i] + found[i].size();
    result.ids.reserve(result.lims.back());
    result.distances.reserve(result.lims.back());
    for (const auto& row : found)
        for (const Neighbor& neighbor : row) {
            result.ids.push_back(ids_.id(neighbor.slot));
            result.distances.push_back(neighbor.distance);
        }
    return result;
}

PreparedFilter Index::prepare(const FilterSpec& filter) const {
    const FairLock lock = shared();
    PreparedFilter ready{serial_, removals_, {}, 0};
    const Filter resolved = resolve(filter, ready.allowed);
    if (!resolved.allowed)
        ready.allowed = Bitmap(ids_.slots(), true);
    else if (resolved.allowed != &ready.allowed)
        ready.allowed = *resolved.allowed;
    ready.count = resolved.count;
    return ready;
}

Stats Index::stats() const {
    const FairLock lock = shared();
    Stats stats;
    stats.numbers = {
        {"n", static_cast<double>(ids_.size())},
        {"dim", static_cast<double>(space_.dim())},
        {"deleted_share", ids_.slots() == 0 ? 0.0
                                            : 1.0 - static_cast<double>(ids_.size()) /
                                                        static_cast<double>(ids_.slots())}};
    stats.words = {{"metric", space_.metric().name}};
    stats.bytes = {{"ids", ids_.bytes()}};
    add_stats(stats);
    return stats;
}

void Index::check_writable() const {
    if (read_only_)
        throw ReadOnlyIndex(
            "an index that views a file must not be changed; load it with mmap=False");
}

Space Index::space_from_state(StateReader& in) {
    return Space(in.number("dim", 1, Space::max_dim), in.word("metric").c_str());
}

void Index::with_state(const std::function<void(const StateWriter&)>& use) const {
    const FairLock lock = shared();
    StateWriter out;
    out.number("dim", space_.dim());
    out.word("metric", space_.metric().name);
    ids_.state(out);
    state_rows(out);
    use(out);
}

void Index::validate() const {
    const FairLock lock = shared();
    std::size_t live = 0;
    ids_.live().for_each([&](std::size_t slot) {
        ++live;
        if (ids_.find(ids_.id(static_cast<Slot>(slot))) != slot)
            throw CorruptIndex(
                text("id ", ids_.id(static_cast<Slot>(slot)), " does not lead to slot ", slot));
    });
    if (live != ids_.size())
        throw CorruptIndex(text("ids: ", live, " live slots, ", ids_.size(), " held"));
    validate_rows();
}

}  // namespace nearfield
