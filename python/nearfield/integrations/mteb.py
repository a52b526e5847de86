"""MTEB: a search backend for encoders, to see what an approximate index costs in nDCG."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearfield import kinds
from nearfield.arrays import as_matrix
from nearfield.flat import Flat
from nearfield.index import Index
from nearfield.integrations._rows import similarity

__all__ = ["NearfieldSearchIndex"]

_METRICS = {"cosine": "cosine", "dot": "dot", "euclidean": "l2"}


class NearfieldSearchIndex:
    """What ``mteb.models.SearchEncoderWrapper(model, index_backend=...)`` takes.

    Parameters
    ----------
    model : mteb encoder, or "cosine", "dot" or "euclidean"
        Its similarity is the metric.
    index : {"hnsw", "flat", "ivfpq"}, default "hnsw"
    **params
        Of the index: M, ef_search ...

    Examples
    --------
    ``SearchEncoderWrapper(model, index_backend=NearfieldSearchIndex(model, ef_search=128))``
    """

    def __init__(self, model: Any, index: str = "hnsw", **params: Any) -> None:
        name = model
        if not isinstance(model, str):
            function = model.mteb_model_meta.similarity_fn_name
            name = getattr(function, "value", function) or "cosine"
        if name not in _METRICS:
            raise ValueError(f"similarity must be one of {', '.join(_METRICS)}, got {name!r}")
        self._metric = _METRICS[name]
        self._kind = index
        self._params = params
        self.clear()

    def clear(self) -> None:
        """Forget the documents."""
        self._index: Index | None = None
        self._rows: list[NDArray[np.float32]] = []
        self._ids: list[str] = []

    def add_documents(self, embeddings: Any, idxs: Sequence[str]) -> None:
        """Take documents; they are indexed by the first search.

        Parameters
        ----------
        embeddings : tensor or array, shape (n, dim)
        idxs : sequence of str, shape (n,)
        """
        rows = np.atleast_2d(as_matrix(embeddings, "embeddings"))
        if len(rows) != len(idxs):
            raise ValueError(f"idxs must have one entry a row ({len(rows)}), got {len(idxs)}")
        self._rows.append(rows)
        self._ids.extend(idxs)
        self._index = None

    def search(
        self,
        embeddings: Any,
        top_k: int,
        similarity_fn: Callable[..., Any] | None = None,
        top_ranked: Mapping[str, Sequence[str]] | None = None,
        query_idx_to_id: Mapping[int, str] | None = None,
    ) -> tuple[list[list[float]], list[list[int]]]:
        """Give scores and places of the best documents, for each query.

        Parameters
        ----------
        embeddings : tensor or array, shape (nq, dim)
        top_k : int
        similarity_fn : ignored
            The metric says it.
        top_ranked : dict, optional
            Query id to document ids, which are ranked exactly; places are places in that list.
        query_idx_to_id : dict
            Needed with `top_ranked`.
        """
        queries = np.atleast_2d(as_matrix(embeddings, "embeddings"))
        if not self._rows:
            raise ValueError("documents must be added before the search")
        if top_ranked is not None:
            if query_idx_to_id is None:
                raise ValueError("query_idx_to_id must be given with top_ranked, got None")
            listed = [top_ranked.get(query_idx_to_id[i], ()) for i in range(len(queries))]
            return self._rerank(queries, top_k, listed)
        if self._index is None:
            self._index = self._built()
        hits = self._index.search(queries, min(top_k, len(self._ids)))  # type: ignore[attr-defined]
        return [self._scores(row) for row in hits.distances], hits.ids.tolist()

    def _built(self) -> Index:
        rows = np.concatenate(self._rows)
        self._rows = [rows]
        index: Index = kinds.make(self._kind, rows.shape[1], metric=self._metric, **self._params)
        if hasattr(index, "train"):
            index.train(rows)
        index.add(rows)
        return index

    def _rerank(
        self, queries: NDArray[np.float32], top_k: int, listed: Sequence[Sequence[str]]
    ) -> tuple[list[list[float]], list[list[int]]]:
        rows = np.concatenate(self._rows)
        place = {id: i for i, id in enumerate(self._ids)}
        scores: list[list[float]] = []
        places: list[list[int]] = []
        for query, ids in zip(queries, listed, strict=True):
            if not ids:
                warnings.warn("top_ranked has no documents for a query", stacklevel=3)
                scores.append([])
                places.append([])
                continue
            some = Flat(rows.shape[1], metric=self._metric)
            some.add(rows[[place[id] for id in ids]])
            hits = some.search(query, min(top_k, len(ids)))
            scores.append(self._scores(hits.distances))
            places.append(hits.ids.tolist())
        return scores, places

    def _scores(self, distances: NDArray[np.float32]) -> list[float]:
        if self._metric == "l2":
            found: list[float] = (-np.sqrt(distances)).tolist()
            return found
        return [similarity(self._metric, far) for far in distances.tolist()]
