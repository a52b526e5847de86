#include "index/flat/flat_index.h"

#include <algorithm>
#include <vector>

#include "core/error.h"
#include "core/thread_pool.h"

namespace nearfield {
namespace {

// The prefilter reads a quarter of the bytes but pays a fixed cost per query: it is made once the
// rows are large, and only where a code is much shorter than a row.
constexpr std::size_t prefilter_bytes = std::size_t{4} << 20;
constexpr std::size_t prefilter_dim = 48;
constexpr std::size_t rows_a_piece = 1024;
constexpr float largest_float16 = 65504.0f;

}  // namespace

FlatIndex::FlatIndex(Space space, const FlatParams& params)
    : Index(std::move(space)), store_(space_.dim(), params.dtype), params_(params) {
    if (params.dtype == kernels::Scalar::f16) space_.set_limit(largest_float16);
    require(params.prefilter != FlatParams::Prefilter::on || params.dtype == kernels::Scalar::f32,
            "prefilter must be False or None unless dtype is 'float32', got dtype '",
            dtype_name(params.dtype), "'");
}

bool FlatIndex::wants_codes(std::size_t slots) const {
    if (params_.dtype != kernels::Scalar::f32) return false;
    if (params_.prefilter != FlatParams::Prefilter::automatic)
        return params_.prefilter == FlatParams::Prefilter::on;
    return space_.dim() >= prefilter_dim && slots * store_.stride() >= prefilter_bytes;
}

void FlatIndex::reserve_slots(std::size_t slots) {
    slots = std::max(slots, store_.size());
    if (codes_) codes_->resize(slots);
    store_.resize(slots);
}

void FlatIndex::make_room(std::size_t n, std::size_t ahead) {
    check_writable();
    std::size_t slots = 0;
    {
        const auto lock = alone();
        slots = rows() + n;
        const std::size_t wanted = std::max(slots, ahead);
        if (!codes_ && rows() == 0 && wants_codes(slots))
            codes_.emplace(space_.dim(), space_.metric());
        store_.reserve(wanted);
        if (codes_) codes_->reserve(wanted);
    }
    const auto lock = shared();
    store_.touch(slots);
    if (codes_) codes_->touch(slots);
}

void FlatIndex::append(const MatrixView& rows_in, const Id* ids, const Run& run) {
    check_writable();
    space_.check("vectors", rows_in, run);
    make_room(rows_in.rows, 0);
    std::vector<Id> given(rows_in.rows);
    std::vector<Slot> slots;
    {
        const auto lock = alone();
        slots = begin_add(rows_in.rows, ids, given.data());
        if (slots.empty()) return;
        if (slots.front() < rows() || (!codes_ && wants_codes(store_.size()))) {
            add_rows(rows_in, slots.data(), run);  // where searches read, too
            end_add(slots, given.data());
            return;
        }
    }
    float norm = 0;
    {
        const auto lock = shared();
        put(store_, rows_in, slots.data(), run);
        if (codes_) norm = encode(*codes_, store_, slots.size(), slots.data(), run);
    }
    const auto lock = alone();
    if (codes_) codes_->cover(norm);
    end_add(slots, given.data());
}

void FlatIndex::skim() {
    check_writable();
    const auto lock = alone();
    require(rows() == 0 && params_.prefilter == FlatParams::Prefilter::on,
            "skim needs an empty index with the prefilter");
    codes_.emplace(space_.dim(), space_.metric());
    codes_->keep_signs();
}

void FlatIndex::put(VectorStore& store, const MatrixView& rows, const Slot* slots,
                    const Run& run) const {
    parallel_for(run, rows.rows, rows_a_piece,
                 [&](std::size_t begin, std::size_t end, std::size_t) {
                     std::vector<float> scratch(space_.dim());
                     for (std::size_t i = begin; i < end; ++i)
                         store.put(slots ? slots[i] : static_cast<Slot>(i),
                                   space_.prepare(rows.row(i), scratch.data()));
                 });
}

float FlatIndex::encode(BoundCodes& codes, const VectorStore& store, std::size_t n,
                        const Slot* slots, const Run& run) {
    std::vector<float> norms((n + rows_a_piece - 1) / rows_a_piece, 0.0f);
    parallel_for(run, n, rows_a_piece, [&](std::size_t begin, std::size_t end, std::size_t) {
        float& norm = norms[begin / rows_a_piece];
        for (std::size_t i = begin; i < end; ++i) {
            const Slot slot = slots ? slots[i] : static_cast<Slot>(i);
            norm =
                std::max(norm, codes.encode(slot, reinterpret_cast<const float*>(store.row(slot))));
        }
    });
    return norms.empty() ? 0.0f : *std::max_element(norms.begin(), norms.end());
}

void FlatIndex::add_rows(const MatrixView& rows, const Slot* slots, const Run& run) {
    put(store_, rows, slots, run);
    if (codes_) {
        codes_->cover(encode(*codes_, store_, rows.rows, slots, run));
    } else if (wants_codes(store_.size())) {
        BoundCodes fresh(space_.dim(), space_.metric());
        fresh.resize(store_.size());
        fresh.cover(encode(fresh, store_, store_.size(), nullptr, run));
        codes_.emplace(std::move(fresh));
    }
}

void FlatIndex::update_rows(const MatrixView& rows, const Slot* slots, const Run& run) {
    VectorStore fresh(space_.dim(), params_.dtype);
    fresh.resize(rows.rows);
    put(fresh, rows, nullptr, run);
    std::optional<BoundCodes> codes;
    if (codes_) {
        codes.emplace(space_.dim(), space_.metric());
        if (codes_->keeps_signs()) codes->keep_signs();
        codes->resize(rows.rows);
        codes->cover(encode(*codes, fresh, rows.rows, nullptr, run));
    }
    // All or nothing: what may fail or be interrupted is done.
    for (std::size_t i = 0; i < rows.rows; ++i) {
        store_.take(slots[i], fresh, static_cast<Slot>(i));
        if (codes_) codes_->take(slots[i], *codes, static_cast<Slot>(i));
    }
}

void FlatIndex::remove_slots(const Slot*, std::size_t, const Run&) {}

void FlatIndex::compact_slots(const std::vector<Slot>& old_slots, const Run&) {
    store_.compact(old_slots);
    if (codes_) codes_->compact(old_slots);
}

void FlatIndex::get_row(Slot slot, float* out) const { store_.get(slot, out); }

void FlatIndex::add_stats(Stats& stats) const {
    stats.words.emplace_back("kind", "flat");
    stats.words.emplace_back("dtype", dtype_name(store_.dtype()));
    stats.words.emplace_back("prefilter", !codes_                 ? "none"
                                          : codes_->keeps_signs() ? "signs, int8"
                                                                  : "int8");
    stats.bytes.emplace_back("vectors", store_.bytes());
    stats.bytes.emplace_back("codes", codes_ ? codes_->bytes() : 0);
}

void FlatIndex::validate_rows() const {
    if (store_.size() < rows())
        throw CorruptIndex(text("flat: ", store_.size(), " rows stored for ", rows(), " slots"));
    if (codes_ && codes_->size() < rows())
        throw CorruptIndex(text("flat: ", codes_->size(), " codes for ", rows(), " slots"));
}

}  // namespace nearfield
