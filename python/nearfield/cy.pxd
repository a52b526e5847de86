# cython: language_level=3
"""nearfield from Cython: `from nearfield cimport cy`, then call cy.import_nearfield() once.

Compile with the include folder `nearfield.get_include()`. The rules are in nearfield/c_api.h.
"""

from libc.stddef cimport ptrdiff_t
from libc.stdint cimport int64_t, uint32_t


cdef extern from "nearfield/c_api.h" nogil:
    const int API_VERSION "NEARFIELD_API_VERSION"

    ctypedef struct index_t "nearfield_index":
        pass

    ctypedef struct search_params "nearfield_search_params":
        size_t k
        size_t effort
        int threads
        const int64_t* allow
        size_t n_allow

    ctypedef struct nearfield_api:
        uint32_t version
        const char* release
        void l2sq(const float* query, const float* rows, size_t n, size_t dim, size_t stride,
                  float* distances) noexcept nogil
        void dot(const float* query, const float* rows, size_t n, size_t dim, size_t stride,
                 float* distances) noexcept nogil
        void cosine(const float* query, const float* rows, size_t n, size_t dim, size_t stride,
                    float* distances) noexcept nogil
        ptrdiff_t top_k(const float* distances, size_t n, size_t k, int64_t* places,
                        float* nearest) noexcept nogil
        size_t index_dim(const index_t* index) noexcept nogil
        size_t index_size(const index_t* index) noexcept nogil
        int search(const index_t* index, const float* queries, size_t n_queries,
                   const search_params* params, int64_t* ids, float* distances) noexcept nogil
        const char* last_error() noexcept nogil

    const nearfield_api* api "nearfield_c"


cdef extern from "nearfield/c_api.h":
    int import_nearfield "nearfield_import"() except -1
    const index_t* open_index "nearfield_c->open_index"(object index) except NULL
