"""Exact search."""

from typing import Any

from numpy.typing import ArrayLike

from nearfield import _core
from nearfield.index import Index, Neighbors, RangeNeighbors

__all__ = ["Flat"]


class Flat(Index):
    """Compare every query with every vector: exact, and the yardstick of the other indexes.

    Parameters
    ----------
    dim : int, in 1..65536
        Dimensions of a vector.
    metric : {"cosine", "dot", "l2"}, default "cosine"
        Distance: 1 - cos, -q.x, or the squared Euclidean one.
    dtype : {"float32", "float16", "bfloat16", "int8"}, default "float32"
        How vectors are stored; answers are exact for what is stored. int8 keeps rows of integers in
        -127..127 as they are and scales others by max|x| / 127.
    prefilter : bool or None, default None
        Whether to keep 8-bit codes (dim + 12 bytes a vector) and scan them first: every code gives
        a proven lower bound on its distance, and only rows whose bound beats the k-th distance are
        measured, so answers stay exact at a quarter of the bytes read. None makes them once the
        vectors take 4 MiB and dim is at least 48. Only for float32.

    Notes
    -----
    Search is O(n * dim) per query. Ties go to the vector added first. Any number of threads may
    search at once; a change has the index to itself.

    Examples
    --------
    >>> import nearfield as nf, numpy as np
    >>> index = nf.Flat(dim=3, metric="cosine")
    >>> index.add(np.eye(3, dtype=np.float32), ids=["x", "y", "z"])
    array(['x', 'y', 'z'], dtype=object)
    >>> index.search([0.9, 0.1, 0.0], k=2).ids
    array(['x', 'y'], dtype=object)
    """

    def __init__(
        self,
        dim: int,
        metric: str = "cosine",
        dtype: str = "float32",
        *,
        prefilter: bool | None = None,
    ) -> None:
        super().__init__(_core.FlatIndex(dim, metric, dtype, prefilter))
        self._params = {"dim": dim, "metric": metric, "dtype": dtype, "prefilter": prefilter}

    @classmethod
    def _from_core(cls, core: _core.Index, fields: dict[str, Any]) -> "Flat":
        index = cls.__new__(cls)
        Index.__init__(index, core)
        prefilter = {"automatic": None, "on": True, "off": False}[fields["prefilter"]]
        index._params = {
            "dim": core.dim, "metric": core.metric,
            "dtype": fields["dtype"], "prefilter": prefilter,
        }  # fmt: skip
        return index

    def search(
        self, queries: ArrayLike, k: int = 10, *, filter: Any = None, threads: int = 0
    ) -> Neighbors:
        """Find the k nearest vectors of each query.

        Parameters
        ----------
        queries : array_like, shape (nq, dim) or (dim,)
            Any float or integer array; float32 in C order is not copied.
        k : int, in 1..2**24, default 10
            May exceed the number of vectors.
        filter : optional
            Ids that may be results, a bool mask over rows in the order of `ids`, or `exclude(ids)`.
        threads : int, default 0
            0 means all.

        Returns
        -------
        Neighbors
            ids (nq, k) and distances (nq, k) float32, nearest first; -1 (None for string ids) and
            +inf where fewer exist. 1-D for a 1-D query.

        Raises
        ------
        ValueError
            If queries have another dim, hold NaN or infinity, or k < 1.

        Notes
        -----
        Thread-safe beside other searches; waits while the index is being changed.
        """
        return self._search(queries, k, filter, threads)

    def range_search(
        self, queries: ArrayLike, radius: float, *, filter: Any = None, threads: int = 0
    ) -> RangeNeighbors:
        """Find all vectors at distance <= radius of each query.

        Parameters
        ----------
        queries : array_like, shape (nq, dim) or (dim,)
        radius : float
            In the units of the metric's distance.
        filter, threads
            As for `search`.

        Returns
        -------
        RangeNeighbors
            lims (nq + 1,), ids and distances (lims[-1],): query i has entries lims[i]..lims[i + 1].
        """
        return self._range_search(queries, radius, filter, threads)

    def count_work(
        self, queries: ArrayLike, k: int = 10, *, filter: Any = None
    ) -> dict[str, float]:
        """Tell the work of a search per query: distances, exact_distances, hops and bytes."""
        return self._count(queries, k, filter)
