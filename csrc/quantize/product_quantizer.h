// Product quantization: a vector as one of a few centroids in each of m subspaces.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/run.h"
#include "core/types.h"

namespace nearfield {

struct ProductParams {
    std::size_t m = 8;  // subspaces; divides dim
    int bits = 8;       // 4 or 8 bits a subspace
    /// Errors along the vector count so much more than those across it (anisotropic loss, Guo et
    /// al., ICML 2020); 1 counts them alike.
    float parallel_weight = 1;
    int max_iterations = 15;
    std::uint64_t seed = 0;
};

/// Jegou, Douze & Schmid, PAMI 2011. Deterministic for any number of threads. Threads: const calls
/// may run at once; train needs the object to itself.
class ProductQuantizer {
  public:
    /// Throws std::invalid_argument when a parameter is out of range; names the m that divide dim.
    ProductQuantizer(std::size_t dim, const ProductParams& params);

    /// Learns codebooks from rows (n, dim), n >= 2^bits.
    void train(const MatrixView& rows, const Run& run);
    bool trained() const { return !codebooks_.empty(); }

    std::size_t dim() const { return dim_; }
    std::size_t m() const { return params_.m; }
    std::size_t k() const { return std::size_t{1} << params_.bits; }
    int bits() const { return params_.bits; }
    const ProductParams& params() const { return params_; }
    /// (m, k, dim / m)
    const std::vector<float>& codebooks() const { return codebooks_; }
    void set_codebooks(std::vector<float> codebooks);

    /// One byte a subspace: `code` (m,). Where errors along the vector weigh more, its subspaces
    /// are chosen in turn until none changes.
    void encode(const float* vector, std::uint8_t* code) const;
    void decode(const std::uint8_t* code, float* vector) const;

    /// table[j * k + c]: what subspace j with code c adds to the dot product, or to the squared
    /// Euclidean distance, with a query.
    enum class Table : std::uint8_t { dot, squared };
    void table(const float* query, Table kind, float* out) const;

  private:
    std::size_t width() const { return dim_ / params_.m; }
    const float* word(std::size_t j, std::size_t c) const {
        return codebooks_.data() + (j * k() + c) * width();
    }
    void transpose();
    void squared_distances(const float* part, std::size_t j, float* out) const;
    void refit(const MatrixView& rows, const Run& run);
    void weigh(const float* vector, std::uint8_t* code) const;

    std::size_t dim_;
    ProductParams params_;
    std::vector<float> codebooks_;
    std::vector<float> columns_;  // (m, dim / m, k): for many centroids at once
};

}  // namespace nearfield
