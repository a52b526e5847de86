// The list of index kinds.
#pragma once

#include <memory>
#include <string>

#include "core/state.h"
#include "index/index.h"

namespace nearfield {

/// An index of the kind that a file names, from its state. Throws CorruptIndex, or
/// IncompatibleVersion for a kind that this version does not have.
std::unique_ptr<Index> index_from_state(const std::string& kind, StateReader& in);

}  // namespace nearfield
