"""`usearch.search`: the rows of a matrix, without an index kept."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearfield.compat.usearch.index import Index
from nearfield.compat.usearch.kinds import NATIVE_METRICS, MetricKind, as_metric, as_stored
from nearfield.compat.usearch.matches import BatchMatches, Matches
from nearfield.compat.usearch.searching import as_batch, as_matches, exact_among

__all__ = ["search"]


def search(
    dataset: NDArray[Any],
    query: NDArray[Any],
    count: int = 10,
    metric: Any = MetricKind.Cos,
    *,
    exact: bool = False,
    threads: int = 0,
    log: str | bool = False,
    progress: Any = None,
    dtype: Any = None,
) -> Matches | BatchMatches:
    """Find the nearest rows of a matrix, by default with an index made for that.

    Parameters
    ----------
    dataset : ndarray, shape (n, ndim)
    query : ndarray, shape (nq, ndim) or (ndim,)
    count : int, default 10
    metric : as for `Index`, default "cos"
    exact : bool, default False
        Measure all rows.
    threads : int, default 0

    Returns
    -------
    Matches or BatchMatches
        Keys are row numbers.
    """
    if dataset.ndim != 2:
        raise AssertionError("Dataset must be a matrix, with a vector in each row")
    kind = as_metric(metric)
    bits = kind is MetricKind.Hamming
    numbers = "b1" if bits else "i8" if dataset.dtype == np.int8 else "f32"
    index = Index(ndim=dataset.shape[1] * (8 if bits else 1), metric=kind, dtype=numbers)
    if not exact:
        index.add(None, dataset, threads=threads)
        return index.search(query, count, threads=threads)
    rows = as_stored(dataset, index.ndim, index.dtype)
    asked = as_stored(query, index.ndim, index.dtype)
    if count < 1:
        raise ValueError("`count` must be a positive integer")
    ids, distances = exact_among(rows, NATIVE_METRICS[kind], asked, count, threads)
    if len(asked) == 1:
        return as_matches(ids[0], distances[0], kind)
    return as_batch(ids, distances, kind)
