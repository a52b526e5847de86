#include "store/vector_store.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <vector>

#include "core/error.h"

namespace nearfield {
namespace {

using kernels::Scalar;

struct DtypeInfo {
    Scalar scalar;
    const char* name;
    std::size_t bytes;
    Element element;
};
constexpr std::array<DtypeInfo, 4> dtypes = {{{Scalar::f32, "float32", 4, Element::f32},
                                              {Scalar::f16, "float16", 2, Element::f16},
                                              {Scalar::bf16, "bfloat16", 2, Element::bf16},
                                              {Scalar::i8, "int8", 1, Element::i8}}};

const DtypeInfo& info(Scalar scalar) {
    return *std::find_if(dtypes.begin(), dtypes.end(),
                         [&](const DtypeInfo& entry) { return entry.scalar == scalar; });
}

/// Rounding must not leave the range of cosine: 1 - q.x of unit vectors is never below 0.
void shift_and_clamp(float offset, std::size_t n, float* distances) {
    for (std::size_t i = 0; i < n; ++i) distances[i] = std::max(0.0f, offset + distances[i]);
}

/// Unit vectors are scored by their dot product, the other metrics by their own kernel.
kernels::Metric kernel_metric(const kernels::MetricInfo& metric) {
    return metric.unit_vectors ? kernels::Metric::dot : metric.metric;
}

class FloatScorer final : public Scorer {
  public:
    FloatScorer(const VectorStore& store, const kernels::MetricInfo& metric)
        : store_(store), metric_(metric) {
        const auto scalar = static_cast<std::size_t>(store.dtype());
        const auto slot = static_cast<std::size_t>(kernel_metric(metric));
        rows_ = kernels::kernels().rows[scalar][slot];
        gather_ = kernels::kernels().gather[scalar][slot];
    }
    void set_query(const float* query) override { query_ = query; }
    void score(const Slot* slots, std::size_t n, float* distances) const override {
        gather_(query_, store_.row(0), slots, n, store_.dim(), store_.stride(), distances);
        if (metric_.unit_vectors) shift_and_clamp(metric_.offset, n, distances);
    }
    void score_rows(Slot first, std::size_t n, float* distances) const override {
        rows_(query_, store_.row(first), n, store_.dim(), store_.stride(), distances);
        if (metric_.unit_vectors) shift_and_clamp(metric_.offset, n, distances);
    }

  private:
    const VectorStore& store_;
    const kernels::MetricInfo& metric_;
    kernels::RowsFn rows_;
    kernels::GatherFn gather_;
    const float* query_ = nullptr;
};

struct RowScale {
    float scale;
    float squared_norm;
};
static_assert(sizeof(RowScale) == VectorStore::scale_bytes);

}  // namespace

/// int8 rows with a scale: |q|^2 + |x|^2 - 2 scale q.c, or offset - scale q.c.
class IntegerScorer final : public Scorer {
  public:
    IntegerScorer(const VectorStore& store, const kernels::MetricInfo& metric)
        : store_(store), metric_(metric), kernels_(kernels::kernels()) {}
    void set_query(const float* query) override {
        query_ = query;
        double norm = 0;
        for (std::size_t j = 0; j < store_.dim(); ++j)
            norm += static_cast<double>(query[j]) * query[j];
        query_norm_ = static_cast<float>(norm);
    }
    void score(const Slot* slots, std::size_t n, float* distances) const override {
        kernels_.dot_f32_i8_gather(query_, store_.row(0), slots, n, store_.dim(), store_.stride(),
                                   distances);
        const auto* scales = store_.scales_.as<RowScale>();
        for (std::size_t i = 0; i < n; ++i) distances[i] = finish(distances[i], scales[slots[i]]);
    }
    void score_rows(Slot first, std::size_t n, float* distances) const override {
        kernels_.dot_f32_i8_rows(query_, store_.row(first), n, store_.dim(), store_.stride(),
                                 distances);
        const auto* scales = store_.scales_.as<RowScale>() + first;
        for (std::size_t i = 0; i < n; ++i) distances[i] = finish(distances[i], scales[i]);
    }

  private:
    float finish(float dot, const RowScale& row) const {
        if (metric_.needs_norm)
            return std::max(0.0f, query_norm_ + row.squared_norm - 2 * row.scale * dot);
        const float distance = metric_.offset - row.scale * dot;
        return metric_.unit_vectors ? std::max(0.0f, distance) : distance;
    }

    const VectorStore& store_;
    const kernels::MetricInfo& metric_;
    const kernels::Kernels& kernels_;
    const float* query_ = nullptr;
    float query_norm_ = 0;
};

Scalar parse_dtype(std::string_view name, const char* argument, bool or_none) {
    for (const auto& entry : dtypes)
        if (name == entry.name) return entry.scalar;
    throw std::invalid_argument(text(argument, " must be ", or_none ? "None or " : "",
                                     "one of 'float32', 'float16', 'bfloat16', 'int8', got '", name,
                                     "'"));
}

const char* dtype_name(Scalar dtype) { return info(dtype).name; }
std::size_t dtype_bytes(Scalar dtype) { return info(dtype).bytes; }

VectorStore::VectorStore(std::size_t dim, Scalar dtype)
    : dim_(dim), stride_(dim * dtype_bytes(dtype)), dtype_(dtype) {}

void VectorStore::resize(std::size_t slots) {
    if (dtype_ == Scalar::i8) scales_.reserve(slots * sizeof(RowScale));
    rows_.resize(slots * stride_);
    if (dtype_ == Scalar::i8) scales_.resize(slots * sizeof(RowScale));
    size_ = slots;
}

void VectorStore::reserve(std::size_t slots) {
    rows_.reserve(slots * stride_);
    if (dtype_ == Scalar::i8) scales_.reserve(slots * sizeof(RowScale));
}

void VectorStore::touch(std::size_t slots) {
    rows_.touch(slots * stride_);
    if (dtype_ == Scalar::i8) scales_.touch(slots * sizeof(RowScale));
}

void VectorStore::put(Slot slot, const float* vector) {
    std::byte* out = rows_.data() + slot * stride_;
    const kernels::Kernels& table = kernels::kernels();
    if (dtype_ == Scalar::f32) {
        std::memcpy(out, vector, stride_);
    } else if (dtype_ == Scalar::f16) {
        table.to_f16(vector, dim_, reinterpret_cast<std::uint16_t*>(out));
    } else if (dtype_ == Scalar::bf16) {
        table.to_bf16(vector, dim_, reinterpret_cast<std::uint16_t*>(out));
    } else {
        float largest = 0;
        bool integers = true;
        for (std::size_t j = 0; j < dim_; ++j) {
            largest = std::max(largest, std::abs(vector[j]));
            integers = integers && vector[j] == std::nearbyint(vector[j]);
        }
        const float scale = (integers && largest <= 127) || largest == 0 ? 1.0f : largest / 127;
        auto* codes = reinterpret_cast<std::int8_t*>(out);
        table.to_i8(vector, dim_, 1 / scale, codes);
        double norm = 0;
        for (std::size_t j = 0; j < dim_; ++j) norm += static_cast<double>(codes[j]) * codes[j];
        scales_.as<RowScale>()[slot] = {scale, static_cast<float>(norm * scale * scale)};
    }
}

void VectorStore::get(Slot slot, float* vector) const {
    const std::byte* in = row(slot);
    const kernels::Kernels& table = kernels::kernels();
    if (dtype_ == Scalar::f32) {
        std::memcpy(vector, in, stride_);
    } else if (dtype_ == Scalar::f16) {
        table.from_f16(reinterpret_cast<const std::uint16_t*>(in), dim_, vector);
    } else if (dtype_ == Scalar::bf16) {
        table.from_bf16(reinterpret_cast<const std::uint16_t*>(in), dim_, vector);
    } else {
        const float scale = scales_.as<RowScale>()[slot].scale;
        const auto* codes = reinterpret_cast<const std::int8_t*>(in);
        for (std::size_t j = 0; j < dim_; ++j) vector[j] = scale * codes[j];
    }
}

void VectorStore::compact(const std::vector<Slot>& old_slots) {
    for (std::size_t slot = 0; slot < old_slots.size(); ++slot)
        if (old_slots[slot] != slot) take(static_cast<Slot>(slot), *this, old_slots[slot]);
    resize(old_slots.size());
    trim();
}

void VectorStore::trim() {
    rows_.trim();
    scales_.trim();
}

void VectorStore::state(StateWriter& out, std::size_t slots) const {
    out.array("vectors.rows", info(dtype_).element, rows_.data(), slots * dim_);
    if (dtype_ == Scalar::i8) out.array("vectors.scales", scales_.as<float>(), 2 * slots);
}

void VectorStore::load(StateReader& in, std::size_t slots) {
    rows_ = in.rows("vectors.rows", info(dtype_).element, slots * dim_);
    if (dtype_ == Scalar::i8) scales_ = in.buffer("vectors.scales", Element::f32, 2 * slots);
    size_ = slots;
}

void VectorStore::reorder(Permutation& order, std::size_t slots) {
    order.apply(rows_.data(), stride_);
    if (dtype_ == Scalar::i8) order.apply(scales_.data(), scale_bytes);
    resize(slots);
    trim();
}

void VectorStore::take(Slot slot, const VectorStore& other, Slot from) {
    std::memcpy(rows_.data() + slot * stride_, other.row(from), stride_);
    if (dtype_ == Scalar::i8) scales_.as<RowScale>()[slot] = other.scales_.as<RowScale>()[from];
}

std::unique_ptr<Scorer> VectorStore::scorer(const kernels::MetricInfo& metric) const {
    if (dtype_ == Scalar::i8) return std::make_unique<IntegerScorer>(*this, metric);
    return std::make_unique<FloatScorer>(*this, metric);
}

}  // namespace nearfield
