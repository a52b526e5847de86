#include "core/error.h"
#include "index/flat/flat_index.h"

namespace nearfield {
namespace {

using Prefilter = FlatParams::Prefilter;
constexpr std::pair<Prefilter, const char*> prefilters[] = {
    {Prefilter::automatic, "automatic"}, {Prefilter::on, "on"}, {Prefilter::off, "off"}};

Prefilter parse_prefilter(const std::string& name) {
    for (const auto& [value, known] : prefilters)
        if (name == known) return value;
    throw CorruptIndex(text("field prefilter must be automatic, on or off, got ", name), "fields");
}

}  // namespace

void FlatIndex::state_rows(StateWriter& out) const {
    out.word("dtype", dtype_name(params_.dtype));
    for (const auto& [value, name] : prefilters)
        if (value == params_.prefilter) out.word("prefilter", name);
    out.number("has_codes", codes_.has_value());
    store_.state(out, rows());
    if (codes_) codes_->state(out, rows());
}

std::unique_ptr<Index> FlatIndex::from_state(StateReader& in) {
    FlatParams params;
    params.dtype = parse_dtype(in.word("dtype"));
    params.prefilter = parse_prefilter(in.word("prefilter"));
    auto index = std::make_unique<FlatIndex>(space_from_state(in), params);
    index->load_ids(in);
    index->store_.load(in, index->rows());
    if (in.number("has_codes", 0, params.dtype == kernels::Scalar::f32) == 1) {
        index->codes_.emplace(index->space_.dim(), index->space_.metric());
        index->codes_->load(in, index->rows());
    }
    return index;
}

}  // namespace nearfield
