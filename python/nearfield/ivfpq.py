"""Approximate search among many lists of compressed vectors."""

import warnings
from collections.abc import Callable, Iterable, Sized
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nearfield import _core
from nearfield._core import NotTrained
from nearfield.arrays import as_matrix
from nearfield.index import Ids, Index, Neighbors, RangeNeighbors
from nearfield.progress import Progress, reporting
from nearfield.row_source import RowSource, chunks_of
from nearfield.scalars import as_int

__all__ = ["IVFPQ"]

# Fewer training vectors a list than this place centroids badly.
_FEW_A_LIST = 30


def _usual_groups(dim: int, bits: int) -> int | None:
    """Give the groups of product codes where the core's own would be too long for their bits.

    That has one group of all 101 dimensions, as none but 1 and 101 divide them.
    """
    if not isinstance(dim, int | np.integer) or not 1 <= bits <= 8:
        return None  # the core says what is wrong
    most = next((m for m in range((dim + 1) // 2, 1, -1) if dim % m == 0), 1)
    return int(dim) if dim > bits * most else None


class IVFPQ(Index):
    """Open the lists nearest to a query, rank their codes, then the best by the vectors.

    Small in memory, quick to build, made for many vectors and for many queries at once; at the same
    recall a single query takes longer than in a graph.

    Parameters
    ----------
    dim : int, in 1..65536
        Dimensions of a vector.
    metric : {"cosine", "dot", "l2"}, default "cosine"
        Distance: 1 - cos, -q.x, or the squared Euclidean one.
    nlist : int, in 1..1048576, optional
        Lists. None takes about twice the square root of the number of training vectors, at most one
        for 32 of them.
    nprobe : int, in 1..nlist, default 24
        Lists opened at most by a search that is not given its own number. Those that are farther
        than the nearest by more than is usual are left out, unless nprobe is nlist.
    codes : {"rabitq", "pq"}, default "rabitq"
        How vectors are compressed: `bits` a dimension after a random rotation, or `bits` for each
        of `pq_m` groups of dimensions with codebooks learned from the sample.
    bits : {1, 2, 3, 4, 5, 8} for "rabitq", {4, 8} for "pq", default 4
        Codes of 3 and 5 bits come in two parts: the first bit of every dimension rules out most
        vectors, and only the others' rest is read; in 4 lists or fewer a few bits of the directions
        in which the sample varies most come before both, where it does. They suit queries that come
        one at a time and lists that fit no cache; where many queries share the lists, 4 bits are
        quicker.
    pq_m : int, a divisor of dim, optional
        Groups, of "pq" only; None takes one for two dimensions where that divides, else the most
        below that do, or one for each dimension where these would have more than `bits` of them,
        as those of a prime dim.
    opq : bool, default False
        Whether "pq" also learns a rotation: better codes, training takes longer.
    soar : bool, default False
        Whether every vector lies in a second list too, chosen so that a query that the first does
        not suit finds it there: fewer lists to open for the same recall, for twice the codes. It
        pays for queries that come one at a time, and more where they are unlike the vectors.
    rerank : {"float16", "float32", "bfloat16", "int8"} or None, default "float16"
        How vectors are stored to rank the best by; distances returned are exact for what is stored.
        None stores codes alone, and distances are estimates.
    rerank_from : array or callable, optional
        Rows to rank by that the index does not hold, such as a memmap: an array whose row i is the
        vector of id i, or a callable that takes (m,) int64 ids and gives (m, dim) rows. `rerank` is
        None then. An array has as many rows as there are vectors; once some are removed, give its
        `__getitem__`, as ids stay what they were.
    candidates : int, optional
        Vectors that are ranked exactly, for each query; None chooses from k and bits.
    seed : int, default 0
        The same vectors, calls, parameters and seed give the same index, whatever the number of
        threads.

    Notes
    -----
    Any number of threads may search at once; a change has the index to itself. Queries given at
    once go through the lists together, so a block of codes is read for all that want it.

    References
    ----------
    .. [1] Jegou, Douze & Schmid, Product quantization, PAMI 2011. [2] Gao & Long, RaBitQ, SIGMOD
       2024. [3] Andre, Kermarrec & Le Scouarnec, VLDB 2015. [4] Sun et al., SOAR, NeurIPS 2023.

    Examples
    --------
    >>> import nearfield as nf, numpy as np
    >>> vectors = np.random.default_rng(0).standard_normal((2000, 32), dtype=np.float32)
    >>> index = nf.IVFPQ(dim=32, metric="l2", nlist=20)
    >>> index.train(vectors)
    >>> ids = index.add(vectors)
    >>> index.search(vectors[7], k=1).ids
    array([7])
    """

    _SAVED_PARAMS = ("dim", "metric", "nlist", "codes", "bits", "pq_m", "opq", "rerank",
                     "candidates", "seed")  # fmt: skip

    def __init__(
        self,
        dim: int,
        metric: str = "cosine",
        nlist: int | None = None,
        *,
        nprobe: int = 24,
        codes: str = "rabitq",
        bits: int = 4,
        pq_m: int | None = None,
        opq: bool = False,
        soar: bool = False,
        rerank: str | None = "float16",
        rerank_from: NDArray[Any] | Callable[[NDArray[np.int64]], ArrayLike] | None = None,
        candidates: int | None = None,
        seed: int = 0,
    ) -> None:
        self._rows = None if rerank_from is None else RowSource(rerank_from, dim, metric)
        if self._rows is not None:
            rerank = None
        if codes != "pq" and (pq_m is not None or opq):
            name = "opq" if pq_m is None else "pq_m"
            raise ValueError(f"{name} must come with codes='pq', got codes={codes!r}")
        for name, value in (("nlist", nlist), ("pq_m", pq_m), ("candidates", candidates)):
            if value is not None:
                as_int(value, name)
        as_int(nprobe, "nprobe")
        as_int(bits, "bits")
        as_int(seed, "seed", 0, 2**64 - 1)
        if codes == "pq" and pq_m is None:
            pq_m = _usual_groups(dim, bits)
        self._core: _core.IvfIndex
        super().__init__(
            _core.IvfIndex(
                dim, metric, nlist, nprobe, codes, bits, pq_m, opq, soar, rerank, candidates, seed
            )
        )
        self._params = {
            "dim": dim, "metric": metric, "nlist": nlist, "codes": codes, "bits": bits,
            "pq_m": pq_m, "opq": opq, "soar": soar, "rerank": rerank, "rerank_from": rerank_from,
            "candidates": candidates, "seed": seed,
        }  # fmt: skip
        self._candidates = candidates

    @classmethod
    def _from_core(cls, core: _core.Index, fields: dict[str, Any]) -> "IVFPQ":
        given = {name: fields[name] or None for name in ("nlist", "pq_m", "candidates")}
        rerank = None if fields["rerank"] == "none" else fields["rerank"]
        opq = bool(fields["opq"])
        if fields["codes"] != "pq":
            given["pq_m"], opq = None, False
        index = cls.__new__(cls)
        Index.__init__(index, core)
        found = {**fields, **given, "rerank": rerank, "opq": opq, "rerank_from": None}
        found["soar"] = index._core.soar
        index._params = {name: found[name] for name in (*cls._SAVED_PARAMS, "soar", "rerank_from")}
        index._rows = None
        index._candidates = given["candidates"]
        return index

    @property
    def rerank_from(self) -> NDArray[Any] | Callable[[NDArray[np.int64]], ArrayLike] | None:
        """Rows to rank by that the index does not hold; files do not keep it, so set it on loading.

        Only an index without `rerank` may be given one.
        """
        return None if self._rows is None else self._rows.source

    @rerank_from.setter
    def rerank_from(
        self, source: NDArray[Any] | Callable[[NDArray[np.int64]], ArrayLike] | None
    ) -> None:
        if source is not None and self._params["rerank"] is not None:
            raise ValueError(
                f"rerank_from must come with rerank=None, got rerank={self._params['rerank']!r}"
            )
        rows = None if source is None else RowSource(source, self.dim, self.metric)
        if rows is not None and len(self) > 0:
            rows.check_ids(self.ids)
        self._rows = rows
        self._params["rerank_from"] = source

    @property
    def trained(self) -> bool:
        """Whether `train` has been called."""
        return self._core.trained

    @property
    def nlist(self) -> int:
        """Lists; 0 before training where they are to be chosen."""
        return self._core.nlist

    @property
    def nprobe(self) -> int:
        """Lists opened at most by a search that is not given its own number; may be set.

        Never more than there are lists, once these are known.
        """
        nprobe: int = self._core.nprobe
        return min(nprobe, self.nlist) if self.trained else nprobe

    @nprobe.setter
    def nprobe(self, nprobe: int) -> None:
        if self.trained:
            self._as_nprobe(nprobe, "setting nprobe")
        self._core.nprobe = as_int(nprobe, "nprobe")

    def train(self, sample: ArrayLike, *, threads: int = 0, progress: Progress = False) -> None:
        """Choose the lists and learn the codes; once, before vectors are added.

        Parameters
        ----------
        sample : array_like, shape (n, dim), n >= nlist
            Like the vectors to come, at random: 100 for each list are plenty, and more than 256 for
            each are not looked at.
        threads : int, default 0
            0 means all.
        progress : bool or callable, default False
            As for `add`.

        Raises
        ------
        ValueError
            If there are fewer vectors than lists, vectors are held already, or as for `add`.

        Warns
        -----
        UserWarning
            If there are fewer than 30 vectors for each list.
        """
        matrix = np.atleast_2d(as_matrix(sample, "sample"))
        with self._writing, self._timed(), reporting(progress, "train") as report:
            self._core.train(matrix, threads, report)
        if len(matrix) < _FEW_A_LIST * self.nlist:
            warnings.warn(
                f"sample should have {_FEW_A_LIST} vectors for each of {self.nlist} lists "
                f"({_FEW_A_LIST * self.nlist}), got {len(matrix)}",
                stacklevel=2,
            )

    def add(
        self,
        vectors: ArrayLike | Iterable[ArrayLike],
        ids: Ids | None = None,
        *,
        threads: int = 0,
        progress: Progress = False,
        max_memory: int | None = None,
    ) -> NDArray[Any]:
        """Add vectors, also more than fit into memory.

        Parameters
        ----------
        vectors : array_like, shape (n, dim) or (dim,), or an iterator of such arrays
            A memmap with `max_memory`, or an iterator, is read piece by piece.
        ids : sequence of int or str, shape (n,), optional
            As for `Index.add`; for all pieces together.
        threads : int, default 0
            0 means all.
        progress : bool or callable, default False
            True draws a bar; a callable gets (done, total), total 0 where it is not known.
        max_memory : int, optional
            Bytes that a piece of `vectors` may take as float32. None takes an array whole.

        Returns
        -------
        ndarray, shape (n,)
            The ids, int64 or object.

        Raises
        ------
        NotTrained
            If `train` has not been called.
        ValueError
            As for `Index.add`. An array taken whole changes nothing then; of pieces, those before
            stay: `len(index)` says where to go on.
        """
        if not self.trained:
            raise NotTrained("the index is not trained; call train() before add()")
        if self._rows is not None:
            self._rows.check_ids(ids)
        pieces = chunks_of(vectors, self.dim, max_memory)
        if pieces is None:
            return super().add(vectors, ids, threads=threads, progress=progress)  # type: ignore[arg-type]
        total = len(vectors) if isinstance(vectors, Sized) else 0
        listed: Any = [ids] if isinstance(ids, (int, str)) else ids
        if listed is not None and total not in (0, len(listed)):
            raise ValueError(f"ids must have one entry a vector ({total}), got {len(listed)}")
        made: list[NDArray[Any]] = []
        done = 0
        with reporting(progress, "add") as report:
            for piece in pieces:
                matrix = np.atleast_2d(as_matrix(piece, "vectors"))
                own = None if listed is None else listed[done : done + len(matrix)]
                made.append(super().add(matrix, own, threads=threads))
                done += len(matrix)
                if report is not None:
                    report(done, total)
        if listed is not None and done < len(listed):  # only an iterator tells so late
            raise ValueError(f"ids must have one entry a vector ({done}), got {len(listed)}")
        return np.concatenate(made) if made else np.empty(0, np.int64)

    def search(
        self,
        queries: ArrayLike,
        k: int = 10,
        *,
        nprobe: int | None = None,
        filter: Any = None,
        threads: int = 0,
    ) -> Neighbors:
        """Find about the k nearest vectors of each query.

        Parameters
        ----------
        queries : array_like, shape (nq, dim) or (dim,)
            Any float or integer array; float32 in C order is not copied. Many at once are several
            times faster than one by one: they share the reading of the lists.
        k : int, in 1..2**24, default 10
            May exceed the number of vectors.
        nprobe : int, in 1..nlist, optional
            Lists opened at most; more is slower and more exact. None takes the index's own.
        filter : optional
            Ids that may be results, a bool mask over rows in the order of `ids`, or `exclude(ids)`.
            As many more lists are opened as fewer vectors are let in; there are always
            min(k, allowed) results.
        threads : int, default 0
            0 means all.

        Returns
        -------
        Neighbors
            ids (nq, k) and distances (nq, k) float32, nearest first; -1 (None for string ids) and
            +inf where fewer exist. 1-D for a 1-D query.

        Raises
        ------
        NotTrained
            If `train` has not been called.
        ValueError
            If queries have another dim, hold NaN or infinity, k < 1, nprobe is not in 1..nlist, or
            the rows of `rerank_from` are not as many as the vectors.
        """
        lists = self._as_nprobe(nprobe, "search()")
        if self._rows is None:
            return self._search(queries, k, filter, threads, nprobe=lists)
        self._rows.check_length(len(self))
        wanted = max(k, self._candidates or 4 * k + 30)
        found = self._search(queries, wanted, filter, threads, nprobe=lists)
        return self._rows.rank(as_matrix(queries, "queries"), found, k)

    def range_search(
        self,
        queries: ArrayLike,
        radius: float,
        *,
        nprobe: int | None = None,
        filter: Any = None,
        threads: int = 0,
    ) -> RangeNeighbors:
        """Find about all vectors at distance <= radius of each query.

        Lists are opened nearest first, until a round of them adds nothing.

        Parameters
        ----------
        queries : array_like, shape (nq, dim) or (dim,)
        radius : float
            In the units of the metric's distance.
        nprobe, filter, threads
            As for `search`; nprobe lists are the first round.

        Returns
        -------
        RangeNeighbors
            lims (nq + 1,), ids and distances (lims[-1],): query i has entries lims[i]..lims[i + 1].

        Raises
        ------
        NotTrained
            If `train` has not been called.
        ValueError
            If queries have another dim or hold NaN or infinity, or radius is NaN.
        """
        lists = self._as_nprobe(nprobe, "range_search()")
        return self._range_search(queries, radius, filter, threads, nprobe=lists)

    def count_work(
        self, queries: ArrayLike, k: int = 10, *, nprobe: int | None = None, filter: Any = None
    ) -> dict[str, float]:
        """Tell what a search costs, as means over its queries.

        Returns
        -------
        dict
            "distances" (on codes or vectors), "exact_distances" (on vectors), "hops" (lists
            opened), "bytes" (of codes and vectors read).
        """
        return self._count(queries, k, filter, nprobe=self._as_nprobe(nprobe, "count_work()"))

    def _as_nprobe(self, nprobe: int | None, call: str) -> int:
        if not self.trained:
            raise NotTrained(f"the index is not trained; call train() before {call}")
        if nprobe is None:
            return 0
        number = as_int(nprobe, "nprobe")
        if not 1 <= number <= self.nlist:
            raise ValueError(f"nprobe must be in 1..{self.nlist}, the lists, got {number}")
        return number
