"""Search without saying how many: the nearest, then the next nearest, as long as one asks."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nearfield.index import Neighbors

if TYPE_CHECKING:
    from nearfield.hnsw import HNSW

__all__ = ["SearchIterator"]

_AHEAD = 4  # pages found by one search
_MAX_EF = 65_536  # of a call; without one the index takes what it needs


class SearchIterator(Iterator[Neighbors]):
    """Pages of neighbors, nearest first; made by `index.iter_search`.

    Each vector comes once. Pages follow one another about by distance: what an approximate search
    overlooked comes later than it should, but comes.
    """

    def __init__(
        self, index: "HNSW", query: NDArray[np.float32], k: int, filter: Any, ef_search: int
    ) -> None:
        self._index = index
        self._query = query
        self._k = k
        self._filter = None if filter is None else index.prepare(filter)
        self._ef_search = ef_search
        self._version = index._version
        self._left = len(index) if self._filter is None else len(self._filter)
        self._given: NDArray[Any] = np.empty(0, np.int64)
        self._ready = Neighbors(self._given, np.empty(0, np.float32))

    def __next__(self) -> Neighbors:
        """Give the next page, shorter at the end.

        Raises
        ------
        StopIteration
            When every vector has been given.
        RuntimeError
            If the index has changed since the iterator was made.
        """
        if self._index._version != self._version:
            raise RuntimeError("index must not change while it is iterated over; search again")
        wanted = min(self._k, self._left)
        if wanted == 0:
            raise StopIteration
        if len(self._ready.ids) < wanted:
            self._search()
        page = Neighbors(self._ready.ids[:wanted], self._ready.distances[:wanted])
        self._ready = Neighbors(self._ready.ids[wanted:], self._ready.distances[wanted:])
        self._left -= wanted
        return page

    def _search(self) -> None:
        """Search for as many again as there have been: all searches cost twice the last."""
        served = len(self._given) - len(self._ready.ids)
        asked = min(2 * served + _AHEAD * self._k, served + self._left)
        ef = max(self._ef_search, asked)
        hits = self._index.search(
            self._query, asked, ef_search=ef if ef <= _MAX_EF else None, filter=self._filter
        )
        fresh = ~np.isin(hits.ids, self._given[:served]) & np.isfinite(hits.distances)
        self._ready = Neighbors(hits.ids[fresh], hits.distances[fresh])
        self._given = np.concatenate([self._given[:served], self._ready.ids])
