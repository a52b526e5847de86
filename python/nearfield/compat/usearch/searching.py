"""Answers in usearch's form, and searches that measure all vectors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearfield import _core
from nearfield.compat.usearch.kinds import MetricKind
from nearfield.compat.usearch.matches import BatchMatches, Matches
from nearfield.hnsw import HNSW
from nearfield.index import Neighbors

__all__ = ["as_batch", "as_matches", "exact_among", "exactly"]

_ROWS_A_TIME = 65_536
_UINT64 = np.dtype(np.uint64)


def exact_among(rows: Any, metric: str, asked: Any, count: int, threads: int) -> Neighbors:
    """The nearest of rows (n, ndim), by row number."""
    scan = _core.ExactScan(asked, min(count, max(len(rows), 1)), metric, threads)
    scan.feed(rows, threads)
    return Neighbors(*scan.finish(threads))


def exactly(native: HNSW, rows: Any, count: int, threads: int) -> Neighbors:
    """The nearest among all vectors of an index, as wide as asked for."""
    keys = native.ids
    scan = _core.ExactScan(rows, min(count, max(len(keys), 1)), native.metric, threads)
    for begin in range(0, len(keys), _ROWS_A_TIME):
        scan.feed(native.get(keys[begin : begin + _ROWS_A_TIME]), threads)
    places, distances = scan.finish(threads)
    ids = np.where(places >= 0, keys[places], -1) if len(keys) else places
    missing = count - ids.shape[1]
    if missing > 0:
        ids = np.pad(ids, ((0, 0), (0, missing)), constant_values=-1)
        distances = np.pad(distances, ((0, 0), (0, missing)), constant_values=np.inf)
    return Neighbors(ids, distances)


def as_matches(
    ids: NDArray[np.int64],
    distances: NDArray[np.float32],
    metric: MetricKind,
    radius: float = math.inf,
) -> Matches:
    """The answer to one query."""
    if metric is MetricKind.IP:
        distances += np.float32(1)
    if len(distances) and (radius != math.inf or distances[-1] == math.inf):
        held = int(((distances <= radius) & (distances != np.inf)).sum())
        ids, distances = ids[:held], distances[:held]
    return Matches(ids.view(_UINT64), distances)


def as_batch(
    ids: NDArray[np.int64],
    distances: NDArray[np.float32],
    metric: MetricKind,
    radius: float = math.inf,
) -> BatchMatches:
    """The answers to several queries."""
    if metric is MetricKind.IP:
        distances += np.float32(1)
    held = (distances <= radius) & (distances != np.inf)
    counts = held.sum(axis=1)
    if not held.all():
        ids, distances = np.where(held, ids, 0), np.where(held, distances, np.float32(np.nan))
    return BatchMatches(ids.view(np.uint64), distances, counts)
