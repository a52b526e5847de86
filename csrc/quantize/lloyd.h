// Lloyd's iterations from given centroids.
#pragma once

#include <cstddef>
#include <vector>

#include "quantize/kmeans.h"
#include "quantize/nearest_centroid.h"
#include "quantize/progress.h"

namespace nearfield {

struct Clustering {
    std::vector<float> centroids;  // (k, dim)
    std::vector<Slot> slots;       // the nearest centroid of each row
    double inertia = 0;
    int iterations = 0;
};

/// Work of lloyd in row-centroid pairs, for Progress.
double lloyd_work(std::size_t rows, std::size_t k, int max_iterations);

/// Improves `centroids` (k, dim) until the inertia stops falling or params.max_iterations. Ends
/// with an assignment, so slots and inertia belong to the centroids returned.
Clustering lloyd(const RowSet& rows, std::vector<float> centroids, const KMeansParams& params,
                 Progress& progress);

/// The mean of some of the rows (at norm 1 under cosine): a good origin for codes.
std::vector<float> mean_row(const RowSet& rows, kernels::Metric metric);

}  // namespace nearfield
