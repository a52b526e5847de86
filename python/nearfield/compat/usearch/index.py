"""`usearch.Index`."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearfield import _core
from nearfield.compat.damage import told_as_runtime_error
from nearfield.compat.usearch.facts import Facts
from nearfield.compat.usearch.kinds import (
    NATIVE_METRICS,
    MetricKind,
    ScalarKind,
    as_id,
    as_keys,
    as_metric,
    as_scalar,
    as_stored,
    numpy_dtype,
    stored_dtype,
)
from nearfield.compat.usearch.matches import BatchMatches, Matches
from nearfield.compat.usearch.searching import as_batch, as_matches, exactly
from nearfield.compat.usearch.sources import is_missing, read_source
from nearfield.formats.layers import as_layers
from nearfield.formats.usearch_file import UsearchFile, write_usearch
from nearfield.formats.whole import whole_file
from nearfield.hnsw import HNSW
from nearfield.index import Neighbors

__all__ = ["Index"]

Keys = NDArray[np.uint64]

_MOST_EF = 65_536
_INFINITY = math.inf
_IP = MetricKind.IP
_UINT64 = np.dtype(np.uint64)


class Index(Facts):
    """A graph of vectors under integer keys.

    Parameters
    ----------
    ndim : int
        Dimensions of a vector, or bits; 0 takes them from the first vectors.
    metric : {"cos", "ip", "l2sq", "hamming"} or MetricKind, default "cos"
    dtype : {"f32", "f16", "bf16", "i8", "b1", "f64"} or ScalarKind, optional
        How vectors are stored; None is f16, and b1 for hamming.
    connectivity : int, default 16
        Links of a vector in upper layers of usearch's file; twice as many in the lowest.
    expansion_add : int, default 128
        Candidates kept while linking.
    expansion_search : int, default 64
        Candidates kept while searching.
    multi : bool, default False
        Only False.
    path : path-like, optional
        Loaded (or viewed) where it exists, and where `save` writes.
    view : bool, default False
    enable_key_lookups : bool, default True
        Not looked at: keys are always looked up.

    Raises
    ------
    KeyError, ValueError
        If `metric` or `dtype` is another one.
    NotImplementedError
        For `multi`.
    """

    def __init__(
        self,
        *,
        ndim: int = 0,
        metric: Any = MetricKind.Cos,
        dtype: Any = None,
        connectivity: int | None = None,
        expansion_add: int | None = None,
        expansion_search: int | None = None,
        multi: bool = False,
        path: str | os.PathLike[str] | None = None,
        view: bool = False,
        enable_key_lookups: bool = True,
    ) -> None:
        if multi:
            raise NotImplementedError("multi is not there in nearfield's usearch layer")
        self._metric = as_metric(metric)
        self._dtype = as_scalar(dtype, self._metric)
        self.connectivity = 16 if not connectivity else int(connectivity)
        self.expansion_add = 128 if not expansion_add else int(expansion_add)
        self.expansion_search = 64 if not expansion_search else int(expansion_search)
        self.path = path
        self._ndim = int(ndim)
        self._viewed = False
        self._native = self._make() if self._ndim else None
        if path is not None and os.path.exists(path):  # noqa: PTH110 (any path-like)
            self.view(path) if view else self.load(path)

    def _make(self) -> HNSW:
        # Whether vectors are taken as they come.
        self._plain = self._dtype is not ScalarKind.I8 and self._dtype is not ScalarKind.B1
        return HNSW(
            self._ndim, NATIVE_METRICS[self._metric], M=min(max(self.connectivity, 4), 128),
            ef_construction=min(max(self.expansion_add, 1), _MOST_EF),
            rerank=stored_dtype(self._dtype),
        )  # fmt: skip

    def _held(self) -> HNSW:
        if self._native is None:
            raise ValueError("ndim must be given before vectors are looked for")
        return self._native

    def add(
        self,
        keys: Any,
        vectors: NDArray[Any],
        *,
        copy: bool = True,
        threads: int = 0,
        log: str | bool = False,
        progress: Any = None,
        dtype: Any = None,
    ) -> Keys:
        """Add vectors under new keys.

        Parameters
        ----------
        keys : int, sequence of int, shape (n,), or None
            None numbers them on from the number held.
        vectors : ndarray, shape (n, ndim) or (ndim,)
            Packed bits, (n, ndim / 8) uint8, for b1.
        threads : int, default 0
            0 means all.
        copy, log, progress, dtype
            Not looked at.

        Returns
        -------
        ndarray, shape (n,), uint64

        Raises
        ------
        RuntimeError
            If a key is held already or comes twice, or the index views a file.
        ValueError
            If vectors have another dim, or a value is not finite.
        AssertionError
            If vectors are no array, or there are more or fewer keys.
        """
        self._require_own()
        if self._native is None and isinstance(vectors, np.ndarray):
            self._ndim = int(vectors.shape[-1]) * (8 if self._dtype is ScalarKind.B1 else 1)
            self._native = self._make()
        rows = as_stored(vectors, self._ndim, self._dtype)
        native = self._held()
        if keys is None:
            names = np.arange(len(native), len(native) + len(rows), dtype=np.uint64)
        else:
            names = as_keys(keys)
        if len(names) != len(rows):
            raise AssertionError("Each vector must have a key")
        if not len(native):
            self._native = native = self._make()  # expansion_add may have been set since
        contains = native._core.contains
        if len(np.unique(names)) != len(names) or any(map(contains, names.view(np.int64).tolist())):
            raise RuntimeError("Duplicate keys not allowed in high-level wrappers")
        if len(rows):
            native.add(rows, names.view(np.int64), threads=threads)
        return names

    def search(
        self,
        vectors: NDArray[Any],
        count: int = 10,
        radius: float = math.inf,
        *,
        threads: int = 0,
        exact: bool = False,
        log: str | bool = False,
        progress: Any = None,
        dtype: Any = None,
    ) -> Matches | BatchMatches:
        """Find the nearest vectors.

        Parameters
        ----------
        vectors : ndarray, shape (nq, ndim) or (ndim,)
        count : int, at least 1, default 10
        radius : float, default inf
            What is farther is left out.
        threads : int, default 0
            0 means all.
        exact : bool, default False
            Measure all vectors.

        Returns
        -------
        Matches or BatchMatches
            Matches for a single query.

        Raises
        ------
        ValueError
            If queries have another dim, a value is not finite, or count < 1.
        AssertionError
            If queries are no array.
        """
        native = self._native
        if native is not None and not exact and radius == _INFINITY and self._plain:
            wide = self.expansion_search
            ef = wide if wide > count else count
            one = _core.search_one(native._core, Neighbors, vectors, count, ef, threads)
            if one is not None:
                ids, distances = one
                if distances[-1] != _INFINITY and self._metric is not _IP:
                    return Matches(ids.view(_UINT64), distances)
                return as_matches(ids, distances, self._metric)
        native = self._held()
        if count < 1:
            raise ValueError("`count` must be a positive integer")
        rows = as_stored(vectors, self._ndim, self._dtype)
        if exact:
            ids, distances = exactly(native, rows, count, threads)
        else:
            ef_search = max(self.expansion_search, count)
            ids, distances = native.search(
                rows, count, ef_search=ef_search if ef_search <= _MOST_EF else None, threads=threads
            )
        if len(rows) == 1:
            return as_matches(ids[0], distances[0], self._metric, radius)
        return as_batch(ids, distances, self._metric, radius)

    def get(self, keys: Any, dtype: Any = None) -> Any:
        """Give the vector of a key, None where it is not held; a tuple of them for several."""
        if isinstance(keys, Iterable):
            return tuple(self._vector(key) for key in as_keys(keys).tolist())
        return self._vector(int(keys))

    def __getitem__(self, keys: Any) -> Any:
        return self.get(keys)

    def _vector(self, key: int) -> NDArray[Any] | None:
        native, id = self._held(), as_id(key)
        if id not in native:
            return None
        vector = native.get(id)
        if self._dtype is ScalarKind.B1:
            return np.packbits(vector > 0.5, bitorder="little")
        return vector.astype(numpy_dtype(self._dtype))

    def contains(self, keys: Any) -> Any:
        """Tell whether a key is held; an array of bool for several."""
        native = self._native
        if not isinstance(keys, Iterable):
            return native is not None and as_id(int(keys)) in native
        ids = as_keys(keys).view(np.int64).tolist()
        return np.array([native is not None and id in native for id in ids], np.bool_)

    def __contains__(self, keys: Any) -> Any:
        return self.contains(keys)

    def count(self, keys: Any) -> Any:
        """Give 1 for a key that is held, else 0; an array for several."""
        found = self.contains(keys)
        return found.astype(np.uint64) if isinstance(found, np.ndarray) else int(found)

    def remove(self, keys: Any, *, compact: bool = False, threads: int = 0) -> Any:
        """Remove a key, telling whether it was held; of several, how many were."""
        self._require_own()
        native = self._held()
        if isinstance(keys, Iterable):
            ids = np.unique(as_keys(keys)).view(np.int64)
            removed: Any = native.remove(ids, missing="ignore", threads=threads)
        else:
            removed = native.remove(as_id(int(keys)), missing="ignore", threads=threads) == 1
        if compact:
            native.compact(threads=threads)
        return removed

    def __delitem__(self, keys: Any) -> None:
        self.remove(keys)

    def rename(self, from_: Any, to: Any) -> Any:
        """Give a key's vector another key, telling whether it was held; a list for several.

        Raises
        ------
        ValueError
            If the other key is held.
        """
        if isinstance(from_, Iterable):
            return [
                self.rename(old, new)
                for old, new in zip(as_keys(from_).tolist(), as_keys(to).tolist(), strict=True)
            ]
        self._require_own()
        native, old, new = self._held(), as_id(int(from_)), as_id(int(to))
        if new in native:
            raise ValueError("Renaming impossible, the key is already in use")
        if old not in native:
            return False
        native.add(native.get(old)[None], [new])
        native.remove(old)
        return True

    def clear(self) -> None:
        """Remove all vectors."""
        self._require_own()
        if self._native is not None:
            self._native = self._make()

    def reset(self) -> None:
        """Remove all vectors, and forget that a file is viewed."""
        self._viewed = False
        self.clear()

    def copy(self) -> Index:
        """Copy the index."""
        other = Index(
            ndim=self._ndim, metric=self._metric, dtype=self._dtype, path=None,
            connectivity=self.connectivity, expansion_add=self.expansion_add,
            expansion_search=self.expansion_search,
        )  # fmt: skip
        other._take(self._contents())
        other.path = self.path
        return other

    def pairwise_distance(self, left: Any, right: Any) -> Any:
        """Give the distance between the vectors of two keys, or of pairs of them."""
        if isinstance(left, Iterable) != isinstance(right, Iterable):
            raise AssertionError("left and right must both be keys or both be several")
        if not isinstance(left, Iterable):
            return float(self.pairwise_distance([left], [right])[0])
        native = self._held()
        a = native.get(as_keys(left).view(np.int64)).astype(np.float64)
        b = native.get(as_keys(right).view(np.int64)).astype(np.float64)
        if self._metric in (MetricKind.L2sq, MetricKind.Hamming):
            return ((a - b) ** 2).sum(axis=1).astype(np.float32)
        products = (a * b).sum(axis=1)
        if self._metric is MetricKind.Cos:
            products /= np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
        return (1 - products).astype(np.float32)

    def save(
        self, path_or_buffer: str | os.PathLike[str] | None = None, progress: Any = None
    ) -> bytes | None:
        """Write a file that usearch loads, with our graph in it; the bytes without a path."""
        path = path_or_buffer if path_or_buffer is not None else self.path
        layers = as_layers(self._held(), self.connectivity)
        if path is None:
            held = io.BytesIO()
            write_usearch(held, self._contents(), layers)
            return held.getvalue()
        with whole_file(path) as temporary, temporary.open("wb") as file:
            write_usearch(file, self._contents(), layers)
        return None

    def load(self, path_or_buffer: Any = None, progress: Any = None) -> None:
        """Take over a file of usearch, or its bytes; what the index held is dropped.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        DamagedFile
            A `nearfield.CorruptIndex` and a RuntimeError: the file is damaged.
        """
        source = path_or_buffer if path_or_buffer is not None else self.path
        if source is None:
            raise ValueError("path_or_buffer is required")
        self._take(read_source(source))
        self._viewed = False

    def view(self, path_or_buffer: Any = None, progress: Any = None) -> None:
        """Load a file and refuse changes from then on."""
        self.load(path_or_buffer)
        self._viewed = True

    @staticmethod
    def metadata(path_or_buffer: Any) -> dict[str, Any] | None:
        """Tell what a file says about itself; None where there is none."""
        if is_missing(path_or_buffer):
            return None
        held = read_source(path_or_buffer)
        return {
            "dimensions": held.ndim, "kind_metric": MetricKind(held.metric),
            "kind_scalar": ScalarKind(held.scalar), "count_present": len(held.keys),
            "count_deleted": 0, "multi": False,
        }  # fmt: skip

    @staticmethod
    def restore(path_or_buffer: Any, view: bool = False, **kwargs: Any) -> Index | None:
        """Make an index of a file; None where there is none. For the rest, see `load`."""
        if is_missing(path_or_buffer):
            return None
        held = read_source(path_or_buffer)
        index = Index(ndim=held.ndim, metric=held.metric, dtype=held.scalar, **kwargs)
        index._take(held)
        index._viewed = view
        return index

    def _contents(self) -> UsearchFile:
        native = self._held()
        ids = native.ids
        rows: NDArray[Any] = native.get(ids)
        if self._dtype is ScalarKind.B1:
            rows = np.packbits(rows > 0.5, axis=1, bitorder="little")
        elif self._dtype is ScalarKind.BF16:
            rows = (np.ascontiguousarray(rows).view(np.uint32) >> 16).astype(np.uint16)
        elif self._dtype is ScalarKind.I8 and self._metric is MetricKind.Cos:
            rows = np.trunc(rows * 127).astype(np.int8)
        else:
            rows = rows.astype(numpy_dtype(self._dtype))
        return UsearchFile(
            self._metric.value, self._dtype.value, self._ndim, self.connectivity,
            ids.view(np.uint64), rows,
        )  # fmt: skip

    def _take(self, held: UsearchFile) -> None:
        before = self.__dict__.copy()
        try:
            self._metric, self._dtype = MetricKind(held.metric), ScalarKind(held.scalar)
            self._ndim, self.connectivity = held.ndim, held.connectivity
            self._native = self._make()
            rows: NDArray[Any] = held.rows
            if self._dtype is ScalarKind.BF16:
                rows = (rows.astype(np.uint32) << 16).view(np.float32)
            if len(rows):
                with told_as_runtime_error():
                    stored = as_stored(rows, self._ndim, self._dtype)
                    self._native.add(stored, held.keys.view(np.int64))
        except Exception:
            self.__dict__.update(before)
            raise

    def _require_own(self) -> None:
        if self._viewed:
            raise RuntimeError("Can't change an index that views a file; load() it")
