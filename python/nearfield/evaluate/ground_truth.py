"""Exact nearest neighbours of queries in vectors of any number: they pass by in chunks."""

from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nearfield import _core
from nearfield.arrays import as_matrix
from nearfield.index import Neighbors
from nearfield.progress import Progress, reporting
from nearfield.scalars import as_int

__all__ = ["ground_truth"]

CHUNK_BYTES = 2**26  # of float32: large enough to forget the cost of a chunk, small beside the rest


def ground_truth(
    vectors: ArrayLike | Iterable[ArrayLike],
    queries: ArrayLike,
    k: int = 10,
    metric: str = "cosine",
    *,
    threads: int = 0,
    progress: Progress = False,
    chunk: int | None = None,
) -> Neighbors:
    """Find the exact k nearest vectors of each query, whatever the number of vectors.

    Parameters
    ----------
    vectors : array_like, shape (n, dim), or iterable of such
        An array, a memmap, anything that has a shape and gives rows by slice (HDF5, zarr), or
        batches one after the other. Only one chunk is held as float32 at a time.
    queries : array_like, shape (nq, dim) or (dim,)
    k : int, at least 1, default 10
        May exceed n.
    metric : {"cosine", "dot", "l2"}, default "cosine"
        Distance: 1 - cos, -q.x, or the squared Euclidean one.
    threads : int, default 0
        0 means all.
    progress : bool or callable, default False
        True draws a bar; a callable gets (done, total) in vectors after each chunk, and a total of
        0 when it is not known.
    chunk : int, at least 1, optional
        Vectors at a time; None takes 64 MiB of them.

    Returns
    -------
    Neighbors
        ids (nq, k) int64, the vectors' row numbers, and distances (nq, k) float32, nearest first,
        ties in row order; -1 and +inf where fewer than k exist. 1-D for a 1-D query.

    Raises
    ------
    ValueError
        If a value is NaN or infinite or a norm is 0 under cosine (the row is named), if shapes
        differ, or k, metric or chunk is out of range.

    Notes
    -----
    O(n * nq * dim). Each row's distance to a block of queries is bounded from below, by 8-bit codes
    made on the way or by a float matrix product with its rounding added; only rows whose bound
    beats the k-th distance so far are measured, so the answer is that of a full scan.

    Examples
    --------
    >>> import nearfield as nf, numpy as np
    >>> nf.evaluate.ground_truth(np.eye(3), [0.9, 0.1, 0.0], k=2).ids
    array([0, 1])
    """
    array = as_matrix(queries, "queries")
    dim = array.shape[-1]
    if chunk is None:
        chunk = max(1024, CHUNK_BYTES // (4 * max(dim, 1)))
    as_int(chunk, "chunk", 1)
    as_int(k, "k", 1)
    total = _row_count(vectors)
    kept = k if total is None else min(k, max(total, 1))
    scan = _core.ExactScan(array, kept, metric, threads)
    with reporting(progress, "ground truth") as report:
        for rows in chunks(vectors, chunk):
            scan.feed(rows, threads)
            if report is not None:
                report(scan.rows, total or 0)
    ids, distances = _padded(*scan.finish(threads), k)
    return Neighbors(ids[0], distances[0]) if array.ndim == 1 else Neighbors(ids, distances)


def chunks(vectors: Any, chunk: int) -> Iterator[NDArray[np.float32]]:
    """Give the rows in float32 pieces of at most `chunk`, in order.

    Small batches of an iterable are joined, so that their number costs nothing.
    """
    if _row_count(vectors) is not None:
        rows = vectors if _has_rows(vectors) else as_matrix(vectors, "vectors")
        for begin in range(0, rows.shape[0], chunk):
            yield as_matrix(rows[begin : begin + chunk], "vectors")
        return
    waiting: list[NDArray[np.float32]] = []
    held = 0
    for batch in vectors:
        matrix = np.atleast_2d(as_matrix(batch, "vectors"))
        for begin in range(0, len(matrix), chunk):
            piece = matrix[begin : begin + chunk]
            if waiting and (held + len(piece) > chunk or piece.shape[1] != waiting[0].shape[1]):
                yield np.concatenate(waiting)
                waiting, held = [], 0
            waiting.append(piece)
            held += len(piece)
    if waiting:
        yield np.concatenate(waiting)


def _has_rows(vectors: Any) -> bool:
    return hasattr(vectors, "shape") and hasattr(vectors, "__getitem__")


def _row_count(vectors: Any) -> int | None:
    """Rows of an array-like, None for an iterable of batches."""
    if _has_rows(vectors):
        if len(vectors.shape) != 2:
            raise ValueError(f"vectors must be a (n, dim) array, got shape {tuple(vectors.shape)}")
        return int(vectors.shape[0])
    if hasattr(vectors, "__array__") or hasattr(vectors, "__dlpack__"):
        return len(as_matrix(vectors, "vectors"))
    if hasattr(getattr(vectors, "type", None), "list_size"):  # Arrow
        return len(vectors)
    if isinstance(vectors, (list, tuple)):
        batches = bool(vectors) and np.ndim(vectors[0]) == 2
        return None if batches else len(vectors)
    if not isinstance(vectors, Iterable):
        raise TypeError(
            f"vectors must be an array or an iterable of arrays, got {type(vectors).__name__}"
        )
    return None


def _padded(
    ids: NDArray[np.int64], distances: NDArray[np.float32], k: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Widen to k columns."""
    short = k - ids.shape[1]
    if short <= 0:
        return ids, distances
    widths = ((0, 0), (0, short))
    return (
        np.pad(ids, widths, constant_values=-1),
        np.pad(distances, widths, constant_values=np.inf),
    )
