"""BERTopic with its slow parts replaced: reduction and clustering on our graph of neighbours."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearfield._optional import import_extra
from nearfield.arrays import as_matrix
from nearfield.explore import hdbscan, knn_graph
from nearfield.flat import Flat
from nearfield.hnsw import HNSW
from nearfield.integrations.umap import precomputed_knn

__all__ = ["GraphHDBSCAN", "GraphUMAP", "topic_model"]

_EXACT = 20_000


class GraphUMAP:
    """UMAP that is told the neighbours instead of looking for them; BERTopic's ``umap_model``.

    Parameters
    ----------
    n_neighbors : int, default 15
    n_components : int, default 5
    metric : {"cosine", "euclidean"}, default "cosine"
    random_state : int, default 0
    **options
        Of `umap.UMAP`: min_dist ...

    Notes
    -----
    New rows are placed at the mean of their nearest fitted rows, the nearer counting more.
    """

    def __init__(
        self,
        n_neighbors: int = 15,
        n_components: int = 5,
        metric: str = "cosine",
        random_state: int = 0,
        **options: Any,
    ) -> None:
        self.n_neighbors = n_neighbors
        self.n_components = n_components
        self.metric = metric
        self.random_state = random_state
        self.options = {"min_dist": 0.0, **options}

    def fit(self, X: Any, y: Any = None) -> GraphUMAP:
        """Place rows (n, dim); `embedding_` (n, n_components) has their places."""
        umap = import_extra("umap", "bertopic", "GraphUMAP")
        rows = as_matrix(X, "X")
        places, distances = precomputed_knn(
            rows, min(self.n_neighbors, len(rows)), metric=self.metric
        )
        model = umap.UMAP(
            n_neighbors=places.shape[1], n_components=self.n_components, metric=self.metric,
            random_state=self.random_state, precomputed_knn=(places, distances, None),
            **self.options,
        )  # fmt: skip
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about one thread for a fixed seed, and no transform
            self.embedding_: NDArray[np.float32] = np.asarray(model.fit_transform(rows, y))
        metric = "l2" if self.metric == "euclidean" else self.metric
        kind = Flat if len(rows) <= _EXACT else HNSW
        self.index_ = kind(rows.shape[1], metric=metric)
        self.index_.add(rows)
        return self

    def fit_transform(self, X: Any, y: Any = None) -> NDArray[np.float32]:
        """Place rows and give their places."""
        return self.fit(X, y).embedding_

    def transform(self, X: Any) -> NDArray[np.float32]:
        """Place new rows among those fitted."""
        hits = self.index_.search(np.atleast_2d(as_matrix(X, "X")), self.n_neighbors)
        weights = 1 / (np.maximum(hits.distances, 0) + 1e-6)
        weights /= weights.sum(axis=1, keepdims=True)
        placed: NDArray[np.float32] = np.einsum("ij,ijk->ik", weights, self.embedding_[hits.ids])
        return placed.astype(np.float32)


class GraphHDBSCAN:
    """HDBSCAN on a graph of neighbours; BERTopic's ``hdbscan_model``.

    Parameters
    ----------
    min_cluster_size : int, at least 2, default 10
    min_samples : int, optional
        As `nearfield.explore.hdbscan` has them.
    n_neighbors : int, default 30
        Of the graph.

    Notes
    -----
    A new row gets the group of the nearest fitted row, noise included.
    """

    def __init__(
        self, min_cluster_size: int = 10, min_samples: int | None = None, n_neighbors: int = 30
    ) -> None:
        self.min_cluster_size = min_cluster_size
        self.min_samples = min_samples
        self.n_neighbors = n_neighbors

    def fit(self, X: Any, y: Any = None) -> GraphHDBSCAN:
        """Group rows (n, dim); `labels_` (n,) has their groups, -1 for noise."""
        rows = as_matrix(X, "X")
        graph = knn_graph(rows, self.n_neighbors, metric="l2")
        self.labels_ = hdbscan(
            graph._replace(distances=np.sqrt(graph.distances)),
            self.min_cluster_size,
            self.min_samples,
        )
        self.index_ = Flat(rows.shape[1], metric="l2")
        self.index_.add(rows)
        return self

    def fit_predict(self, X: Any, y: Any = None) -> NDArray[np.int64]:
        """Group rows and give their groups."""
        return self.fit(X, y).labels_

    def predict(self, X: Any) -> NDArray[np.int64]:
        """Give the groups of new rows."""
        nearest = self.index_.search(np.atleast_2d(as_matrix(X, "X")), 1).ids[:, 0]
        groups: NDArray[np.int64] = self.labels_[nearest]
        return groups


def topic_model(
    min_topic_size: int = 10,
    *,
    n_neighbors: int = 15,
    n_components: int = 5,
    random_state: int = 0,
    **options: Any,
) -> Any:
    """Make a BERTopic whose reduction and clustering are the two above.

    Parameters
    ----------
    min_topic_size : int, default 10
    n_neighbors, n_components, random_state
        Of `GraphUMAP`.
    **options
        Of `bertopic.BERTopic`: embedding_model, vectorizer_model, language ...

    Returns
    -------
    bertopic.BERTopic
    """
    bertopic = import_extra("bertopic", "bertopic", "topic_model")
    return bertopic.BERTopic(
        umap_model=GraphUMAP(n_neighbors, n_components, random_state=random_state),
        hdbscan_model=GraphHDBSCAN(min_topic_size),
        min_topic_size=min_topic_size,
        **options,
    )
