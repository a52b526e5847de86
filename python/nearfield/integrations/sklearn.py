"""scikit-learn: a transformer to graphs of nearest neighbours, and the searches that go with it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearfield._optional import import_extra
from nearfield.flat import Flat
from nearfield.hnsw import HNSW

__all__ = ["ANNTransformer"]

_USE = "ANNTransformer"
_base: Any = import_extra("sklearn.base", "sklearn", _USE)
_validation: Any = import_extra("sklearn.utils.validation", "sklearn", _USE)
_sparse: Any = import_extra("scipy.sparse", "sklearn", _USE)
BaseEstimator: Any = _base.BaseEstimator
TransformerMixin: Any = _base.TransformerMixin
NamesOutMixin: Any = _base.ClassNamePrefixFeaturesOutMixin

_METRICS = {"euclidean": "l2", "sqeuclidean": "l2", "cosine": "cosine"}
_EXACT = 20_000  # vectors up to which "auto" compares all


class ANNTransformer(NamesOutMixin, TransformerMixin, BaseEstimator):
    """Transform rows into the sparse graph of their nearest neighbours among the rows of `fit`.

    Stands in for `sklearn.neighbors.KNeighborsTransformer`, before estimators that take
    ``metric="precomputed"``: DBSCAN, TSNE, Isomap, SpectralClustering, and the classifiers and
    regressors by neighbours.

    Parameters
    ----------
    mode : {"distance", "connectivity"}, default "distance"
        What the graph holds. With distances each row has n_neighbors + 1 entries, as a row of
        `fit` finds itself first.
    n_neighbors : int, at least 1, default 5
    radius : float, default 1.0
        Of `radius_neighbors`, in the units of the metric.
    metric : {"euclidean", "sqeuclidean", "cosine"}, default "euclidean"
    algorithm : {"auto", "flat", "hnsw"}, default "auto"
        "flat" compares all rows, "hnsw" walks a graph; "auto" is exact up to 20,000 rows.
    M, ef_construction : int, defaults 16 and 200
    ef_search : int, optional
        As `nearfield.HNSW` has them.
    n_jobs : int, optional
        Threads; None and -1 mean all.
    random_state : int, default 0
        The same rows, parameters and seed give the same graph.

    Attributes
    ----------
    index_ : nearfield.Flat or nearfield.HNSW
    n_samples_fit_, n_features_in_ : int
    feature_names_in_ : ndarray of str
        Where the rows were a table with names.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.cluster import DBSCAN
    >>> from sklearn.pipeline import make_pipeline
    >>> X = np.random.default_rng(0).normal(size=(50, 4)) + np.repeat([[0], [9]], 25, axis=0)
    >>> model = make_pipeline(ANNTransformer(n_neighbors=9), DBSCAN(eps=2, metric="precomputed"))
    >>> set(model.fit_predict(X).tolist()) - {-1}
    {0, 1}
    """

    def __init__(
        self,
        *,
        mode: str = "distance",
        n_neighbors: int = 5,
        radius: float = 1.0,
        metric: str = "euclidean",
        algorithm: str = "auto",
        M: int = 16,
        ef_construction: int = 200,
        ef_search: int | None = None,
        n_jobs: int | None = None,
        random_state: int = 0,
    ) -> None:
        self.mode = mode
        self.n_neighbors = n_neighbors
        self.radius = radius
        self.metric = metric
        self.algorithm = algorithm
        self.M = M
        self.ef_construction = ef_construction
        self.ef_search = ef_search
        self.n_jobs = n_jobs
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> ANNTransformer:
        """Index rows.

        Parameters
        ----------
        X : array_like, shape (n_samples, n_features)
        y : ignored
        """
        _require_one_of("mode", self.mode, ("distance", "connectivity"))
        _require_one_of("metric", self.metric, tuple(_METRICS))
        _require_one_of("algorithm", self.algorithm, ("auto", "flat", "hnsw"))
        rows = _validation.validate_data(self, X, dtype=np.float32, order="C")
        metric = _METRICS[self.metric]
        flat = self.algorithm == "flat" or (self.algorithm == "auto" and len(rows) <= _EXACT)
        self.index_: Flat | HNSW
        if flat:
            self.index_ = Flat(rows.shape[1], metric=metric)
        else:
            self.index_ = HNSW(
                rows.shape[1], metric, self.M, self.ef_construction, rerank="float32",
                seed=self.random_state,
            )  # fmt: skip
        self.index_.add(rows, threads=self._threads())
        self.n_samples_fit_ = len(rows)
        return self

    def transform(self, X: Any) -> Any:
        """Give the graph from rows to their nearest neighbours.

        Returns
        -------
        scipy.sparse.csr_matrix, shape (n_queries, n_samples_fit_), float32
            Neighbours of a row come nearest first.
        """
        _validation.check_is_fitted(self)
        more = self.mode == "distance"
        return self.kneighbors_graph(X, self.n_neighbors + more, self.mode)

    def kneighbors(
        self, X: Any = None, n_neighbors: int | None = None, return_distance: bool = True
    ) -> Any:
        """Find nearest neighbours; without X those of the rows of `fit`, themselves left out.

        Returns
        -------
        distances : ndarray, shape (n_queries, n_neighbors), float32
            Left out where `return_distance` is False.
        places : ndarray, shape (n_queries, n_neighbors), int64
        """
        _validation.check_is_fitted(self)
        k = self.n_neighbors if n_neighbors is None else n_neighbors
        most = self.n_samples_fit_ - (X is None)
        if k < 1 or k > most:
            raise ValueError(
                f"n_neighbors must be in 1..{most}, as n_samples = {self.n_samples_fit_} were "
                f"fitted, got {k}"
            )
        queries, options = self._queries(X), self._options(k + 1)
        hits = self.index_.search(queries, k + (X is None), **options)
        places, distances = hits.ids, self._scaled(hits.distances)
        if X is None:
            others = places != np.arange(len(places))[:, None]
            others[others.all(axis=1), -1] = False  # a crowd of equal rows hid the row itself
            places = places[others].reshape(-1, k)
            distances = distances[others].reshape(-1, k)
        return (distances, places) if return_distance else places

    def kneighbors_graph(
        self, X: Any = None, n_neighbors: int | None = None, mode: str = "connectivity"
    ) -> Any:
        """Give the graph of `kneighbors`: distances, or 1 for each neighbour."""
        _require_one_of("mode", mode, ("distance", "connectivity"))
        distances, places = self.kneighbors(X, n_neighbors)
        n, k = places.shape
        values = distances if mode == "distance" else np.ones_like(distances)
        starts = np.arange(0, n * k + 1, k)
        return self._graph(values.reshape(-1), places.reshape(-1), starts)

    def radius_neighbors(
        self,
        X: Any = None,
        radius: float | None = None,
        return_distance: bool = True,
        sort_results: bool = True,
    ) -> Any:
        """Find all neighbours within a radius, nearest first; X as for `kneighbors`.

        Returns
        -------
        distances, places : ndarray of object, shape (n_queries,)
            Arrays of different lengths; distances are left out without `return_distance`.
        """
        distances, places, starts = self._within(X, radius)
        found = [_pieces(values, starts) for values in (distances, places)]
        return tuple(found) if return_distance else found[1]

    def radius_neighbors_graph(
        self,
        X: Any = None,
        radius: float | None = None,
        mode: str = "connectivity",
        sort_results: bool = True,
    ) -> Any:
        """Give the graph of `radius_neighbors`: distances, or 1 for each neighbour."""
        _require_one_of("mode", mode, ("distance", "connectivity"))
        distances, places, starts = self._within(X, radius)
        values = distances if mode == "distance" else np.ones_like(distances)
        return self._graph(values, places, starts)

    def _within(self, X: Any, radius: float | None) -> tuple[NDArray[Any], ...]:
        _validation.check_is_fitted(self)
        reach = self.radius if radius is None else radius
        if not reach >= 0:
            raise ValueError(f"radius must be at least 0, got {reach}")
        reach = reach**2 if self.metric == "euclidean" else reach
        found = self.index_.range_search(self._queries(X), reach, **self._options(1))
        distances, places, starts = self._scaled(found.distances), found.ids, found.lims
        if X is None:
            own = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
            others = places != own
            kept = np.bincount(own[others], minlength=len(starts) - 1)
            starts = np.concatenate([[0], np.cumsum(kept)])
            distances, places = distances[others], places[others]
        return distances, places, starts

    def _queries(self, X: Any) -> NDArray[np.float32]:
        if X is None:
            return self.index_.get(np.arange(self.n_samples_fit_))
        rows: NDArray[np.float32] = _validation.validate_data(
            self, X, dtype=np.float32, order="C", reset=False
        )
        return rows

    def _options(self, k: int) -> dict[str, Any]:
        if self.ef_search is None or isinstance(self.index_, Flat):
            return {"threads": self._threads()}
        return {"threads": self._threads(), "ef_search": max(self.ef_search, k)}

    def _threads(self) -> int:
        return 0 if self.n_jobs is None or self.n_jobs < 1 else self.n_jobs

    def _scaled(self, distances: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.sqrt(distances) if self.metric == "euclidean" else distances

    def _graph(self, values: Any, places: Any, starts: Any) -> Any:
        shape = (len(starts) - 1, self.n_samples_fit_)
        return _sparse.csr_matrix((values, places, starts), shape=shape)

    @property
    def _n_features_out(self) -> int:
        return self.n_samples_fit_

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = []  # graphs are float32
        return tags


def _require_one_of(name: str, value: Any, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ValueError(f"{name} must be one of {', '.join(known)}, got {value!r}")


def _pieces(values: NDArray[Any], starts: NDArray[np.int64]) -> NDArray[np.object_]:
    out = np.empty(len(starts) - 1, dtype=object)
    for i in range(len(out)):
        out[i] = values[starts[i] : starts[i + 1]]
    return out
