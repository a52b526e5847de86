"""Approximate search by walking a graph."""

from typing import Any

from numpy.typing import ArrayLike, NDArray

from nearfield import _core
from nearfield.arrays import as_matrix
from nearfield.errors import ResourceLimit
from nearfield.index import Ids, Index, Neighbors, RangeNeighbors
from nearfield.iteration import SearchIterator
from nearfield.progress import Progress, reporting
from nearfield.scalars import as_int

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
        Candidates kept while a vector's links are chosen; more makes a better graph, slower. A
        whole graph compares each vector with the ef_construction / 8 nearest clusters of some 512,
        and from 100 on is refined where searches for its own vectors do not find them.
    ef_search : int, in 1..65536, default 64
        Candidates kept while searching, where `search` is not given its own.
    bits : {1, 2, 4, 8, 16, 32}, optional
        Bits a dimension of the codes that are walked on: dim * bits / 8 bytes a vector. 16 and 32
        make no codes: vectors are walked on, stored as float16 or float32 whatever `rerank` is.
        None takes 4 where these tell near vectors apart, as they do for most embeddings; where
        vectors lie in clusters far from each other it takes 8, or none if those do not either and
        `rerank` is "float16" or "float32". That is tried whenever the graph is built whole.
    code_dim : int, in 0..dim, default 0
        Dimensions that codes keep: those in which the vectors vary most. 0 keeps as few as rank the
        neighbors in a sample well where dim >= 384 and that halves the codes, else all; dim always
        keeps all. Under "dot" all are kept.
    rerank : {"float16", "float32", "bfloat16", "int8", None}, default "float16"
        How vectors are stored; distances returned are exact for what is stored. None keeps no
        vectors beside the codes once there are 4096: answers are ranked by estimates, `get` gives
        what the codes say, and later additions are only ever inserted into the graph, so most
        vectors should come first. Codes of 8 bits lose little by it, of 4 bits some.
    seed : int, default 0
        The same vectors, calls, parameters and seed give the same index, whatever the number of
        threads.
    max_memory : int, optional
        Bytes that the index may take; `add` raises ResourceLimit where more vectors would exceed
        them. Building takes as much again for a while. Not saved with the index.

    Notes
    -----
    Vectors added at once build a whole graph by comparing clusters of rows as matrices and, where
    that leaves walks astray, refine it by searching; later additions search it one by one. Removed
    vectors are walked through until a tenth is dead, then links are made round them. Where a walk
    would take as long, all vectors are measured: below 256, and up to about 20 times ef_search.

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

    _max_memory: int | None = None
    _SAVED_PARAMS = ("dim", "metric", "M", "ef_construction", "bits", "rerank", "seed")

    def __init__(
        self,
        dim: int,
        metric: str = "cosine",
        M: int = 16,
        ef_construction: int = 200,
        *,
        ef_search: int = 64,
        bits: int | None = None,
        code_dim: int = 0,
        rerank: str | None = "float16",
        seed: int = 0,
        max_memory: int | None = None,
    ) -> None:
        self._core: _core.HnswIndex
        super().__init__(
            _core.HnswIndex(
                dim, metric, M, ef_construction, ef_search, bits, code_dim,
                rerank or "none", seed,
            )
        )  # fmt: skip
        rerank = {16: "float16", 32: "float32"}.get(bits or 0, rerank)
        self._params = {
            "dim": dim, "metric": metric, "M": M, "ef_construction": ef_construction,
            "bits": bits, "code_dim": code_dim, "rerank": rerank, "seed": seed,
        }  # fmt: skip
        self._max_memory = None if max_memory is None else as_int(max_memory, "max_memory", 0)

    @classmethod
    def _from_core(cls, core: _core.Index, fields: dict[str, Any]) -> Index:
        index = super()._from_core(core, fields)
        index._params["code_dim"] = core.code_dim  # type: ignore[attr-defined]
        if core.fits_bits:  # type: ignore[attr-defined]
            index._params["bits"] = None
        if index._params["rerank"] == "none":
            index._params["rerank"] = None
        return index

    def add(
        self,
        vectors: ArrayLike,
        ids: Ids | None = None,
        *,
        threads: int = 0,
        progress: Progress = False,
    ) -> NDArray[Any]:
        """Add vectors; see `Index.add`. Raises ResourceLimit beyond `max_memory`."""
        if self._max_memory is not None:
            vectors = as_matrix(vectors, "vectors")
            self._require_room(1 if vectors.ndim == 1 else len(vectors))
        return super().add(vectors, ids, threads=threads, progress=progress)

    def _require_room(self, more: int) -> None:
        needed = (len(self) + more) * self._core.vector_bytes
        if self._max_memory is None or needed <= self._max_memory:
            return
        error = ResourceLimit(
            f"vectors must fit max_memory ({self._max_memory:,} bytes), got {more:,} more, with "
            f"which the index would take {needed:,}"
        )
        error.needed, error.limit = needed, self._max_memory
        raise error

    @property
    def ef_search(self) -> int:
        """Candidates kept while searching, where `search` is not given its own; may be set."""
        return self._core.ef_search

    @ef_search.setter
    def ef_search(self, ef_search: int) -> None:
        self._core.ef_search = ef_search

    def optimize(self, *, threads: int = 0, progress: Progress = False) -> None:
        """Mend the graph round what was removed, give its room back, and put near nodes together.

        Worth calling after many updates or removals; searches gain about a hundredth after many
        small additions, nothing where everything was added at once. Answers stay as good; ids and
        their order stay as they are. Where codes no longer tell near vectors apart, since many
        came later and lie far from those before, the graph is built anew as by one `add` of all;
        that forgets what `adapt` has added.

        Parameters
        ----------
        threads, progress
            As for `add`.
        """
        with self._writing, reporting(progress, "optimize") as report:
            self._core.optimize(threads, report)

    def adapt(self, queries: ArrayLike, *, threads: int = 0, progress: Progress = False) -> None:
        """Lay ways in the graph for queries that do not look like the vectors.

        Questions searched among passages, or texts among images, lie elsewhere than what they are
        to find, and their neighbors are not neighbors of one another. Sample queries show which
        vectors answer the same ones: these get links in place of some that only fill a row, so
        memory stays as it is. Call it after `add`; later changes to a vector's links may undo it.

        Parameters
        ----------
        queries : array_like, shape (nq, dim)
            Like those to come; thousands are better than hundreds.
        threads, progress
            As for `add`.

        Raises
        ------
        ValueError
            If queries have another dim or hold NaN or infinity. Nothing has changed then.

        Notes
        -----
        The same queries give the same graph. A call takes one search of each query at
        ef_construction.

        References
        ----------
        .. [1] Chen et al., RoarGraph, VLDB 2024.
        """
        with self._writing, reporting(progress, "adapt") as report:
            self._core.adapt(queries, threads, report)

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
        k : int, in 1..2**24, default 10
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
        if filter is None and self._strings is None:
            found = _core.search_one(self._core, Neighbors, queries, k, ef_search, threads)
            if found is not None:
                return found  # type: ignore[no-any-return]
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

    def iter_search(
        self, query: ArrayLike, k: int = 10, *, ef_search: int | None = None, filter: Any = None
    ) -> SearchIterator:
        """Give neighbors page by page, for when it is not known how many will be needed.

        Parameters
        ----------
        query : array_like, shape (dim,)
        k : int, at least 1, default 10
            Neighbors a page.
        ef_search : int, in 1..65536, optional
            Candidates kept beyond those given; as for `search`.
        filter : optional
            As for `search`.

        Returns
        -------
        SearchIterator
            Its `next` gives `Neighbors` of k, the last one fewer; every vector comes once. A page
            costs what its part of the walk costs. One thread at a time may ask for pages.

        Raises
        ------
        ValueError
            If the query has another shape or k < 1. Iterating raises RuntimeError once the index
            has changed.

        Examples
        --------
        >>> import nearfield as nf, numpy as np
        >>> index = nf.HNSW(dim=2, metric="l2")
        >>> _ = index.add(np.arange(10, dtype=np.float32).reshape(5, 2))
        >>> [page.ids.tolist() for page in index.iter_search([0.0, 0.0], k=2)]
        [[0, 1], [2, 3], [4]]
        """
        k = as_int(k, "k", 1)
        vector = as_matrix(query, "query")
        if vector.shape != (self.dim,):
            raise ValueError(f"query must have shape ({self.dim},), got {vector.shape}")
        ef = max(_as_ef(ef_search) or self.ef_search, k)
        return SearchIterator(self, vector, k, filter, ef)

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
    return as_int(ef_search, "ef_search", 1, _MAX_EF)
