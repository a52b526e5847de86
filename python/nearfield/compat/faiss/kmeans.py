"""`Kmeans`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearfield.compat.damage import told_as_runtime_error
from nearfield.compat.faiss.flat import IndexFlatIP, IndexFlatL2
from nearfield.compat.faiss.index import as_matrix
from nearfield.kmeans import KMeans

__all__ = ["ClusteringParameters", "Kmeans"]


class ClusteringParameters:
    """Settings of `Kmeans`, with faiss's defaults."""

    def __init__(self) -> None:
        self.niter = 25
        self.nredo = 1
        self.verbose = False
        self.spherical = False
        self.int_centroids = False
        self.update_index = False
        self.frozen_centroids = False
        self.min_points_per_centroid = 39
        self.max_points_per_centroid = 256
        self.seed = 1234
        self.decode_block_size = 32768


class Kmeans:
    """k-means clustering, on `nearfield.KMeans` (k-means++, exact assignments).

    Parameters
    ----------
    d : int
    k : int
        Clusters.
    **settings
        niter, nredo, spherical, seed, max_points_per_centroid and other fields of
        `ClusteringParameters`; `gpu` is not looked at.

    Attributes
    ----------
    centroids : ndarray, shape (k, d), float32
    obj : ndarray
        The objective at the end.
    index : IndexFlat
        Of the centroids.
    """

    def __init__(self, d: int, k: int, **settings: Any) -> None:
        self.d, self.k = d, int(k)
        self.cp = ClusteringParameters()
        settings.pop("gpu", None)
        for name, value in settings.items():
            getattr(self.cp, name)  # AttributeError for what is no field
            setattr(self.cp, name, value)
        self.centroids: NDArray[np.float32] | None = None
        self.obj: NDArray[np.float32] | None = None
        self.iteration_stats: list[dict[str, Any]] | None = None
        self.index: Any = IndexFlatIP(d) if self.cp.spherical else IndexFlatL2(d)

    def train(self, x: Any, weights: Any = None, init_centroids: Any = None) -> float:
        """Find the centroids of vectors (n, d); gives the objective.

        Raises
        ------
        RuntimeError
            If there are fewer vectors than clusters.
        NotImplementedError
            For `weights`.
        """
        if weights is not None:
            raise NotImplementedError("weights are not there in nearfield's faiss layer")
        rows = as_matrix(x, self.d)
        if len(rows) < self.k:
            raise RuntimeError(
                f"Number of training points ({len(rows)}) should be at least as large as number of "
                f"clusters ({self.k})"
            )
        first: Any = "kmeans++" if init_centroids is None else init_centroids
        model = KMeans(
            self.k, metric="dot" if self.cp.spherical else "l2", init=first,
            max_iter=self.cp.niter, n_init=self.cp.nredo if init_centroids is None else 1,
            sample_per_centroid=self.cp.max_points_per_centroid, seed=self.cp.seed,
        )  # fmt: skip
        with told_as_runtime_error():
            model.fit(rows)
        objective = -model.inertia if self.cp.spherical else model.inertia
        self.centroids = model.centroids
        self.obj = np.array([objective], np.float32)
        self.iteration_stats = [{"obj": objective, "iterations": model.n_iter}]
        self.index.reset()
        self.index.add(self.centroids)
        return float(objective)

    def assign(self, x: Any) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Give each vector's distance (or product) to its nearest centroid, and which it is."""
        if self.centroids is None:
            raise AssertionError("should train before assigning")
        distances, ids = self.index.search(as_matrix(x, self.d), 1)
        return distances.ravel(), ids.ravel()
