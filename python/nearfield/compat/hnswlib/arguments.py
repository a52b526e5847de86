"""hnswlib's rules for arguments."""

from __future__ import annotations

import operator
import os
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "METRICS",
    "as_label",
    "as_labels",
    "as_rows",
    "as_size",
    "as_space",
    "as_threads",
    "check_rows",
    "cpus",
    "last_of_each",
]

METRICS = {"l2": "l2", "ip": "dot", "cosine": "cosine"}
_MOST_THREADS = 1024


def as_space(space: Any) -> str:
    """Name of a space."""
    if not isinstance(space, str):
        raise TypeError(f"space must be a str, got {type(space).__name__}")
    if space not in METRICS:
        raise RuntimeError("Space name must be one of l2, ip, or cosine.")
    return space


def as_size(name: str, value: Any) -> int:
    """A count; like the original, TypeError for what is none."""
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an int, got {type(value).__name__}") from None
    if not 0 <= number < 2**64:
        raise TypeError(f"{name} must be in 0..2**64 - 1, got {number}")
    return number


def as_threads(num_threads: Any, default: int) -> int:
    """Threads of a call."""
    number = operator.index(num_threads)
    return min(number if number > 0 else max(default, 1), _MOST_THREADS)


def cpus() -> int:
    """Threads of calls that are not told."""
    return min(os.cpu_count() or 1, _MOST_THREADS)


def as_rows(data: ArrayLike, dim: int) -> NDArray[np.float32]:
    """Vectors (n, dim), or (dim,) for a single one."""
    rows = np.ascontiguousarray(data, dtype=np.float32)
    if rows.ndim not in (1, 2):
        raise RuntimeError(
            f"Input vector data wrong shape. Number of dimensions {rows.ndim}. "
            "Data must be a 1D or 2D array."
        )
    if rows.shape[-1] != dim:
        raise RuntimeError(
            f"Wrong dimensionality of the vectors: the index has {dim}, got {rows.shape[-1]}"
        )
    return rows


def as_label(label: Any) -> int:
    """A label as our int64 id of the same bits."""
    number = as_size("label", label)
    return number - 2**64 if number >= 2**63 else number


def as_labels(ids: Any, n: int) -> NDArray[np.int64]:
    """Labels of n rows, as int64 of the same bits."""
    labels = np.asarray(ids)
    if labels.dtype.kind not in "iu":
        labels = labels.astype(np.uint64)
    fits = labels.shape == (n,) or (labels.ndim == 0 and n == 1)
    if not fits:
        raise RuntimeError(
            f"The input label shape {labels.shape} does not match the input data vector shape {n}"
        )
    return labels.reshape(-1).astype(np.uint64, casting="unsafe").view(np.int64)


def last_of_each(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Places of the labels in order, of one that comes more than once the last."""
    n = len(labels)
    if (labels[1:] > labels[:-1]).all():
        return np.arange(n)
    distinct, last = np.unique(labels[::-1], return_index=True)
    return np.arange(n) if len(distinct) == n else np.sort(n - 1 - last)


def check_rows(rows: NDArray[np.float32], metric: str) -> None:
    """Refuse rows that an index would refuse, before any of them changes it."""
    bad = ~np.isfinite(rows).all(axis=1)
    if metric == "cosine":
        bad |= ~rows.any(axis=1)
    if bad.any():
        at = int(np.flatnonzero(bad)[0])
        raise RuntimeError(
            f"data must be finite, and not zero in the cosine space, got {rows[at]} at row {at}"
        )
