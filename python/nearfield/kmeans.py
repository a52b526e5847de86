"""k-means clustering."""

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nearfield import _core
from nearfield.progress import Progress, reporting
from nearfield.scalars import as_int

__all__ = ["KMeans"]


class KMeans:
    """Group vectors round k centroids (Lloyd's algorithm with exact assignments).

    Parameters
    ----------
    n_clusters : int, at least 1
        May exceed the number of distinct vectors, not that of vectors.
    metric : {"l2", "cosine", "dot"}, default "l2"
        What to be near by. Under "cosine" and "dot" centroids have norm 1 (spherical k-means);
        "cosine" counts every vector at norm 1, "dot" as it is.
    init : {"kmeans++", "sample"} or array_like, shape (n_clusters, dim), default "kmeans++"
        Greedy k-means++ [2]_ on a sample, distinct random vectors, or the first centroids.
    max_iter : int, at least 0, default 25
        Most times the centroids move.
    tol : float, at least 0, default 1e-4
        Stop when an iteration lowers the inertia by no more than this share of it.
    n_init : int, at least 1, default 1
        Runs with seeds seed, seed + 1, ...; the one with the lowest inertia is kept.
    sample_per_centroid : int, at least 0, default 256
        At most this many vectors for each centroid, drawn at random, are trained on; 0 means all.
    seed : int, in 0..2**64 - 1, default 0
        The same vectors, parameters and seed give the same bits for any number of threads.

    Attributes
    ----------
    centroids : ndarray, shape (n_clusters, dim), float32
    inertia : float
        Sum of the distances of the vectors trained on to their nearest centroids, by the metric:
        squared Euclidean, 1 - cosine, or minus the dot product.
    n_iter : int
        Times the centroids moved.
    n_trained : int
        Vectors trained on.

    Notes
    -----
    A cluster that loses all its vectors takes over one of the cluster with the largest inertia,
    drawn by its share of it. Above 16,384 clusters about sqrt(k) coarse ones are cut up, then one
    iteration runs over all. Assignment costs an int8 product per vector and centroid and a few
    float32 distances per vector, and is exact. Any number of threads may predict at once; a fit
    needs the object to itself.

    References
    ----------
    .. [1] Lloyd, "Least squares quantization in PCM", IEEE Trans. Inf. Theory 28 (1982).
    .. [2] Arthur & Vassilvitskii, "k-means++: the advantages of careful seeding", SODA 2007.
    .. [3] Dhillon & Modha, "Concept decompositions for large sparse text data using clustering",
       Machine Learning 42 (2001).

    Examples
    --------
    >>> import nearfield as nf, numpy as np
    >>> points = np.array([[0, 0], [0, 1], [9, 9], [9, 8]], dtype=np.float32)
    >>> groups = nf.KMeans(2).fit_predict(points)
    >>> bool(groups[0] == groups[1] != groups[2] == groups[3])
    True
    """

    def __init__(
        self,
        n_clusters: int,
        *,
        metric: str = "l2",
        init: str | ArrayLike = "kmeans++",
        max_iter: int = 25,
        tol: float = 1e-4,
        n_init: int = 1,
        sample_per_centroid: int = 256,
        seed: int = 0,
    ) -> None:
        as_int(n_init, "n_init", 1)
        as_int(seed, "seed", 0, 2**64 - 1)
        self._first: Any = None
        if not isinstance(init, str):
            if n_init != 1:
                raise ValueError(f"n_init must be 1 where init is an array, got {n_init}")
            self._first, init = init, "sample"
        self._params: tuple[Any, ...] = (
            n_clusters, metric, init, max_iter, tol, sample_per_centroid,
        )  # fmt: skip
        self._seed, self._n_init = seed, n_init
        self._core = self._make(0)
        self._description = f"n_clusters={n_clusters}, metric={metric!r}"

    def fit(self, vectors: ArrayLike, *, threads: int = 0, progress: Progress = False) -> Self:
        """Find the centroids.

        Parameters
        ----------
        vectors : array_like, shape (n, dim), n >= n_clusters
            Any float or integer array; float32 in C order is not copied.
        threads : int, default 0
            0 means all.
        progress : bool or callable, default False
            True draws a bar; a callable gets (done, total).

        Returns
        -------
        KMeans
            This object.

        Raises
        ------
        ValueError
            If a value is NaN or infinite (row and column are named), the norm is 0 under cosine, or
            there are fewer vectors than clusters. A fit that fails or is interrupted leaves the
            object as it was.
        TypeError
            If vectors are not numbers.
        """
        best: _core.KMeans | None = None
        with reporting(progress, "k-means") as report:
            for run in range(self._n_init):
                core = self._make(run)
                core.train(vectors, self._first, threads, report)
                if best is None or core.inertia < best.inertia:
                    best = core
        assert best is not None
        self._core = best
        return self

    def predict(self, vectors: ArrayLike, *, threads: int = 0) -> NDArray[np.int64]:
        """Tell each vector's nearest centroid.

        Parameters
        ----------
        vectors : array_like, shape (n, dim)
        threads : int, default 0
            0 means all.

        Returns
        -------
        ndarray, shape (n,), int64
            Numbers of centroids; ties go to the lower.

        Raises
        ------
        NotTrained
            Before `fit`.
        ValueError
            If vectors have another dim, or hold NaN or infinity.
        """
        return self._core.assign(vectors, threads)

    def fit_predict(
        self, vectors: ArrayLike, *, threads: int = 0, progress: Progress = False
    ) -> NDArray[np.int64]:
        """Find the centroids and tell each vector's nearest; see `fit` and `predict`."""
        return self.fit(vectors, threads=threads, progress=progress).predict(
            vectors, threads=threads
        )

    @property
    def centroids(self) -> NDArray[np.float32]:
        """A copy of the centroids, (n_clusters, dim) float32. Raises NotTrained before `fit`."""
        return self._fitted().centroids()

    @property
    def inertia(self) -> float:
        """Sum of the distances of the vectors trained on. Raises NotTrained before `fit`."""
        return self._fitted().inertia

    @property
    def n_iter(self) -> int:
        """Times the centroids moved. Raises NotTrained before `fit`."""
        return self._fitted().iterations

    @property
    def n_trained(self) -> int:
        """Vectors trained on. Raises NotTrained before `fit`."""
        return self._fitted().trained_rows

    def __repr__(self) -> str:
        return f"KMeans({self._description})"

    def __getstate__(self) -> dict[str, Any]:
        core = self._core
        found = None
        if core.trained_rows > 0:
            found = (core.centroids(), core.inertia, core.iterations, core.trained_rows)
        return {**self.__dict__, "_core": found}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._core = self._make(0)
        if state["_core"] is not None:
            self._core.restore(*state["_core"])

    def _make(self, run: int) -> _core.KMeans:
        return _core.KMeans(*(*self._params, (self._seed + run) % 2**64))

    def _fitted(self) -> _core.KMeans:
        if self._core.trained_rows == 0:
            raise _core.NotTrained("k-means is not fitted; call fit() first")
        return self._core
