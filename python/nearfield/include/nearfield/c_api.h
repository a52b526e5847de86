/* nearfield from C, C++ and Cython, without the GIL.
 *
 * Compile with -I of nearfield.get_include(); there is nothing to link. Call nearfield_import() once
 * when your module is imported, with the GIL held; then every function of `nearfield_c` but
 * open_index may be called from any thread without it. From Cython: `from nearfield cimport cy`.
 */
#ifndef NEARFIELD_C_API_H
#define NEARFIELD_C_API_H

#include <Python.h>

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Grows when a function or a struct changes; functions added at the end make the table longer. */
#define NEARFIELD_API_VERSION 1
#define NEARFIELD_API_CAPSULE "nearfield._core._c_api"

/* An opened index, alive as long as the Python object it was got from. */
typedef struct nearfield_index nearfield_index;

/* Zeros are the defaults, except for k. */
typedef struct {
    size_t k;             /* neighbors a query, at least 1 */
    size_t effort;        /* ef_search (at least k) or nprobe, whichever the index has; 0: its own */
    int threads;          /* 0: all */
    const int64_t* allow; /* ids that may be results; NULL: all */
    size_t n_allow;
} nearfield_search_params;

typedef struct {
    uint32_t version; /* NEARFIELD_API_VERSION of the installed nearfield */
    uint32_t size;    /* bytes of this struct there */
    const char* release;

    /* Distances from query (dim,) to n rows of dim floats, `stride` floats apart; smaller is nearer:
     * the squared Euclidean one; -q.x; and 1 - cos, 1 where either has norm 0. They cannot fail. */
    void (*l2sq)(const float* query, const float* rows, size_t n, size_t dim, size_t stride,
                 float* distances);
    void (*dot)(const float* query, const float* rows, size_t n, size_t dim, size_t stride,
                float* distances);
    void (*cosine)(const float* query, const float* rows, size_t n, size_t dim, size_t stride,
                   float* distances);

    /* Places of the k smallest of n < 2^32 distances, ascending, ties by place. Where n < k the rest
     * is -1 and +inf; NaN is never among them. Returns how many were found, -1 on error. */
    ptrdiff_t (*top_k)(const float* distances, size_t n, size_t k, int64_t* places, float* nearest);

    /* With the GIL: the index behind a nearfield.Index (Flat, HNSW, IVFPQ) with int ids. Returns NULL
     * with a Python error set if it is none. The caller keeps the Python object. */
    const nearfield_index* (*open_index)(PyObject* index);
    size_t (*index_dim)(const nearfield_index* index);
    size_t (*index_size)(const nearfield_index* index);
    /* ids and distances (n_queries, k), nearest first, padded with -1 and +inf. Returns 0, or -1 with
     * the reason in last_error(). Waits while the index is being changed; does not hear Ctrl-C. */
    int (*search)(const nearfield_index* index, const float* queries, size_t n_queries,
                  const nearfield_search_params* params, int64_t* ids, float* distances);
    /* Why the last call on this thread that returned -1 did so; valid until its next call. */
    const char* (*last_error)(void);
} nearfield_api;

static const nearfield_api* nearfield_c = NULL;

/* With the GIL: 0, or -1 with ImportError set. */
static inline int nearfield_import(void) {
    const nearfield_api* found =
        (const nearfield_api*)PyCapsule_Import(NEARFIELD_API_CAPSULE, 0);
    if (found == NULL) {
        if (!PyErr_ExceptionMatches(PyExc_ImportError)) {
            PyErr_Clear();
            PyErr_SetString(PyExc_ImportError,
                            "the installed nearfield has no C API; install the one that this module "
                            "was compiled with");
        }
        return -1;
    }
    if (found->version != NEARFIELD_API_VERSION || found->size < sizeof(nearfield_api)) {
        PyErr_Format(PyExc_ImportError,
                     "this module was compiled for version %u of nearfield's C API (%u bytes), and "
                     "nearfield %s has version %u (%u bytes): compile it again, or install the "
                     "nearfield that it was compiled with",
                     (unsigned)NEARFIELD_API_VERSION, (unsigned)sizeof(nearfield_api),
                     found->release, (unsigned)found->version, (unsigned)found->size);
        return -1;
    }
    nearfield_c = found;
    return 0;
}

#ifdef __cplusplus
}
#endif

#endif
