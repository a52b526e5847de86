#include "index/registry.h"

#include <stdexcept>

#include "core/error.h"
#include "index/flat/flat_index.h"
#include "index/hnsw/hnsw_index.h"
#include "index/ivf/ivf_index.h"

namespace nearfield {
namespace {

struct Kind {
    const char* name;  // as Index::kind gives it
    std::unique_ptr<Index> (*from_state)(StateReader& in);
};

constexpr Kind kinds[] = {
    {"flat", &FlatIndex::from_state},
    {"hnsw", &HnswIndex::from_state},
    {"ivfpq", &IvfIndex::from_state},
};

}  // namespace

std::unique_ptr<Index> index_from_state(const std::string& kind, StateReader& in) {
    std::string known;
    for (const Kind& entry : kinds) {
        if (kind == entry.name) {
            try {
                return entry.from_state(in);
            } catch (const std::invalid_argument& error) {
                // A parameter that the kind's own constructor refuses.
                throw CorruptIndex(error.what(), "fields");
            }
        }
        known += text(known.empty() ? "" : ", ", entry.name);
    }
    throw IncompatibleVersion(
        text("file holds an index of kind ", kind, ", this version has ", known), kind, known, "");
}

}  // namespace nearfield
