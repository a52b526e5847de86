"""Vectors that lie far from all others."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nearfield.explore.graph import knn_graph
from nearfield.index import Index

__all__ = ["Anomalies", "anomalies"]


class Anomalies(NamedTuple):
    """Ids and scores, the strangest first."""

    ids: NDArray[Any]
    """(n,): row numbers where vectors were given."""
    scores: NDArray[np.float32]
    """(n,) float32: the mean distance to the k nearest others."""


def anomalies(
    vectors: ArrayLike | Index, k: int = 10, *, metric: str = "cosine", threads: int = 0
) -> Anomalies:
    """Score every vector by its mean distance to its k nearest others [1]_.

    Parameters
    ----------
    vectors : array_like, shape (n, dim), or Index
    k : int, at least 1, default 10
    metric : str, default "cosine"
        Of an index, its own.
    threads : int, default 0
        0 means all.

    Returns
    -------
    Anomalies

    References
    ----------
    .. [1] Angiulli & Pizzuti, "Fast Outlier Detection in High Dimensional Spaces", PKDD 2002.
    """
    graph = knn_graph(vectors, k, metric=metric, threads=threads)
    scores = graph.distances.mean(axis=1)
    ids = vectors.ids if isinstance(vectors, Index) else np.arange(len(scores))
    order = np.argsort(-scores, kind="stable")
    return Anomalies(ids[order], scores[order])
