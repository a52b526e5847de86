"""The nearest neighbours of every vector: what groups, oddities and maps are read from."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nearfield.arrays import as_matrix
from nearfield.flat import Flat
from nearfield.hnsw import HNSW
from nearfield.index import Index
from nearfield.scalars import as_int

__all__ = ["KnnGraph", "check_index", "knn_graph", "rows_of"]

_EXACT = 20_000  # vectors up to which all are compared with all
_BLOCK = 1024


class KnnGraph(NamedTuple):
    """Row i holds the neighbours of vector i, nearest first, itself left out."""

    neighbors: NDArray[np.int64]
    """(n, k) row numbers."""
    distances: NDArray[np.float32]
    """(n, k), by the metric."""


def knn_graph(
    vectors: ArrayLike | Index, k: int = 15, *, metric: str = "cosine", threads: int = 0
) -> KnnGraph:
    """Find the k nearest other vectors of each.

    Parameters
    ----------
    vectors : array_like, shape (n, dim), or Index
        Rows are numbered in their order, or in that of `index.ids`. An index is searched as it
        is; an array gets one: exact up to 20,000 rows, HNSW with ef_search 128 beyond.
    k : int, at least 1, default 15
        At most n - 1.
    metric : str, default "cosine"
        Of an index, its own.
    threads : int, default 0
        0 means all.

    Returns
    -------
    KnnGraph

    Raises
    ------
    ValueError
        If there are fewer than 2 vectors, or k is below 1.
    """
    as_int(k, "k", 1)
    rows, index = _indexed(vectors, metric, threads)
    n = len(rows)
    if n < 2:
        raise ValueError(f"vectors must be at least 2, got {n}")
    k = min(k, n - 1)
    neighbors = np.empty((n, k), dtype=np.int64)
    distances = np.empty((n, k), dtype=np.float32)
    options: dict[str, Any] = {"threads": threads}
    if isinstance(index, HNSW):
        options["ef_search"] = max(128, 2 * k)
    ids = index.ids
    order = np.argsort(ids, kind="stable")
    for start in range(0, n, _BLOCK):
        own = np.arange(start, min(start + _BLOCK, n))
        hits = index.search(rows[own], k + 1, **options)  # type: ignore[attr-defined]
        found = order[np.searchsorted(ids[order], hits.ids)]
        others = found != own[:, None]
        others[others.all(axis=1), -1] = False  # a crowd of equal vectors hid the vector itself
        neighbors[own] = found[others].reshape(-1, k)
        distances[own] = hits.distances[others].reshape(-1, k)
    return KnnGraph(neighbors, distances)


def check_index(index: Any) -> None:
    """Raise TypeError for what is no index."""
    if not isinstance(index, Index):
        raise TypeError(f"index must be an index, such as nf.HNSW, got {type(index).__name__}")


def rows_of(index: Index) -> NDArray[np.float32]:
    """The vectors of an index, in the order of `index.ids`."""
    rows: NDArray[np.float32] = np.asarray(index.get(index.ids), dtype=np.float32)
    return rows


def _indexed(
    vectors: ArrayLike | Index, metric: str, threads: int
) -> tuple[NDArray[np.float32], Index]:
    if isinstance(vectors, Index):
        return rows_of(vectors), vectors
    rows = np.atleast_2d(as_matrix(vectors, "vectors"))
    index: Flat | HNSW
    if len(rows) <= _EXACT:
        index = Flat(rows.shape[1], metric=metric)
    else:
        index = HNSW(rows.shape[1], metric=metric)
    index.add(rows, threads=threads)
    return rows, index
