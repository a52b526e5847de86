"""Index files of hnswlib 0.5 to 0.8 (`save_index`)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nearfield.formats.cursor import Cursor
from nearfield.hnsw import HNSW

__all__ = ["HnswlibRows", "read_hnswlib", "read_rows"]

_MOST = 2**32 - 2


class HnswlibRows(NamedTuple):
    """What a file holds apart from its graph."""

    vectors: NDArray[np.float32]
    """(n, dim)"""
    labels: NDArray[np.int64]
    """(n,); hnswlib's are unsigned, the bits are the same."""
    deleted: NDArray[np.bool_]
    """(n,)"""
    max_elements: int
    M: int
    ef_construction: int


def read_hnswlib(
    path: str | os.PathLike[str], metric: str, *, dim: int | None = None, **params: Any
) -> HNSW:
    """Take over the vectors and labels of an index file of hnswlib.

    Parameters
    ----------
    path : path-like
    metric : {"cosine", "dot", "l2"}
        hnswlib's space "cosine", "ip" or "l2"; its files do not say which.
    dim : int, optional
        Checked where it is given.
    **params
        For `nearfield.HNSW`; M and ef_construction are the file's where they are not given.

    Returns
    -------
    HNSW
        Labels become ids; elements marked as deleted are left out. The graph is built anew: one
        layer of low-bit codes has other links than the file's layers.

    Raises
    ------
    CorruptIndex
        If the file is cut short or its numbers do not fit together.
    ValueError
        If `dim` is another, or a vector is not finite.

    Notes
    -----
    Nothing in the file is believed: every count is compared with its length. "ip" distances of
    hnswlib are 1 - q.x, nearfield's are -q.x.
    """
    held = read_rows(path, dim)
    params = {
        "M": min(max(held.M, 4), 128),
        "ef_construction": min(held.ef_construction, 65_536),
        **params,
    }
    index = HNSW(held.vectors.shape[1], metric, **params)
    live = ~held.deleted
    if live.any():
        index.add(held.vectors[live], ids=held.labels[live])
    return index


def read_rows(path: str | os.PathLike[str], dim: int | None = None) -> HnswlibRows:
    """Read a file, its graph apart; see `read_hnswlib`."""
    file = Cursor(Path(path))
    file.between("Q", "the offset of level 0", 0, 0)
    capacity = int(file.take("Q", "the capacity"))
    n = file.between("Q", "the number of elements", 0, _MOST)
    element = file.between("Q", "the size of an element", 16, 2**31)
    label_at = file.between("Q", "the offset of labels", 8, element - 8)
    data_at = file.between("Q", "the offset of vectors", 4, label_at)
    top = file.between("i", "the highest level", -1, 10_000)
    entry = file.take("I", "the entry point")
    file.between("Q", "maxM", 1, 2**16)
    max_m0 = file.between("Q", "maxM0", 1, 2**17)
    m = file.between("Q", "M", 1, 2**16)
    file.take("d", "mult")
    ef = file.between("Q", "ef_construction", 1, 2**32)
    size = label_at - data_at
    if label_at + 8 != element or data_at != 4 * max_m0 + 4 or size < 4 or size % 4:
        raise file.broken(f"offsets {data_at} and {label_at} must fit elements of {element} bytes")
    if n and (top < 0 or entry >= n):
        raise file.broken(f"the entry point must be below {n}, got {entry} at level {top}")
    if dim is not None and dim != size // 4:
        raise ValueError(f"dim must be that of the file ({size // 4}), got {dim}")
    rows = file.array("u1", n * element, "level 0").reshape(n, element)
    for i in range(n):
        length = file.between("I", f"the upper links of element {i}", 0, 2**31)
        file.array("u1", length, f"the upper links of element {i}")
    file.end()

    deleted = (rows[:, 2] & 1) != 0  # in the unused half of the link count
    labels = rows[:, label_at:].copy().view("<i8").reshape(-1)
    if len(np.unique(labels[~deleted])) != n - int(deleted.sum()):
        raise file.broken("labels must be distinct")
    vectors = rows[:, data_at:label_at].copy().view("<f4")
    return HnswlibRows(vectors, labels, deleted, capacity, m, ef)
