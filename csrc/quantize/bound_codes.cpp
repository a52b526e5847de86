#include "quantize/bound_codes.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "kernels/prefetch.inl.h"

namespace nearfield {
namespace {

constexpr std::size_t panel_bytes = 64;  // tiles want whole panels of 64 dimensions
constexpr std::uint64_t rotation_seed = 0x6e65617266;
constexpr int zero_code = 128;  // codes are stored unsigned

// The query's own rounding is folded into the per-row error with this share of the row's norm; it
// is near the relative error of an int8 code of a rotated vector, 3.2 / (127 sqrt(12)).
constexpr double query_share = 0.0075;
constexpr double float_unit = 0x1.0p-23;
// Where more than this share of rows is left by their signs, all codes are scanned instead.
constexpr std::size_t sparse_share = 4;

double norm(const float* values, std::size_t n) {
    double sum = 0;
    for (std::size_t i = 0; i < n; ++i) sum += static_cast<double>(values[i]) * values[i];
    return std::sqrt(sum);
}

float largest(const float* values, std::size_t n) {
    float top = 0;
    for (std::size_t i = 0; i < n; ++i) top = std::max(top, std::abs(values[i]));
    return top;
}

/// A code and how far it is from what it stands for.
struct Rounded {
    double scale, code_norm, error;
    std::int64_t sum;
};

Rounded round_to_int8(const float* values, std::size_t n, std::int8_t* code) {
    const float top = largest(values, n);
    const float scale = top > 0 ? top / 127 : 1.0f;
    kernels::kernels().to_i8(values, n, 1 / scale, code);
    double squares = 0, error = 0;
    std::int64_t sum = 0;
    for (std::size_t i = 0; i < n; ++i) {
        const double value = static_cast<double>(scale) * code[i];
        squares += value * value;
        error += (values[i] - value) * (values[i] - value);
        sum += code[i];
    }
    return {scale, std::sqrt(squares), std::sqrt(error), sum};
}

}  // namespace

BoundCodes::BoundCodes(std::size_t dim, const kernels::MetricInfo& metric)
    : dim_(dim),
      code_dim_(kernels::padded(dim, panel_bytes)),
      stride_(kernels::padded(dim, 32)),
      metric_(metric),
      rotation_(dim, rotation_seed) {}

void BoundCodes::reserve(std::size_t slots) {
    add_.reserve(slots * sizeof(float));
    scale_.reserve(slots * sizeof(float));
    error_.reserve(slots * sizeof(float));
    codes_.reserve(slots * stride_);
    if (signs_) signs_->reserve(slots);
}

void BoundCodes::touch(std::size_t slots) {
    codes_.touch(slots * stride_);
    if (signs_) signs_->touch(slots);
}

void BoundCodes::resize(std::size_t slots) {
    reserve(slots);
    codes_.resize(slots * stride_);
    add_.resize(slots * sizeof(float));
    scale_.resize(slots * sizeof(float));
    error_.resize(slots * sizeof(float));
    if (signs_) signs_->resize(slots);
    size_ = slots;
}

float BoundCodes::encode(Slot slot, const float* row) {
    thread_local std::vector<float> rotated;
    thread_local std::vector<std::int8_t> code;
    rotated.resize(dim_);
    code.assign(stride_, 0);
    rotation_.apply(row, rotated.data());
    const Rounded rounded = round_to_int8(rotated.data(), dim_, code.data());
    std::uint8_t* out = codes_.as<std::uint8_t>() + slot * stride_;
    for (std::size_t i = 0; i < stride_; ++i)
        out[i] = static_cast<std::uint8_t>(code[i] + zero_code);
    const double length = norm(row, dim_);
    add_.as<float>()[slot] = metric_.needs_norm ? static_cast<float>(length * length) : 0.0f;
    scale_.as<float>()[slot] = static_cast<float>(rounded.scale);
    // The rotation itself rounds; a millionth of the norm covers three rounds of it.
    error_.as<float>()[slot] =
        static_cast<float>((rounded.error + (query_share + 1e-6) * length) * 1.000001);
    if (signs_) signs_->encode(slot, rotated.data(), length);
    return static_cast<float>(length * 1.000001);
}

void BoundCodes::take(Slot slot, const BoundCodes& other, Slot from) {
    std::memcpy(codes_.data() + slot * stride_, other.codes_.data() + from * stride_, stride_);
    add_.as<float>()[slot] = other.add_.as<float>()[from];
    scale_.as<float>()[slot] = other.scale_.as<float>()[from];
    error_.as<float>()[slot] = other.error_.as<float>()[from];
    if (signs_) signs_->take(slot, *other.signs_, from);
    cover(other.max_norm_);
}

void BoundCodes::compact(const std::vector<Slot>& old_slots) {
    for (std::size_t slot = 0; slot < old_slots.size(); ++slot)
        if (old_slots[slot] != slot) take(static_cast<Slot>(slot), *this, old_slots[slot]);
    resize(old_slots.size());
    for (Buffer* part : {&codes_, &add_, &scale_, &error_}) part->trim();
}

void BoundCodes::state(StateWriter& out, std::size_t slots) const {
    out.real("bounds.max_norm", static_cast<double>(max_norm_));
    out.array("bounds.codes", codes_.as<std::uint8_t>(), slots * stride_);
    out.array("bounds.add", add_.as<float>(), slots);
    out.array("bounds.scale", scale_.as<float>(), slots);
    out.array("bounds.error", error_.as<float>(), slots);
}

void BoundCodes::load(StateReader& in, std::size_t slots) {
    max_norm_ = static_cast<float>(in.real("bounds.max_norm"));
    codes_ = in.buffer("bounds.codes", Element::u8, slots * stride_);
    add_ = in.buffer("bounds.add", Element::f32, slots);
    scale_ = in.buffer("bounds.scale", Element::f32, slots);
    error_ = in.buffer("bounds.error", Element::f32, slots);
    size_ = slots;
}

void BoundCodes::prepare(const MatrixView& queries, QueryBlock& block) const {
    block.n = queries.rows;
    block.codes.resize(0);
    block.codes.resize(queries.rows * code_dim_);
    block.terms.resize(queries.rows);
    std::vector<float> rotated(dim_);
    for (std::size_t i = 0; i < queries.rows; ++i) {
        rotation_.apply(queries.row(i), rotated.data());
        const Rounded rounded =
            round_to_int8(rotated.data(), dim_, block.codes.as<std::int8_t>() + i * code_dim_);
        const double length = norm(queries.row(i), dim_);
        // |r| |y| <= reach * query_share * |y| for this reach, which also covers |t d| |e|.
        const double reach = std::max(rounded.code_norm, rounded.error / query_share) * 1.000001;
        const double factor = metric_.needs_norm ? 2.0 : 1.0;
        block.terms[i] = {static_cast<std::int32_t>(zero_code * rounded.sum),
                          static_cast<float>(factor * rounded.scale),
                          static_cast<float>(factor * reach), slack(length)};
    }
}

float BoundCodes::slack(double length) const {
    const double sum_of_lengths = length + max_norm_;
    const double rounding = (static_cast<double>(dim_) + 32) * float_unit *
                            (sum_of_lengths * sum_of_lengths + std::abs(metric_.offset));
    const double constant = metric_.needs_norm ? length * length : metric_.offset;
    return static_cast<float>(rounding - constant);
}

void BoundCodes::prepare_one(const float* query, QueryBlock& block) const {
    if (!signs_) {
        prepare({query, 1, dim_}, block);
        return;
    }
    // The tails of a collection are asked one after another: what a query becomes does not depend
    // on their rows, but for one term.
    struct Last {
        const kernels::MetricInfo* metric = nullptr;
        std::vector<float> query;
        QueryBlock block;
    };
    thread_local Last last;
    if (last.metric != &metric_ || last.query.size() != dim_ ||
        std::memcmp(last.query.data(), query, dim_ * sizeof(float)) != 0) {
        last.metric = nullptr;
        last.query.assign(query, query + dim_);
        prepare({query, 1, dim_}, last.block);
        std::vector<float> rotated(dim_);
        rotation_.apply(query, rotated.data());
        // The second parts of codes, which ask for a query of bytes, are not used.
        signs_->prepare({rotated.data(), last.block.codes.as<std::int8_t>(), 0, 0},
                        norm(query, dim_), metric_.needs_norm ? 2.0f : 1.0f, 0,
                        last.block.signs.emplace());
        last.metric = &metric_;
    }
    const auto copy = [](const Buffer& from, Buffer& to) {
        to.resize(from.size());
        std::memcpy(to.data(), from.data(), from.size());
    };
    block.n = 1;
    block.terms = last.block.terms;
    copy(last.block.codes, block.codes);
    SignCodes::Query& signs = block.signs.emplace();
    signs.terms = last.block.signs->terms;
    copy(last.block.signs->tables, signs.tables);
    block.terms[0].c = signs.terms.c = slack(norm(query, dim_));
}

std::size_t BoundCodes::pick(const std::int32_t* dots, const kernels::BoundQuery& terms, Slot first,
                             std::size_t n, float threshold, Slot* slots, float* bounds) const {
    const kernels::BoundRows rows{add_.as<float>() + first, scale_.as<float>() + first,
                                  error_.as<float>() + first};
    const std::size_t found =
        kernels::kernels().select_bound(dots, n, rows, terms, threshold, slots, bounds);
    for (std::size_t i = 0; i < found; ++i) slots[i] += first;
    return found;
}

std::size_t BoundCodes::survivors(const QueryBlock& block, std::size_t i, Slot first, std::size_t n,
                                  float threshold, Slot* slots, float* bounds) const {
    if (!block.signs || threshold == infinity)
        return scan_codes(block, i, first, n, threshold, slots, bounds);
    const std::size_t left = glance(block, first, n, threshold, slots);
    if (left == too_many) return scan_codes(block, i, first, n, threshold, slots, bounds);
    return recheck(block, threshold, left, slots, bounds);
}

std::size_t BoundCodes::scan_codes(const QueryBlock& block, std::size_t i, Slot first,
                                   std::size_t n, float threshold, Slot* slots,
                                   float* bounds) const {
    std::int32_t dots[max_scan];
    kernels::kernels().dot_u8_rows(block.codes.as<std::int8_t>() + i * code_dim_,
                                   codes_.as<std::uint8_t>() + std::size_t{first} * stride_, n,
                                   stride_, stride_, dots);
    return pick(dots, block.terms[i], first, n, threshold, slots, bounds);
}

const float* BoundCodes::norms(Slot first) const {
    static constexpr float none[max_scan] = {};
    return metric_.needs_norm ? add_.as<float>() + first : none;
}

void BoundCodes::look(std::size_t n, QueryBlock& block) const {
    n = n / BlockCodes::block_rows * BlockCodes::block_rows;
    block.looks.assign(n, -infinity);
    std::uint32_t rows[max_scan];
    float bounds[max_scan];
    for (std::size_t at = 0; at < n; at += max_scan) {
        const auto first = static_cast<Slot>(at);
        const std::size_t found = signs_->survivors(*block.signs, first, std::min(max_scan, n - at),
                                                    norms(first), infinity, rows, bounds);
        for (std::size_t i = 0; i < found; ++i) block.looks[at + rows[i]] = bounds[i];
    }
}

std::size_t BoundCodes::glance(const QueryBlock& block, Slot first, std::size_t n, float threshold,
                               Slot* slots) const {
    // What is still being appended shares a block of signs with the last rows: these go by codes.
    const std::size_t whole = n / BlockCodes::block_rows * BlockCodes::block_rows;
    std::size_t left = 0;
    if (std::size_t{first} + whole <= block.looks.size()) {
        left = kernels::kernels().select_below(block.looks.data() + first, whole,
                                               std::nextafter(threshold, infinity), slots);
    } else if (whole > 0) {
        float bounds[max_scan];
        left =
            signs_->survivors(*block.signs, first, whole, norms(first), threshold, slots, bounds);
    }
    if (left * sparse_share > n) return too_many;
    for (std::size_t row = whole; row < n; ++row) slots[left++] = static_cast<Slot>(row);
    for (std::size_t i = 0; i < left; ++i) {
        slots[i] += first;
        for (const Buffer* terms : {&add_, &scale_, &error_})
            kernels::prefetch(terms->as<float>() + slots[i]);
        kernels::prefetch_range(codes_.data() + std::size_t{slots[i]} * stride_, stride_);
    }
    return left;
}

std::size_t BoundCodes::recheck(const QueryBlock& block, float threshold, std::size_t n,
                                Slot* slots, float* bounds) const {
    std::int32_t dots[max_scan];
    kernels::kernels().dot_u8_gather(block.codes.as<std::int8_t>(), codes_.as<std::uint8_t>(),
                                     slots, n, stride_, stride_, dots);
    const kernels::BoundQuery& terms = block.terms[0];
    std::size_t found = 0;
    for (std::size_t i = 0; i < n; ++i) {
        const Slot row = slots[i];
        const auto dot = static_cast<float>(dots[i] - terms.shift);
        bounds[found] = add_.as<float>()[row] - scale_.as<float>()[row] * terms.a * dot -
                        error_.as<float>()[row] * terms.b - terms.c;
        slots[found] = row;
        found += bounds[found] <= threshold;
    }
    return found;
}

void BoundCodes::scan(const QueryBlock& block, Slot first, std::size_t n, Scratch& scratch) const {
    const kernels::Kernels& table = kernels::kernels();
    scratch.panels.resize(kernels::panel_elements(kernels::Scalar::u8, max_scan, dim_));
    scratch.dots.resize(block.n * max_scan * sizeof(std::int32_t));
    table.pack_u8(codes_.data() + std::size_t{first} * stride_, n, stride_, stride_,
                  scratch.panels.data());
    table.tile_i8(block.codes.as<std::int8_t>(), block.n, code_dim_,
                  scratch.panels.as<std::uint8_t>(), n, stride_, scratch.dots.as<std::int32_t>(),
                  max_scan);
}

std::size_t BoundCodes::select(const QueryBlock& block, const Scratch& scratch, std::size_t i,
                               Slot first, std::size_t n, float threshold, Slot* slots,
                               float* bounds) const {
    return pick(scratch.dots.as<std::int32_t>() + i * max_scan, block.terms[i], first, n, threshold,
                slots, bounds);
}

}  // namespace nearfield
