"""Vectors that stay where they are: read piece by piece, or a few at a time to rank by."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nearfield.arrays import as_matrix
from nearfield.ids import as_int_ids, as_names
from nearfield.index import Neighbors
from nearfield.scalars import as_int

__all__ = ["RowSource", "chunks_of"]


def chunks_of(vectors: Any, dim: int, max_memory: int | None) -> Iterator[Any] | None:
    """Give the pieces to add one after the other; None where the whole is to be taken.

    Parameters
    ----------
    vectors : array or iterator of arrays
    dim : int
    max_memory : int or None
        Bytes of a piece as float32.
    """
    if hasattr(vectors, "__next__"):
        pieces: Iterator[Any] = vectors
        return pieces
    if max_memory is None:
        return None
    rows = as_int(max_memory, "max_memory") // (4 * dim)
    if rows < 1:
        raise ValueError(f"max_memory must be at least {4 * dim}, one vector, got {max_memory}")
    return (vectors[i : i + rows] for i in range(0, len(vectors), rows))


class RowSource:
    """Rows by id from an array or a callable, and distances to them.

    Parameters
    ----------
    source : array, shape (n, dim), or callable
        Row i belongs to id i; a callable takes (m,) int64 ids and gives (m, dim).
    dim : int
    metric : str
    """

    def __init__(
        self, source: NDArray[Any] | Callable[[NDArray[np.int64]], ArrayLike], dim: int, metric: str
    ) -> None:
        self.source = source
        self._dim = dim
        self._metric = metric
        self._fetch: Callable[[NDArray[np.int64]], ArrayLike]
        self._length: int | None = None
        if callable(source):
            self._fetch = source
            return
        shape = getattr(source, "shape", None)
        if shape is None:
            kind = type(source).__name__
            raise TypeError(f"rerank_from must be an array or a callable, got {kind}")
        if len(shape) != 2 or shape[1] != dim:
            raise ValueError(f"rerank_from must have shape (n, {dim}), got {shape}")
        as_matrix(source[:1], "rerank_from")  # numbers
        self._length = len(source)
        self._fetch = source.__getitem__

    def check_ids(self, ids: Any) -> None:
        """Raise unless ids can name rows."""
        if ids is None:
            return
        if as_names(ids) is not None:
            raise TypeError("ids must be int with rerank_from, got str")
        if self._length is None:
            return
        keys = as_int_ids(ids)
        outside = (keys < 0) | (keys >= self._length)
        if outside.any():
            raise ValueError(
                f"ids must be rows of rerank_from (0..{self._length - 1}), got {keys[outside][0]}"
            )

    def check_length(self, n: int) -> None:
        """Raise unless an array has a row for each of n vectors and no more."""
        if self._length is not None and self._length != n:
            raise ValueError(
                f"rerank_from must have one row a vector ({n}), got {self._length}; where vectors "
                "were removed, give the __getitem__ of an array of all rows"
            )

    def rank(self, queries: NDArray[np.float32], found: Neighbors, k: int) -> Neighbors:
        """Order the ids found by the exact distances to their rows, and keep k."""
        ids = np.atleast_2d(found.ids)
        asked = np.atleast_2d(queries)
        out = np.full((len(ids), k), -1, np.int64)
        distances = np.full((len(ids), k), np.inf, np.float32)
        for i, row in enumerate(ids):
            held = np.sort(row[row >= 0])  # in order, as a file likes it
            if self._length is not None and len(held) > 0 and held[-1] >= self._length:
                self.check_ids(held)  # it was numbered after a removal
            exact = self._distances(asked[i], held)
            best = np.lexsort((held, exact))[:k]
            out[i, : len(best)] = held[best]
            distances[i, : len(best)] = exact[best]
        if queries.ndim == 1:
            return Neighbors(out[0], distances[0])
        return Neighbors(out, distances)

    def _distances(self, query: NDArray[np.float32], ids: NDArray[np.int64]) -> NDArray[np.float32]:
        rows = np.atleast_2d(as_matrix(self._fetch(ids), "rerank_from"))
        if rows.shape != (len(ids), self._dim):
            raise ValueError(
                f"rerank_from must give shape ({len(ids)}, {self._dim}), got {rows.shape}"
            )
        with np.errstate(all="ignore"):  # such rows are refused
            distances = self._of_rows(query, rows)
        if not np.isfinite(distances).all():
            i = np.flatnonzero(~np.isfinite(distances))[0]
            zero = " and not of norm 0" if self._metric == "cosine" else ""
            raise ValueError(
                f"rerank_from must give rows that are finite{zero}, got {rows[i]} for id {ids[i]}"
            )
        return distances

    def _of_rows(
        self, query: NDArray[np.float32], rows: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        if self._metric == "l2":
            off = rows - query
            return np.einsum("ij,ij->i", off, off)  # type: ignore[no-any-return]
        products = rows @ query
        if self._metric == "dot":
            return -products
        norms = np.linalg.norm(rows, axis=1) * np.linalg.norm(query)
        return np.maximum(0, 1 - products / norms).astype(np.float32)  # type: ignore[no-any-return]
