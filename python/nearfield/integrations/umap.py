"""Neighbours for UMAP and openTSNE, which look for them longer than for anything else."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nearfield._optional import import_extra
from nearfield.explore import knn_graph
from nearfield.index import Index

__all__ = ["opentsne_neighbors", "precomputed_knn"]


def precomputed_knn(
    vectors: ArrayLike | Index, n_neighbors: int = 15, *, metric: str = "cosine", threads: int = 0
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Find neighbours as ``umap.UMAP(precomputed_knn=...)`` takes them.

    Parameters
    ----------
    vectors : array_like, shape (n, dim), or Index
        What UMAP will be fitted on, in the same order; of an index that of `index.ids`.
    n_neighbors : int, at least 2, default 15
        UMAP's own parameter, or more.
    metric : {"cosine", "euclidean"}, default "cosine"
        UMAP's own parameter; an index has its own.
    threads : int, default 0
        0 means all.

    Returns
    -------
    places : ndarray, shape (n, n_neighbors), int64
        Each row itself first.
    distances : ndarray, shape (n, n_neighbors), float32

    Notes
    -----
    UMAP says that its `transform` needs pynndescent's index beside these; `fit` does not.
    """
    if n_neighbors < 2:
        raise ValueError(f"n_neighbors must be at least 2, got {n_neighbors}")
    places, distances = _neighbors(vectors, n_neighbors - 1, metric, threads)
    own = np.arange(len(places))[:, None]
    return np.hstack([own, places]), np.hstack([np.zeros_like(distances[:, :1]), distances])


def opentsne_neighbors(
    vectors: ArrayLike | Index, perplexity: float = 30, *, metric: str = "cosine", threads: int = 0
) -> Any:
    """Find neighbours as openTSNE's ``affinity.PerplexityBasedNN(knn_index=...)`` takes them.

    Parameters
    ----------
    vectors, metric, threads
        As for `precomputed_knn`.
    perplexity : float, default 30
        That of the affinities; three times as many neighbours are found.

    Returns
    -------
    openTSNE.nearest_neighbors.PrecomputedNeighbors
    """
    tsne = import_extra("openTSNE.nearest_neighbors", "opentsne", "opentsne_neighbors")
    places, distances = _neighbors(vectors, int(3 * perplexity), metric, threads)
    return tsne.PrecomputedNeighbors(places, distances)


def _neighbors(
    vectors: ArrayLike | Index, k: int, metric: str, threads: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    if metric not in ("cosine", "euclidean"):
        raise ValueError(f"metric must be 'cosine' or 'euclidean', got {metric!r}")
    ours = "l2" if metric == "euclidean" else metric
    graph = knn_graph(vectors, k, metric=ours, threads=threads)
    used = vectors.metric if isinstance(vectors, Index) else ours
    distances = np.sqrt(graph.distances) if used == "l2" else np.maximum(graph.distances, 0)
    return graph.neighbors, distances
