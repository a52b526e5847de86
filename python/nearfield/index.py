"""The indexes' common face: ids, arrays and keyword checks; the work is in the core."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nearfield import _core
from nearfield._ids import MappedNames, StringIds
from nearfield.errors import ReadOnlyIndex, UnknownId
from nearfield.filters import PreparedFilter, as_core_filter
from nearfield.ids import as_int_ids, as_names, is_single
from nearfield.progress import Progress, reporting
from nearfield.turn import Turn

if TYPE_CHECKING:
    from nearfield.evaluate import Report, Tuning
    from nearfield.persistence import PathLike

__all__ = ["Index", "Neighbors", "RangeNeighbors"]

Ids = int | str | Sequence[int] | Sequence[str] | NDArray[Any]


class Neighbors(NamedTuple):
    """Answer to a search; row i answers query i, nearest first.

    A 1-D query gives 1-D arrays. Where fewer than k vectors may be results, rows end in id -1 (None
    for string ids) and distance +inf.
    """

    ids: NDArray[Any]
    """(nq, k) int64, or object for string ids."""
    distances: NDArray[np.float32]
    """(nq, k) float32; smaller is nearer."""

    def to_arrow(self) -> Any:
        """Give a pyarrow Table with a row for each neighbor: query, rank, id, distance.

        `query` and `rank` count from 0; rows that pad are left out. Needs the extra ``arrow``.
        """
        from nearfield.results import to_arrow

        return to_arrow(self.ids, self.distances)

    def to_pandas(self) -> Any:
        """Give a pandas DataFrame of the same columns as `to_arrow`. Needs the extra ``pandas``."""
        from nearfield.results import to_pandas

        return to_pandas(self.ids, self.distances)


class RangeNeighbors(NamedTuple):
    """Answer to a range search; ids[lims[i]:lims[i + 1]] answers query i, nearest first."""

    lims: NDArray[np.int64]
    """(nq + 1,) int64."""
    ids: NDArray[Any]
    """(lims[-1],) int64, or object for string ids."""
    distances: NDArray[np.float32]
    """(lims[-1],) float32."""

    def to_arrow(self) -> Any:
        """Give a pyarrow Table with a row for each neighbor: query, rank, id, distance.

        `query` and `rank` count from 0; rows that pad are left out. Needs the extra ``arrow``.
        """
        from nearfield.results import to_arrow

        return to_arrow(self.ids, self.distances, self.lims)

    def to_pandas(self) -> Any:
        """Give a pandas DataFrame of the same columns as `to_arrow`. Needs the extra ``pandas``."""
        from nearfield.results import to_pandas

        return to_pandas(self.ids, self.distances, self.lims)


class Index:
    """What every index can do. Make a `Flat` or another kind; this class is their common part.

    Threads: any number of searches and reads run at once; a call that changes the index waits for
    them and has it to itself. A progress callback may ask for its length and ids, and where the
    call only reads, as `save` does, search it; anything else raises RuntimeError there.
    """

    choice: str | None = None
    """What `nearfield.build` chose and why; None for an index made otherwise."""

    _SAVED_PARAMS: tuple[str, ...] = ("dim", "metric")  # of _params, fields of the same name

    def __init__(self, core: _core.Index) -> None:
        self._core = core
        self._strings: StringIds | MappedNames | None = None  # made by the first add of string ids
        self._writing = Turn("an index must not be changed or saved")
        self._build_seconds = 0.0  # spent in add()
        self._params: dict[str, Any] = {}  # what the kind's constructor was given

    @property
    def dim(self) -> int:
        """Dimensions of a vector."""
        return self._core.dim

    @property
    def metric(self) -> str:
        """'cosine', 'dot' or 'l2'."""
        return self._core.metric

    @property
    def ids(self) -> NDArray[Any]:
        """Ids held, (n,) int64 or object: the order in which a mask filter counts rows."""
        names = self._strings.names if self._strings is not None else None
        return self._named(self._core.ids(), names)

    def __len__(self) -> int:
        return self._core.size()

    def __contains__(self, id: object) -> bool:
        if self._strings is not None:
            return isinstance(id, str) and bool(self._strings.find([id], unknown=-1)[0] >= 0)
        if isinstance(id, (bool, np.bool_)) or not isinstance(id, (int, np.integer)):
            return False
        number = int(id)
        return -(2**63) <= number < 2**63 and self._core.contains(number)

    def __repr__(self) -> str:
        facts = self.stats()
        size = facts["bytes"]["total"] / 2**20
        return (
            f"{type(self).__name__}(n={facts['n']:,}, dim={facts['dim']}, "
            f"metric={facts['metric']!r}, {size:,.1f} MiB)"
        )

    def add(
        self,
        vectors: ArrayLike,
        ids: Ids | None = None,
        *,
        threads: int = 0,
        progress: Progress = False,
    ) -> NDArray[Any]:
        """Add vectors.

        Parameters
        ----------
        vectors : array_like, shape (n, dim) or (dim,)
            Any float or integer array; float32 in C order is not copied on the way. Under cosine
            they are scaled to norm 1.
        ids : sequence of int or str, shape (n,), optional
            New and distinct; any int64, or strings throughout. None numbers them on from the
            largest id ever held, from 0 at first.
        threads : int, default 0
            0 means all.
        progress : bool or callable, default False
            True draws a bar; a callable gets (done, total), about every 20 ms.

        Returns
        -------
        ndarray, shape (n,)
            The ids, int64 or object.

        Raises
        ------
        ValueError
            If a value is NaN or infinite (row and column are named), a norm is 0 under cosine, the
            dim is wrong, or an id is held already or comes twice. Nothing has changed then.
        TypeError
            If vectors are not numbers, or ids are of the other kind than the index's.
        """
        with self._writing, self._timed(), reporting(progress, "add") as report:
            names = None if ids is None else as_names(ids)
            if names is None:
                if self._strings is not None:
                    raise TypeError("ids must be given as str, as this index has string ids")
                keys = None if ids is None else as_int_ids(ids)
                return self._core.add(vectors, keys, threads, report)
            strings = self._strings
            if isinstance(strings, MappedNames):
                raise ReadOnlyIndex(
                    "an index that views a file must not be changed; load it with mmap=False"
                )
            if strings is None:
                if len(self):
                    raise TypeError("ids must be int, as this index has int ids, got str")
                strings = StringIds()
            self._core.add(vectors, strings.plan(names), threads, report)
            strings.commit(names)
            self._strings = strings
            return np.array(names, dtype=object)

    def update(
        self, ids: Ids, vectors: ArrayLike, *, threads: int = 0, progress: Progress = False
    ) -> None:
        """Give ids that are held new vectors; all or none.

        Parameters
        ----------
        ids : int, str or sequence of them, shape (n,)
            Distinct.
        vectors : array_like, shape (n, dim)
            One for each id.
        threads, progress
            As for `add`.

        Raises
        ------
        UnknownId
            If an id is not held.
        ValueError
            As for `add`.
        """
        with self._writing, reporting(progress, "update") as report:
            self._core.update(self._as_keys(ids), vectors, threads, report)

    def remove(self, ids: Ids, *, missing: str = "raise", threads: int = 0) -> int:
        """Remove vectors.

        Parameters
        ----------
        ids : int, str or sequence of them
            Distinct.
        missing : {"raise", "ignore"}
            What to do about an id that is not held.

        Returns
        -------
        int
            How many were removed.

        Raises
        ------
        UnknownId
            If an id is not held and `missing` is "raise"; nothing has changed then.
        """
        if missing not in ("raise", "ignore"):
            raise ValueError(f"missing must be 'raise' or 'ignore', got {missing!r}")
        ignore = missing == "ignore"
        with self._writing:
            removed = self._core.remove(self._as_keys(ids, ignore), ignore, threads)
            if isinstance(self._strings, StringIds):
                self._strings.remove(as_names(ids) or [])
            return removed

    def get(self, ids: Ids) -> NDArray[np.float32]:
        """Give the stored vectors of these ids, (n, dim) float32; (dim,) for a single id.

        They are as stored: scaled to norm 1 under cosine, rounded where dtype is not float32.

        Raises
        ------
        UnknownId
            If an id is not held.
        """
        vectors = self._core.get(self._as_keys(ids))
        return vectors[0] if is_single(ids) else vectors

    def compact(self, *, threads: int = 0, progress: Progress = False) -> None:
        """Give back the memory of removed vectors. Ids, their order and all answers stay."""
        with self._writing, reporting(progress, "compact") as report:
            self._core.compact(threads, report)
            if isinstance(self._strings, StringIds):
                self._strings.forget_removed()

    def prepare(self, filter: Any) -> PreparedFilter:
        """Work out a filter once, for many searches.

        Parameters
        ----------
        filter : optional
            As for `search`.

        Returns
        -------
        PreparedFilter
            For the `filter` argument of `search` and `range_search` of this index; its length is
            how many vectors it lets in. Vectors added later are not in it. A removal or `compact`
            ends it: searches with it then raise ValueError.
        """
        return self._core.prepare(as_core_filter(filter, self._as_filter_keys))

    def stats(self) -> dict[str, Any]:
        """Tell facts about the index: kind, n, dim, deleted share, and bytes by part."""
        return self._core.stats()

    def validate(self) -> None:
        """Check every invariant. O(n).

        Raises
        ------
        CorruptIndex
            If one does not hold.
        """
        self._core.validate()

    def save(self, path: "PathLike", *, threads: int = 0, progress: Progress = False) -> None:
        """Write the index to a file, in one step; `nearfield.load` reads it.

        The file that was there stays whole until the new one is on the disk: after a crash there is
        the one or the other. The same index gives the same bytes.

        Parameters
        ----------
        path : path-like
            By custom it ends in .nf. Its folder must exist.
        threads, progress
            As for `add`.

        Raises
        ------
        StorageError
            If the disk is full or fails; what was there is as it was.
        OSError
            If the folder does not exist or may not be written to.

        Notes
        -----
        Searches go on meanwhile, changes wait.
        """
        from nearfield.persistence import save

        with self._writing:
            save(self, path, threads, progress)

    def __reduce__(self) -> tuple[Any, ...]:
        from nearfield.persistence import from_bytes, to_bytes

        with self._writing:
            return from_bytes, (to_bytes(self),)

    def evaluate(self, queries: ArrayLike | None = None, k: int = 10, **options: Any) -> "Report":
        """Measure recall@k, latency, QPS and memory; see `nearfield.evaluate.evaluate`."""
        from nearfield.evaluate import evaluate

        return evaluate(self, queries, k, **options)

    def tune(
        self,
        queries: ArrayLike | None = None,
        k: int = 10,
        recall: float = 0.95,
        **options: Any,
    ) -> "Tuning":
        """Set ef_search or nprobe for a mean recall@k; see `nearfield.evaluate.tune`."""
        from nearfield.evaluate import tune

        return tune(self, queries, k, recall, **options)

    @classmethod
    def _from_core(cls, core: _core.Index, fields: dict[str, Any]) -> "Index":
        """Make an index round a loaded core; `fields` are those of its file."""
        index = cls.__new__(cls)
        Index.__init__(index, core)
        index._params = {name: fields[name] for name in cls._SAVED_PARAMS}
        return index

    def _empty_like(self) -> "Index":
        """Make an index of the same kind with the same parameters and no vectors."""
        other = type(self)(**self._params)
        for name in ("ef_search", "nprobe"):
            if hasattr(self, name):
                setattr(other, name, getattr(self, name))
        return other

    @contextmanager
    def _timed(self) -> Iterator[None]:
        started = perf_counter()
        yield
        self._build_seconds += perf_counter() - started

    def _search(
        self,
        queries: ArrayLike,
        k: int,
        filter: Any,
        threads: int,
        ef_search: int = 0,
        nprobe: int = 0,
    ) -> Neighbors:
        names = self._strings.names if self._strings is not None else None
        if filter is not None:
            filter = as_core_filter(filter, self._as_filter_keys)
        ids, distances = self._core.search(queries, k, ef_search, nprobe, filter, threads)
        return Neighbors(ids if names is None else self._named(ids, names), distances)

    def _count(
        self, queries: ArrayLike, k: int, filter: Any, ef_search: int = 0, nprobe: int = 0
    ) -> dict[str, float]:
        if filter is not None:
            filter = as_core_filter(filter, self._as_filter_keys)
        return self._core.count_work(queries, k, ef_search, nprobe, filter)

    def _range_search(
        self,
        queries: ArrayLike,
        radius: float,
        filter: Any,
        threads: int,
        ef_search: int = 0,
        nprobe: int = 0,
    ) -> RangeNeighbors:
        names = self._strings.names if self._strings is not None else None
        if filter is not None:
            filter = as_core_filter(filter, self._as_filter_keys)
        lims, ids, distances = self._core.range_search(
            queries, radius, ef_search, nprobe, filter, threads
        )
        return RangeNeighbors(lims, ids if names is None else self._named(ids, names), distances)

    def _named(
        self, keys: NDArray[np.int64], names: list[Any] | MappedNames | None
    ) -> NDArray[Any]:
        if names is None:
            return keys
        if isinstance(names, MappedNames):
            return names.resolve(keys)
        if keys.size and int(keys.max()) >= len(names) and isinstance(self._strings, StringIds):
            names = self._strings.names  # compact() and add() came between
        return StringIds.resolve(names, keys)

    def _as_keys(self, ids: Any, ignore_unknown: bool = False) -> NDArray[np.int64]:
        names = as_names(ids)
        if names is None:
            keys = as_int_ids(ids)
            if self._strings is not None and keys.size:
                raise TypeError("ids must be str, as this index has string ids, got int")
            return keys
        if self._strings is None:
            if len(self):
                raise TypeError("ids must be int, as this index has int ids, got str")
            if ignore_unknown:
                return np.empty(0, np.int64)
            raise UnknownId(f"ids must be in the index, got {names[0]!r}")
        try:
            keys = self._strings.find(names, unknown=-1 if ignore_unknown else None)
        except KeyError as error:
            raise UnknownId(f"ids must be in the index, got {error.args[0]!r}") from None
        return keys[keys >= 0] if ignore_unknown else keys

    def _as_filter_keys(self, ids: Any) -> NDArray[np.int64]:
        return self._as_keys(ids, ignore_unknown=True)
