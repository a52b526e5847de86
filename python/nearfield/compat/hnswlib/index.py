"""`hnswlib.Index`."""

from __future__ import annotations

import os
import threading
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nearfield import _core
from nearfield.compat.damage import told_as_runtime_error
from nearfield.compat.hnswlib.arguments import (
    METRICS,
    as_label,
    as_labels,
    as_rows,
    as_size,
    as_space,
    as_threads,
    cpus,
)
from nearfield.compat.hnswlib.elements import Elements
from nearfield.compat.hnswlib.filtering import Allow, search_filtered
from nearfield.index import Neighbors

__all__ = ["Index"]

Labels = NDArray[np.uint64]
Distances = NDArray[np.float32]

_DEFAULT_EF = 10
_MOST_EF = 65_536
_VERSION = 1
_UINT64 = np.dtype(np.uint64)


class Index:
    """A graph of vectors under labels.

    Parameters
    ----------
    space : {"l2", "ip", "cosine"}
        Distances are squared Euclidean, 1 - q.x, or 1 - cos.
    dim : int, in 1..65536
        Dimensions of a vector.
    strict : bool, default False
        Raise RuntimeError where fewer than k elements are found, as hnswlib does; else such rows
        end in label 2**64 - 1 and distance inf.
    params : dict, optional
        Instead of the others: the state of an index, as `__getstate__` gives it.
    index : Index, optional
        Instead of the others: an index to copy.

    Raises
    ------
    RuntimeError
        If the space is another one.

    Notes
    -----
    Any number of threads may search at once; changes take turns.

    Examples
    --------
    >>> import numpy as np
    >>> from nearfield.compat import hnswlib
    >>> index = hnswlib.Index(space="l2", dim=2)
    >>> index.init_index(max_elements=3)
    >>> index.add_items(np.array([[0, 0], [1, 0], [5, 5]]), ids=[10, 11, 12])
    >>> labels, distances = index.knn_query([0.9, 0], k=2)
    >>> labels
    array([[11, 10]], dtype=uint64)
    """

    def __init__(
        self,
        space: Any = None,
        dim: Any = None,
        *,
        strict: bool = False,
        params: dict[str, Any] | None = None,
        index: Index | None = None,
    ) -> None:
        given = space if dim is None and isinstance(space, (dict, Index)) else None
        index = given if isinstance(given, Index) else index
        params = given if isinstance(given, dict) else params
        if index is not None:
            params = index.__getstate__()[0]
        if params is not None:
            self.__setstate__((params,))
            return
        self._begin(as_space(space), as_size("dim", dim), strict)

    def _begin(self, space: str, dim: int, strict: bool) -> None:
        with told_as_runtime_error():
            _core.FlatIndex(dim, METRICS[space], "float32", False)  # refuses a wrong dim
        self._space, self._dim, self._strict = space, dim, strict
        self._elements: Elements | None = None
        self._ef = _DEFAULT_EF
        self._offset = 1 if space == "ip" else 0
        self._lock = threading.RLock()
        self.num_threads: int = cpus()
        """Threads of calls that are not told."""

    def init_index(
        self,
        max_elements: int,
        M: int = 16,
        ef_construction: int = 200,
        random_seed: int = 100,
        allow_replace_deleted: bool = False,
    ) -> None:
        """Make the index ready for elements.

        Parameters
        ----------
        max_elements : int
            Most elements, deleted ones included; `resize_index` changes it.
        M : int, default 16
            Links of an element in upper layers; twice as many in the lowest.
        ef_construction : int, default 200
            Candidates kept while linking; at least M.
        random_seed : int, default 100
        allow_replace_deleted : bool, default False
            Whether `add_items` may take the places of deleted elements.

        Raises
        ------
        RuntimeError
            If the index is initiated already.
        """
        with self._lock:
            if self._elements is not None:
                raise RuntimeError("The index is already initiated.")
            self._elements = Elements(
                self._dim, METRICS[self._space], as_size("max_elements", max_elements),
                as_size("M", M), as_size("ef_construction", ef_construction),
                as_size("random_seed", random_seed), bool(allow_replace_deleted),
            )  # fmt: skip

    def add_items(
        self,
        data: ArrayLike,
        ids: ArrayLike | None = None,
        num_threads: int = -1,
        replace_deleted: bool = False,
    ) -> None:
        """Add vectors, or give labels that are held new ones.

        Parameters
        ----------
        data : array_like, shape (n, dim) or (dim,)
        ids : array_like of int, shape (n,), optional
            Labels in 0..2**64 - 1; of one that comes twice the last row counts. None numbers them
            on from the number of rows added so far.
        num_threads : int, default -1
            At most 0 means `num_threads` of the index.
        replace_deleted : bool, default False
            Take the places of deleted elements, which are then forgotten.

        Raises
        ------
        RuntimeError
            If shapes do not fit, elements would exceed `max_elements`, a value is not finite, a
            vector is zero in the cosine space, or deleted elements may not be replaced. Nothing has
            changed then.
        """
        elements = self._ready()
        rows = np.atleast_2d(as_rows(data, self._dim))
        labels = None if ids is None else as_labels(ids, len(rows))
        threads = as_threads(num_threads, self.num_threads)
        with self._lock, told_as_runtime_error():
            elements.add(rows, labels, threads, bool(replace_deleted))

    def knn_query(
        self, data: ArrayLike, k: int = 1, num_threads: int = -1, filter: Allow | None = None
    ) -> tuple[Labels, Distances]:
        """Find the k nearest elements of each query.

        Parameters
        ----------
        data : array_like, shape (nq, dim) or (dim,)
        k : int, default 1
        num_threads : int, default -1
            At most 0 means `num_threads` of the index.
        filter : callable, optional
            Takes a label, tells whether it may be a result.

        Returns
        -------
        labels : ndarray, shape (nq, k), uint64
        distances : ndarray, shape (nq, k), float32
            Nearest first.

        Raises
        ------
        RuntimeError
            If shapes do not fit, a value is not finite, or, where the index is strict, fewer than k
            elements are found.
        """
        if filter is None and num_threads == -1 and self._elements is not None:
            one = data[0] if isinstance(data, np.ndarray) and data.shape[:-1] == (1,) else data
            ef = self._ef if self._ef > k else k
            found = _core.search_one(self._elements.native._core, Neighbors, one, k, ef, 1)
            if found is not None:
                return self._answer(found[0][None], found[1][None])
        native = self._ready().native
        rows = np.atleast_2d(as_rows(data, self._dim))
        k, ef = as_size("k", k), max(self._ef, k)
        if k == 0:
            return np.empty((len(rows), 0), np.uint64), np.empty((len(rows), 0), np.float32)
        threads = as_threads(num_threads, self.num_threads)
        with told_as_runtime_error():
            if filter is None:
                ef_search = ef if ef <= _MOST_EF else None
                found = native.search(rows, k, ef_search=ef_search, threads=threads)
            else:
                found = search_filtered(native, rows, k, min(ef, _MOST_EF), threads, filter)
        return self._answer(found.ids, found.distances)

    def _answer(self, ids: NDArray[np.int64], distances: Distances) -> tuple[Labels, Distances]:
        if self._strict and np.isinf(distances[:, -1:]).any():
            raise RuntimeError(
                "Cannot return the results in a contiguous 2D array. Probably ef or M is too small"
            )
        if self._offset:
            distances += np.float32(1)
        return ids.view(_UINT64), distances

    def get_items(
        self, ids: ArrayLike | None = None, return_type: str = "numpy"
    ) -> NDArray[np.float32] | list[list[float]]:
        """Give the vectors of labels; they have norm 1 in the cosine space.

        Parameters
        ----------
        ids : array_like of int, shape (n,), optional
            None gives none, as in hnswlib.
        return_type : {"numpy", "list"}

        Raises
        ------
        RuntimeError
            If a label is not held, or marked as deleted.
        ValueError
            If `ids` is a single number, or `return_type` another.
        """
        if return_type not in ("numpy", "list"):
            raise ValueError('return_type should be "numpy" or "list"')
        if ids is not None and np.ndim(ids) == 0:
            raise ValueError("get_items accepts a list of indices and returns a list of vectors")
        elements = self._ready()
        if ids is None or np.size(ids) == 0:
            return [] if return_type == "list" else np.empty(0, np.float32)
        labels = np.asarray(ids)
        found = elements.vectors(as_labels(labels, len(labels)))
        return found.tolist() if return_type == "list" else found

    def get_ids_list(self) -> list[int]:
        """Give all labels, deleted ones included."""
        labels: list[int] = self._ready().labels().view(np.uint64).tolist()
        return labels

    def mark_deleted(self, label: int) -> None:
        """Keep an element out of results. RuntimeError if it is not held or deleted already."""
        with self._lock:
            self._ready().mark_deleted(as_label(label))

    def unmark_deleted(self, label: int) -> None:
        """Undo `mark_deleted`. RuntimeError if the element is not held or not deleted."""
        with self._lock:
            self._ready().unmark_deleted(as_label(label))

    def resize_index(self, new_size: int) -> None:
        """Set how many elements there may be. RuntimeError if there are more."""
        with self._lock:
            self._ready().resize(as_size("new_size", new_size))

    def set_ef(self, ef: int) -> None:
        """Set the candidates kept while searching; a search keeps k at least."""
        self.ef = ef

    def set_num_threads(self, num_threads: int) -> None:
        """Set the threads of calls that are not told."""
        self.num_threads = num_threads

    def save_index(self, path_to_index: str | os.PathLike[str]) -> None:
        """Write a file that hnswlib loads, with our graph in it.

        Raises
        ------
        OSError
            If the file cannot be written.
        """
        with self._lock:
            self._ready().save(path_to_index)

    def load_index(
        self,
        path_to_index: str | os.PathLike[str],
        max_elements: int = 0,
        allow_replace_deleted: bool = False,
    ) -> None:
        """Take over a file of hnswlib; what the index held is dropped.

        Parameters
        ----------
        path_to_index : path-like
        max_elements : int, default 0
            Most elements from now on; the file's where it is below their number.
        allow_replace_deleted : bool, default False

        Raises
        ------
        DamagedFile
            A `nearfield.CorruptIndex` and a RuntimeError: the file is damaged.
        RuntimeError
            If there is no such file, or its vectors have another dim.
        """
        most = as_size("max_elements", max_elements)
        try:
            with told_as_runtime_error():
                elements = Elements.load(
                    path_to_index, self._dim, METRICS[self._space], most,
                    bool(allow_replace_deleted), as_threads(-1, self.num_threads),
                )  # fmt: skip
        except OSError as error:
            raise RuntimeError(f"Cannot open file {os.fspath(path_to_index)}: {error}") from error
        with self._lock:
            self._elements, self._ef = elements, _DEFAULT_EF

    def index_file_size(self) -> int:
        """Give the bytes that `save_index` writes."""
        return self._ready().file_size()

    def get_max_elements(self) -> int:
        """Give how many elements there may be."""
        return self._ready().max_elements

    def get_current_count(self) -> int:
        """Give how many elements there are, deleted ones included."""
        return len(self._ready())

    @property
    def space(self) -> str:
        """'l2', 'ip' or 'cosine'."""
        return self._space

    @property
    def dim(self) -> int:
        """Dimensions of a vector."""
        return self._dim

    @property
    def ef(self) -> int:
        """Candidates kept while searching; may be set."""
        return self._ef

    @ef.setter
    def ef(self, ef: int) -> None:
        self._ef = as_size("ef", ef)

    @property
    def max_elements(self) -> int:
        """Most elements; 0 before `init_index`."""
        return self._elements.max_elements if self._elements is not None else 0

    @property
    def element_count(self) -> int:
        """Elements, deleted ones included; 0 before `init_index`."""
        return len(self._elements) if self._elements is not None else 0

    @property
    def ef_construction(self) -> int:
        """Candidates kept while linking; 0 before `init_index`."""
        return self._elements.ef_construction if self._elements is not None else 0

    @property
    def M(self) -> int:  # noqa: N802 (hnswlib's name)
        """Links of an element in upper layers; 0 before `init_index`."""
        return self._elements.M if self._elements is not None else 0

    def __repr__(self) -> str:
        return f"<hnswlib.Index(space='{self._space}', dim={self._dim})>"

    def __getstate__(self) -> tuple[dict[str, Any]]:
        with self._lock:
            held = self._elements
            return ({
                "ser_version": _VERSION, "space": self._space, "dim": self._dim,
                "strict": self._strict, "num_threads": self.num_threads, "ef": self._ef,
                "index_inited": held is not None,
                "elements": None if held is None else held.state(),
            },)  # fmt: skip

    def __setstate__(self, state: tuple[dict[str, Any]]) -> None:
        if len(state) != 1 or state[0].get("ser_version") != _VERSION:
            raise RuntimeError("Invalid state!")
        params = state[0]
        self._begin(params["space"], params["dim"], params["strict"])
        self.num_threads, self._ef = params["num_threads"], params["ef"]
        if params["elements"] is not None:
            self._elements = Elements.from_state(params["elements"])

    def _ready(self) -> Elements:
        if self._elements is None:
            raise RuntimeError("The index is not initiated; call init_index() or load_index()")
        return self._elements
