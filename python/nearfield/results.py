"""Answers as tables: a row for each neighbor found."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearfield._optional import import_extra

__all__ = ["to_arrow", "to_pandas"]


def to_arrow(ids: NDArray[Any], distances: NDArray[np.float32], lims: Any = None) -> Any:
    """A pyarrow Table with the columns query, rank, id and distance."""
    arrow = import_extra("pyarrow", "arrow", "to_arrow()")
    return arrow.table(_columns(ids, distances, lims))


def to_pandas(ids: NDArray[Any], distances: NDArray[np.float32], lims: Any = None) -> Any:
    """A pandas DataFrame with the columns query, rank, id and distance."""
    pandas = import_extra("pandas", "pandas", "to_pandas()")
    return pandas.DataFrame(_columns(ids, distances, lims))


def _columns(ids: NDArray[Any], distances: NDArray[np.float32], lims: Any) -> dict[str, Any]:
    """Without the padding of rows that have fewer than k neighbors."""
    if lims is None:
        ids, distances = np.atleast_2d(ids), np.atleast_2d(distances)
        query, rank = np.nonzero(np.isfinite(distances))
        ids, distances = ids[query, rank], distances[query, rank]
    else:
        query = np.repeat(np.arange(len(lims) - 1), np.diff(lims))
        rank = np.arange(len(ids)) - np.repeat(lims[:-1], np.diff(lims))
    return {"query": query, "rank": rank, "id": ids, "distance": distances}
