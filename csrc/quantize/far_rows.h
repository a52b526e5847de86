// Vectors so far away from all others that what is learned from them would tell nothing of these.
#pragma once

#include <cstddef>
#include <vector>

#include "core/types.h"
#include "quantize/frame.h"

namespace nearfield {

/// The rows without a few that are far away from all others, in `copies` where there are such: one
/// row of 10,000 times the length in a hundred would be all that means and steps of codes show. At
/// least `least` are left.
MatrixView without_far(const MatrixView& rows, std::size_t least, std::vector<float>& copies);

/// Trains a frame on rows, those without far ones of `all`, so that squared norms of all can be
/// written as float16, or of as many as can beside those of the rows.
void train_frame(Frame& frame, const MatrixView& rows, const MatrixView& all);

}  // namespace nearfield
