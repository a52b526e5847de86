"""txtai: an ANN backend, taken by its dotted name."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from nearfield import kinds
from nearfield._optional import import_extra
from nearfield.arrays import as_matrix
from nearfield.integrations._rows import similarity
from nearfield.persistence import load

__all__ = ["NearfieldANN"]

ANN: Any = import_extra("txtai.ann", "txtai", "the txtai backend").ANN
NAME = "nearfield.integrations.txtai.NearfieldANN"


class NearfieldANN(ANN):
    """txtai's index of vectors.

    ``Embeddings(backend="nearfield.integrations.txtai.NearfieldANN")``; settings come beside it
    under the same name: ``kind`` ("hnsw", "flat" or "ivfpq"), ``metric`` ("dot", as txtai scales
    vectors to norm 1, "cosine" or "l2") and what the kind takes, such as ``M`` and ``ef_search``.

    Examples
    --------
    >>> ann = NearfieldANN({"backend": NAME, "dimensions": 2, NAME: {"kind": "flat"}})
    >>> ann.index(np.eye(2, dtype=np.float32))
    >>> ann.search(np.array([[1.0, 0.0]]), 1)
    [[(0, 1.0)]]
    """

    def load(self, path: str) -> None:
        """Read an index that `save` wrote."""
        self.backend = load(path)

    def index(self, embeddings: Any) -> None:
        """Build an index of vectors (n, dim); their ids are 0, 1, 2 ..."""
        rows = np.atleast_2d(as_matrix(embeddings, "embeddings"))
        params = dict(self.config.get(self.config["backend"]) or {})
        kind = params.pop("kind", "hnsw")
        params.setdefault("metric", "dot")
        index = kinds.make(kind, rows.shape[1], **params)
        if hasattr(index, "train"):
            index.train(rows)
        self.backend = index
        self.config["offset"] = 0
        self._add(rows)
        self.metadata({"kind": kind, **params})

    def append(self, embeddings: Any) -> None:
        """Add vectors (n, dim), numbered on."""
        self._add(np.atleast_2d(as_matrix(embeddings, "embeddings")))
        self.metadata()

    def _add(self, rows: Any) -> None:
        first = self.config["offset"]
        self.backend.add(rows, ids=np.arange(first, first + len(rows)))
        self.config["offset"] = first + len(rows)

    def delete(self, ids: Iterable[int]) -> None:
        """Remove vectors; ids that are not held are passed over."""
        listed = np.array(list(dict.fromkeys(ids)), dtype=np.int64)
        if len(listed):
            self.backend.remove(listed, missing="ignore")

    def search(self, queries: Any, limit: int) -> list[list[tuple[int, float]]]:
        """Give (id, similarity) of the nearest, best first, for each query."""
        metric = self.backend.metric
        hits = self.backend.search(np.atleast_2d(as_matrix(queries, "queries")), max(1, limit))
        return [
            [
                (id, similarity(metric, far))
                for id, far in zip(ids, distances, strict=True)
                if far < np.inf
            ]
            for ids, distances in zip(hits.ids.tolist(), hits.distances.tolist(), strict=True)
        ]

    def count(self) -> int:
        """Tell how many vectors there are."""
        return len(self.backend)

    def save(self, path: str) -> None:
        """Write the index to one file."""
        self.backend.save(path)
