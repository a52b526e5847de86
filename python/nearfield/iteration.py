"""Search without saying how many: the nearest, then the next nearest, as long as one asks."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nearfield import _core
from nearfield.index import Neighbors

if TYPE_CHECKING:
    from nearfield.hnsw import HNSW

__all__ = ["SearchIterator"]


class SearchIterator(Iterator[Neighbors]):
    """Pages of neighbors, nearest first; made by `index.iter_search`.

    A page goes on from where the walk for the last one stopped. Each vector comes once. Pages
    follow one another about by distance: what an approximate search overlooked comes later than it
    should, but comes.
    """

    def __init__(
        self, index: "HNSW", query: NDArray[np.float32], k: int, filter: Any, ef_search: int
    ) -> None:
        self._index = index
        self._k = k
        self._names = index._strings.names if index._strings is not None else None
        ready = None if filter is None else index.prepare(filter)
        self._pages = _core.HnswPages(index._core, query, ready, ef_search)

    def __next__(self) -> Neighbors:
        """Give the next page, shorter at the end.

        Raises
        ------
        StopIteration
            When every vector has been given.
        RuntimeError
            If the index has changed since the iterator was made.
        """
        ids, distances = self._pages.next(self._k)
        if ids.size == 0:
            raise StopIteration
        return Neighbors(self._index._named(ids, self._names), distances)
