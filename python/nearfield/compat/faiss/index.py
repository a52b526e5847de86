"""`Index`: what faiss's indexes have in common."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearfield.compat.damage import told_as_runtime_error
from nearfield.compat.faiss.names import METRIC_INNER_PRODUCT, METRIC_L2, native_metric
from nearfield.compat.faiss.parameters import SearchParameters
from nearfield.compat.faiss.selectors import as_selector
from nearfield.index import Neighbors, RangeNeighbors

__all__ = ["Index", "Mask", "Matrix", "as_matrix", "measured"]

Matrix = NDArray[np.float32]
Mask = NDArray[np.bool_]
Found = tuple[NDArray[np.float32], NDArray[np.int64]]

_FARTHEST = np.finfo(np.float32).max
_QUERIES_A_TIME = 256


def as_matrix(x: Any, d: int) -> Matrix:
    """Rows as float32. AssertionError for another width, ValueError unless 2-D."""
    _, width = x.shape
    if width != d:
        raise AssertionError(f"x must have {d} columns, got {width}")
    return np.ascontiguousarray(x, dtype=np.float32)


def measured(
    fetch: Callable[[NDArray[np.int64]], Matrix],
    metric_type: int,
    rows: Matrix,
    candidates: NDArray[np.int64],
    k: int,
) -> Neighbors:
    """Rank candidates (nq, m) by their vectors, a few queries at a time; -1 is none."""
    distances = np.full(candidates.shape, np.inf, np.float32)
    for begin in range(0, len(rows), _QUERIES_A_TIME):
        part = slice(begin, begin + _QUERIES_A_TIME)
        held = candidates[part] >= 0
        vectors = np.zeros((*held.shape, rows.shape[1]), np.float32)
        vectors[held] = fetch(candidates[part][held])
        if metric_type == METRIC_INNER_PRODUCT:
            exact = -np.einsum("ijk,ik->ij", vectors, rows[part])
        else:
            vectors -= rows[part][:, None]
            exact = np.einsum("ijk,ijk->ij", vectors, vectors)
        distances[part] = np.where(held, exact, np.inf)
    order = np.lexsort((candidates, distances), axis=1)[:, :k]
    return Neighbors(
        np.take_along_axis(candidates, order, axis=1), np.take_along_axis(distances, order, axis=1)
    )


class Index:
    """What faiss's indexes can do; make one of its kinds.

    Arrays are (n, d) float32. Distances are squared Euclidean, nearest first, or inner products,
    largest first. Where there are fewer than k results, ids are -1 and distances the largest (or
    lowest) float32, as in faiss. Unlike faiss, NaN and infinity are refused (RuntimeError).
    """

    d: int = 0
    """Dimensions of a vector."""
    metric_type: int = METRIC_L2
    metric_arg: float = 0.0
    is_trained: bool = True
    verbose: bool = False
    own_fields: bool = False
    thisown: bool = True
    referenced_objects: Any = None

    def __init__(self, d: int, metric: int = METRIC_L2) -> None:
        self.d = int(d)
        if self.d < 1:
            raise RuntimeError(f"d must be at least 1, got {d}")
        native_metric(metric)
        self.metric_type = metric

    def __setattr__(self, name: str, value: Any) -> None:
        if not name.startswith("_") and not hasattr(type(self), name):
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}.")
        object.__setattr__(self, name, value)

    @property
    def ntotal(self) -> int:
        """Vectors held."""
        raise NotImplementedError

    def train(self, x: Any, **_: Any) -> None:
        """Learn from vectors (n, d), where the kind has anything to learn."""
        with told_as_runtime_error():
            self._train(as_matrix(x, self.d))

    def add(self, x: Any, **_: Any) -> None:
        """Add vectors (n, d) under the next ids."""
        rows = as_matrix(x, self.d)
        self._require_trained()
        with told_as_runtime_error():
            self._add(rows, None)

    def add_with_ids(self, x: Any, ids: Any, **_: Any) -> None:
        """Add vectors (n, d) under ids (n,), for kinds that keep ids. They must be distinct."""
        rows = as_matrix(x, self.d)
        if np.shape(ids) != (len(rows),):
            raise AssertionError("not same nb of vectors as ids")
        self._require_trained()
        with told_as_runtime_error():
            self._add(rows, np.ascontiguousarray(ids, dtype="int64"))

    def search(
        self,
        x: Any,
        k: int,
        *,
        params: SearchParameters | None = None,
        D: NDArray[np.float32] | None = None,
        I: NDArray[np.int64] | None = None,  # noqa: E741 (faiss's name)
        **_: Any,
    ) -> Found:
        """Find the k nearest vectors of each query.

        Parameters
        ----------
        x : ndarray, shape (nq, d)
        k : int, at least 1
        params : SearchParameters, optional
            Settings for this search, and which ids may be results.
        D, I : ndarray, shape (nq, k), optional
            Where to write the results.

        Returns
        -------
        D : ndarray, shape (nq, k), float32
        I : ndarray, shape (nq, k), int64

        Raises
        ------
        AssertionError
            If x has another width, or k < 1.
        RuntimeError
            If the index is not trained, a value is not finite, or `params` are of another kind.
        """
        rows = as_matrix(x, self.d)
        if k <= 0:
            raise AssertionError(f"k must be at least 1, got {k}")
        for given in (D, I):
            if given is not None and given.shape != (len(rows), k):
                raise AssertionError(f"D and I must have shape ({len(rows)}, {k})")
        self._require_trained()
        with told_as_runtime_error():
            distances, ids = self._search(rows, int(k), params, self._allowed(params))
        if D is not None:
            D[...] = distances
            distances = D
        if I is not None:
            I[...] = ids
            ids = I
        return distances, ids

    def range_search(
        self, x: Any, thresh: float, *, params: SearchParameters | None = None
    ) -> tuple[NDArray[np.uint64], NDArray[np.float32], NDArray[np.int64]]:
        """Find every vector nearer than `thresh`, or with a larger product.

        Returns
        -------
        lims, D, I : ndarray
            Query i has entries lims[i]..lims[i + 1], nearest first.
        """
        rows = as_matrix(x, self.d)
        self._require_trained()
        with told_as_runtime_error():
            found = self._range(rows, float(thresh), params, self._allowed(params))
        lims = found.lims.astype(np.uint64)
        return lims, found.distances, found.ids

    def assign(self, x: Any, k: int, labels: NDArray[np.int64] | None = None) -> NDArray[np.int64]:
        """Give the ids of the k nearest vectors, (nq, k)."""
        return self.search(x, k, I=labels)[1]

    def search_and_reconstruct(
        self, x: Any, k: int, *, params: SearchParameters | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.int64], Matrix]:
        """Search, and give the vectors found, (nq, k, d); NaN where there are fewer."""
        distances, ids = self.search(x, k, params=params)
        vectors = np.full((*ids.shape, self.d), np.nan, np.float32)
        held = ids >= 0
        if held.any():
            vectors[held] = self.reconstruct_batch(ids[held])
        return distances, ids, vectors

    def reconstruct(self, key: int, x: Matrix | None = None) -> Matrix:
        """Give the vector of an id, as it is stored. RuntimeError for one that is not held."""
        found: Matrix = self.reconstruct_batch(np.array([key], np.int64))[0]
        if x is not None:
            x[...] = found
            return x
        return found

    def reconstruct_batch(self, key: Any, x: Matrix | None = None) -> Matrix:
        """Give the vectors of ids (n,), as they are stored."""
        try:
            found = self._get(np.ascontiguousarray(key, dtype="int64"))
        except KeyError as error:
            raise RuntimeError(str(error)) from None
        if x is not None:
            x[...] = found
            return x
        return found

    def reconstruct_n(self, n0: int = 0, ni: int = -1, x: Matrix | None = None) -> Matrix:
        """Give the vectors of ids n0, n0 + 1, ..., `ni` of them or all."""
        count = self.ntotal - n0 if ni == -1 else ni
        return self.reconstruct_batch(np.arange(n0, n0 + count), x)

    def remove_ids(self, x: Any) -> int:
        """Remove ids (n,), or those an `IDSelector` takes; gives how many there were."""
        mask = as_selector(x).mask(self._ids())
        self._remove(mask)
        return int(mask.sum())

    def reset(self) -> None:
        """Remove all vectors; what was learned stays."""
        raise NotImplementedError

    def merge_from(self, other: Any, add_id: int = 0) -> None:
        """Take over all vectors of another index, which is empty then."""
        if type(other) is not type(self) or other.d != self.d:
            raise RuntimeError("indexes must be of the same kind and d to be merged")
        keeps = self._keeps_ids()
        ids = other._ids() + add_id
        with told_as_runtime_error():
            self._add(other._get(other._ids()), ids if keeps else None)
        other.reset()

    # What a kind implements, on checked input.

    def _train(self, rows: Matrix) -> None:
        """Nothing to learn, by default."""

    def _add(self, rows: Matrix, ids: NDArray[np.int64] | None) -> None:
        raise NotImplementedError

    def _search(self, rows: Matrix, k: int, params: Any, allowed: Mask | None) -> Found:
        raise NotImplementedError

    def _range(
        self, rows: Matrix, radius: float, params: Any, allowed: Mask | None
    ) -> RangeNeighbors:
        raise RuntimeError("range search not implemented for this type of index")

    def _get(self, ids: NDArray[np.int64]) -> Matrix:
        raise RuntimeError("reconstruct not implemented for this type of index")

    def _remove(self, mask: Mask) -> None:
        raise RuntimeError("remove_ids not implemented for this type of index")

    def _ids(self) -> NDArray[np.int64]:
        """Ids held, in the order of masks."""
        return np.arange(self.ntotal)

    def _keeps_ids(self) -> bool:
        return False

    def _allowed(self, params: SearchParameters | None) -> Mask | None:
        if params is None or params.sel is None:
            return None
        return params.sel.mask(self._ids())

    def _require_trained(self) -> None:
        if not self.is_trained:
            raise RuntimeError("Error: 'is_trained' failed; call train() first")

    def _as_found(self, hits: Neighbors) -> Found:
        """Our answer with faiss's signs and padding."""
        ids, distances = hits
        if self.metric_type == METRIC_INNER_PRODUCT:
            np.negative(distances, out=distances)
        if ids.size and ids[:, -1].min() < 0:
            lost = _FARTHEST if self.metric_type == METRIC_L2 else -_FARTHEST
            distances[np.isinf(distances)] = lost
        return distances, ids

    def _as_range(self, found: RangeNeighbors, radius: float) -> RangeNeighbors:
        """Without those exactly at the radius, with faiss's signs."""
        distances = found.distances
        limit = np.float32(-radius if self.metric_type == METRIC_INNER_PRODUCT else radius)
        inside = distances < limit
        before = np.concatenate([[0], np.cumsum(inside)])
        distances = distances[inside]
        if self.metric_type == METRIC_INNER_PRODUCT:
            distances = -distances
        return RangeNeighbors(before[found.lims], found.ids[inside], distances)
