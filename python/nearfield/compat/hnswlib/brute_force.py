"""`hnswlib.BFIndex`."""

from __future__ import annotations

import os
import struct
from pathlib import Path
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
    check_rows,
    cpus,
    last_of_each,
)
from nearfield.compat.hnswlib.filtering import Allow, search_filtered
from nearfield.flat import Flat
from nearfield.formats.cursor import Cursor
from nearfield.formats.whole import whole_file

__all__ = ["BFIndex"]


class BFIndex:
    """Exact search under labels.

    Parameters
    ----------
    space : {"l2", "ip", "cosine"}
        Distances are squared Euclidean, 1 - q.x, or 1 - cos; hnswlib leaves queries of the cosine
        space as long as they are, here they are scaled too.
    dim : int, in 1..65536

    Raises
    ------
    RuntimeError
        If the space is another one.
    """

    def __init__(self, space: str, dim: int) -> None:
        self._space, self._dim = as_space(space), as_size("dim", dim)
        with told_as_runtime_error():
            _core.FlatIndex(self._dim, METRICS[space], "float32", False)
        self._native: Flat | None = None
        self._max_elements = 0
        self._next = 0
        self.num_threads: int = cpus()
        """Threads of calls that are not told."""

    def init_index(self, max_elements: int) -> None:
        """Make the index ready for at most so many elements. RuntimeError the second time."""
        if self._native is not None:
            raise RuntimeError("The index is already initiated.")
        self._max_elements = as_size("max_elements", max_elements)
        self._native = Flat(self._dim, METRICS[self._space])

    def add_items(self, data: ArrayLike, ids: ArrayLike | None = None) -> None:
        """Add vectors, or give labels that are held new ones; see `Index.add_items`."""
        native = self._ready()
        rows = np.atleast_2d(as_rows(data, self._dim))
        n = len(rows)
        labels = np.arange(self._next, self._next + n) if ids is None else as_labels(ids, n)
        keep = last_of_each(labels)
        if len(keep) < n:
            rows, labels = rows[keep], labels[keep]
        held = [native._core.contains(label) for label in labels.tolist()]
        known = np.array(held, np.bool_)
        if len(native) + int((~known).sum()) > self._max_elements:
            raise RuntimeError("The number of elements exceeds the specified limit\n")
        check_rows(rows, native.metric)
        with told_as_runtime_error():
            if not known.all():
                native.add(rows[~known], labels[~known])
            if known.any():
                native.update(labels[known], rows[known])
        self._next += n

    def delete_vector(self, label: int) -> None:
        """Remove an element; nothing happens where there is none."""
        self._ready().remove(as_label(label), missing="ignore")

    def knn_query(
        self, data: ArrayLike, k: int = 1, num_threads: int = -1, filter: Allow | None = None
    ) -> tuple[NDArray[np.uint64], NDArray[np.float32]]:
        """Find the k nearest elements of each query; see `Index.knn_query`."""
        native = self._ready()
        rows = np.atleast_2d(as_rows(data, self._dim))
        k, threads = as_size("k", k), as_threads(num_threads, self.num_threads)
        if k == 0:
            return np.empty((len(rows), 0), np.uint64), np.empty((len(rows), 0), np.float32)
        with told_as_runtime_error():
            if filter is None:
                found = native.search(rows, k, threads=threads)
            else:
                found = search_filtered(native, rows, k, k, threads, filter)
        offset = np.float32(1 if self._space == "ip" else 0)
        return found.ids.view(np.uint64), found.distances + offset

    def save_index(self, path_to_index: str | os.PathLike[str]) -> None:
        """Write a file that hnswlib's BFIndex loads."""
        native = self._ready()
        ids = native.ids
        element = 4 * self._dim + 8
        rows = np.zeros((len(ids), element), np.uint8)
        rows[:, : element - 8] = native.get(ids).view(np.uint8)
        rows[:, element - 8 :] = ids[:, None].view(np.uint8)
        with whole_file(path_to_index) as temporary, temporary.open("wb") as file:
            file.write(struct.pack("<3Q", self._max_elements, element, len(ids)))
            file.write(rows.tobytes())
            file.truncate(24 + self._max_elements * element)

    def load_index(self, path_to_index: str | os.PathLike[str], max_elements: int = 0) -> None:
        """Take over a file of hnswlib's BFIndex; `max_elements` is not looked at, as there.

        Raises
        ------
        DamagedFile
            A `nearfield.CorruptIndex` and a RuntimeError: the file is damaged.
        RuntimeError
            If there is no such file, or its vectors have another dim.
        """
        as_size("max_elements", max_elements)
        try:
            with told_as_runtime_error():
                native, most = self._load(Path(path_to_index))
        except OSError as error:
            raise RuntimeError(f"Cannot open file {os.fspath(path_to_index)}: {error}") from error
        self._native, self._max_elements, self._next = native, most, len(native)

    def _load(self, path: Path) -> tuple[Flat, int]:
        element = 4 * self._dim + 8
        file = Cursor(path)
        most = int(file.take("Q", "the capacity"))
        size = int(file.take("Q", "the size of an element"))
        if size != element:
            raise file.broken(f"elements must have {element} bytes (dim {self._dim}), got {size}")
        n = file.between("Q", "the number of elements", 0, most)
        rows = file.array("u1", n * element, "the elements").reshape(n, element)
        file.array("u1", (most - n) * element, "the room for more")
        file.end()
        labels = rows[:, element - 8 :].copy().view("<i8").reshape(-1)
        if len(np.unique(labels)) != n:
            raise file.broken("labels must be distinct")
        native = Flat(self._dim, METRICS[self._space])
        if n:
            native.add(rows[:, : element - 8].copy().view("<f4"), labels)
        return native, most

    def set_num_threads(self, num_threads: int) -> None:
        """Set the threads of calls that are not told."""
        self.num_threads = num_threads

    def get_max_elements(self) -> int:
        """Give how many elements there may be."""
        self._ready()
        return self._max_elements

    def get_current_count(self) -> int:
        """Give how many elements there are."""
        return len(self._ready())

    def __repr__(self) -> str:
        return f"<hnswlib.BFIndex(space='{self._space}', dim={self._dim})>"

    def _ready(self) -> Any:
        if self._native is None:
            raise RuntimeError("The index is not initiated; call init_index() or load_index()")
        return self._native
