"""Approximate search by walking a graph."""

from typing import Any

from numpy.typing import ArrayLike

from nearfield import _core
from nearfield.index import Index, Neighbors, RangeNeighbors

__all__ = ["HNSW"]

_MAX_EF = 65_536


class HNSW(Index):
    """Walk a graph of low-bit codes to the neighborhood of a query, then rank by the vectors.

    Parameters
    ----------
    dim : int, in 1..65536
        Dimensions of a vector.
    metric : {"cosine", "dot", "l2"}, default "cosine"
        Distance: 1 - cos, -q.x, or the squared Euclidean one.
    M : int, in 4..128, default 16
        A vector has up to 2 M links. More find more at high recall, cost 16 M bytes a vector, and
        slow down searches at low recall.
    ef_construction : int, in 1..65536, default 200
        Candidates kept while a vector's links are chosen; more makes a better graph, slower.
    ef_search : int, in 1..65536, default 64
        Candidates kept while searching, where `search` is not given its own.
    bits : {1, 2, 4, 8}, default 4
        Bits a dimension of the codes that are walked on: dim * bits / 8 bytes a vector.
    rerank : {"float16", "float32", "bfloat16", "int8"}, default "float16"
        How vectors are stored; distances returned are exact for what is stored.
    seed : int, default 0
        The same vectors, calls, parameters and seed give the same index, whatever the number of
        threads.

    Notes
    -----
    Vectors added at once build a whole graph by comparing clusters of rows as matrices, then refine
    it by searching; later additions search it one by one. Removed vectors are walked through until
    a tenth is dead, then links are made round them. Below 256 vectors all are measured.

    Any number of threads may search at once; a change has the index to itself.

    References
    ----------
    .. [1] Malkov & Yashunin, arXiv:1603.09320. [2] Gao & Long, RaBitQ, SIGMOD 2024. [3] Subramanya
       et al., DiskANN, NeurIPS 2019.

    Examples
    --------
    >>> import nearfield as nf, numpy as np
    >>> vectors = np.random.default_rng(0).standard_normal((2000, 32), dtype=np.float32)
    >>> index = nf.HNSW(dim=32, metric="l2")
    >>> ids = index.add(vectors)
    >>> index.search(vectors[7], k=1).ids
    array([7])
    """

    _SAVED_PARAMS = ("dim", "metric", "M", "ef_construction", "bits", "rerank", "seed")

    def __init__(
        self,
        dim: int,
        metric: str = "cosine",
        M: int = 16,
        ef_construction: int = 200,
        *,
        ef_search: int = 64,
        bits: int = 4,
        rerank: str = "float16",
        seed: int = 0,
    ) -> None:
        self._core: _core.HnswIndex
        super().__init__(
            _core.HnswIndex(dim, metric, M, ef_construction, ef_search, bits, rerank, seed)
        )
        self._params = {
            "dim": dim, "metric": metric, "M": M, "ef_construction": ef_construction,
            "bits": bits, "rerank": rerank, "seed": seed,
        }  # fmt: skip

    @property
    def ef_search(self) -> int:
        """Candidates kept while searching, where `search` is not given its own; may be set."""
        return self._core.ef_search

    @ef_search.setter
    def ef_search(self, ef_search: int) -> None:
        self._core.ef_search = ef_search

    def search(
        self,
        queries: ArrayLike,
        k: int = 10,
        *,
        ef_search: int | None = None,
        filter: Any = None,
        threads: int = 0,
    ) -> Neighbors:
        """Find about the k nearest vectors of each query.

        Parameters
        ----------
        queries : array_like, shape (nq, dim) or (dim,)
            Any float or integer array; float32 in C order is not copied. Many at once are faster
            than one by one: a thread works on several while memory answers.
        k : int, at least 1, default 10
            May exceed the number of vectors.
        ef_search : int, in k..65536, optional
            Candidates kept while searching; more is slower and more exact. None takes the index's
            own, or 1.5 k where that is more.
        filter : optional
            Ids that may be results, a bool mask over rows in the order of `ids`, or `exclude(ids)`.
            The beam is widened by the share let in; where few are let in, or few are found, all of
            them are measured, so there are always min(k, allowed) results.
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
            If queries have another dim, hold NaN or infinity, k < 1, or ef_search < k.

        Notes
        -----
        About ef_search * M distances per query. Thread-safe beside other searches; waits while the
        index is being changed.
        """
        return self._search(queries, k, filter, threads, ef_search=_as_ef(ef_search))

    def range_search(
        self,
        queries: ArrayLike,
        radius: float,
        *,
        ef_search: int | None = None,
        filter: Any = None,
        threads: int = 0,
    ) -> RangeNeighbors:
        """Find about all vectors at distance <= radius of each query.

        The beam is widened until most of it lies outside the radius; where that would take longer
        than measuring all vectors, all are measured.

        Parameters
        ----------
        queries : array_like, shape (nq, dim) or (dim,)
        radius : float
            In the units of the metric's distance.
        ef_search, filter, threads
            As for `search`; ef_search is where widening begins.

        Returns
        -------
        RangeNeighbors
            lims (nq + 1,), ids and distances (lims[-1],): query i has entries lims[i]..lims[i + 1].

        Raises
        ------
        ValueError
            If queries have another dim or hold NaN or infinity, or radius is NaN.
        """
        return self._range_search(queries, radius, filter, threads, ef_search=_as_ef(ef_search))

    def count_work(
        self, queries: ArrayLike, k: int = 10, *, ef_search: int | None = None, filter: Any = None
    ) -> dict[str, float]:
        """Tell what a search costs, as means over its queries.

        Returns
        -------
        dict
            "distances" (on codes or vectors), "exact_distances" (on vectors), "hops" (nodes
            expanded), "bytes" (of codes, links and vectors read).
        """
        return self._count(queries, k, filter, ef_search=_as_ef(ef_search))


def _as_ef(ef_search: int | None) -> int:
    if ef_search is None:
        return 0
    if not 1 <= ef_search <= _MAX_EF:
        raise ValueError(f"ef_search must be in 1..{_MAX_EF}, got {ef_search}")
    return ef_search
