# cython: language_level=3, boundscheck=False, wraparound=False
"""An extension of somebody else's that searches and measures without the GIL."""

import numpy as np

from libc.stdint cimport int64_t

from nearfield cimport cy

cy.import_nearfield()


def release():
    """Version of nearfield, as its C API tells it."""
    return cy.api.release.decode()


def distances(str metric, const float[::1] query, const float[:, ::1] rows):
    """Distances of a query to rows, (n,)."""
    out = np.empty(rows.shape[0], np.float32)
    cdef float[::1] view = out
    cdef size_t n = rows.shape[0], dim = rows.shape[1]
    if query.shape[0] != rows.shape[1]:
        raise ValueError("query and rows must have one dim")
    if metric not in ("l2", "dot", "cosine"):
        raise ValueError(f"metric must be 'l2', 'dot' or 'cosine', got {metric!r}")
    cdef int which = ("l2", "dot", "cosine").index(metric)
    if n and dim:
        with nogil:
            if which == 0:
                cy.api.l2sq(&query[0], &rows[0, 0], n, dim, dim, &view[0])
            elif which == 1:
                cy.api.dot(&query[0], &rows[0, 0], n, dim, dim, &view[0])
            else:
                cy.api.cosine(&query[0], &rows[0, 0], n, dim, dim, &view[0])
    return out


def smallest(const float[::1] values, size_t k):
    """Places and values of the k smallest, (k,) each."""
    places, nearest = np.empty(max(k, 1), np.int64), np.empty(max(k, 1), np.float32)
    cdef int64_t[::1] places_view = places
    cdef float[::1] nearest_view = nearest
    cdef const float* first = &values[0] if values.shape[0] else NULL
    cdef Py_ssize_t found
    with nogil:
        found = cy.api.top_k(first, values.shape[0], k, &places_view[0], &nearest_view[0])
    if found < 0:
        raise ValueError(cy.api.last_error().decode())
    return places, nearest


def nearest(index, const float[:, ::1] queries, size_t k, size_t effort=0, allow=None):
    """Search an index for many queries, one call each, with the GIL released throughout."""
    cdef const cy.index_t* opened = cy.open_index(index)
    cdef cy.search_params params
    cdef const int64_t[::1] allowed
    cdef Py_ssize_t i
    cdef int failed = 0
    if <size_t>queries.shape[1] != cy.api.index_dim(opened):
        raise ValueError("queries must have the dim of the index")
    params.k, params.effort, params.threads = k, effort, 1
    params.allow = NULL
    if allow is not None:
        allowed = np.ascontiguousarray(allow, np.int64)
        params.allow = &allowed[0]
        params.n_allow = allowed.shape[0]
    ids = np.empty((queries.shape[0], k), np.int64)
    found = np.empty((queries.shape[0], k), np.float32)
    cdef int64_t[:, ::1] ids_view = ids
    cdef float[:, ::1] found_view = found
    with nogil:
        for i in range(queries.shape[0]):
            failed = cy.api.search(
                opened, &queries[i, 0], 1, &params, &ids_view[i, 0], &found_view[i, 0]
            )
            if failed:
                break
    if failed:
        raise ValueError(cy.api.last_error().decode())
    return ids, found


def size(index):
    """Vectors in an index."""
    return cy.api.index_size(cy.open_index(index))
