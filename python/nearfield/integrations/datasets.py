"""Hugging Face datasets: nearest examples of a column of embeddings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearfield import kinds
from nearfield._optional import import_extra
from nearfield.arrays import as_matrix
from nearfield.index import Index
from nearfield.persistence import load

__all__ = ["CustomIndex", "NearfieldIndex", "add_index"]

_search: Any = import_extra("datasets.search", "datasets", "searching datasets")
BaseIndex: Any = _search.BaseIndex


class CustomIndex:
    """What ``Dataset.add_faiss_index(column, custom_index=...)`` takes.

    Parameters
    ----------
    index : Index
        Vectors are added and numbered as rows of the dataset.

    Notes
    -----
    That method wants a module named faiss to be there: faiss itself, or
    ``nearfield.compat.faiss.install()`` before datasets is imported. `add_index` does without.
    """

    verbose = False

    def __init__(self, index: Index) -> None:
        self.index = index

    @property
    def d(self) -> int:
        """Dimensions of a vector."""
        return self.index.dim

    @property
    def ntotal(self) -> int:
        """How many vectors there are."""
        return len(self.index)

    def train(self, vectors: Any) -> None:
        """Train an index that wants it."""
        if hasattr(self.index, "train"):
            self.index.train(vectors)

    def add(self, vectors: Any) -> None:
        """Add vectors (n, dim)."""
        self.index.add(vectors)

    def search(self, queries: Any, k: int, **params: Any) -> tuple[Any, Any]:
        """Give distances and ids, (nq, k) each; smaller is nearer in every metric."""
        hits = self.index.search(  # type: ignore[attr-defined]
            np.atleast_2d(as_matrix(queries, "queries")), k, **params
        )
        return hits.distances, hits.ids


class NearfieldIndex(BaseIndex):
    """An index of a dataset, as its own `FaissIndex` is one."""

    def __init__(self, index: Index) -> None:
        self.custom = CustomIndex(index)

    def search(self, query: Any, k: int = 10, **kwargs: Any) -> Any:
        """Give distances and rows of the k nearest to one query."""
        distances, rows = self.search_batch(np.atleast_2d(query), k, **kwargs)
        return _search.SearchResults(distances[0], rows[0])

    def search_batch(self, queries: Any, k: int = 10, **kwargs: Any) -> Any:
        """Give distances and rows of the k nearest to each query."""
        distances, rows = self.custom.search(queries, k, **kwargs)
        return _search.BatchedSearchResults(distances, rows)

    def save(self, file: str | Path, storage_options: dict[str, Any] | None = None) -> None:
        """Write the index to a file; the path must be local."""
        self.custom.index.save(file)

    @classmethod
    def load(
        cls,
        file: str | Path,
        device: int | None = None,
        storage_options: dict[str, Any] | None = None,
    ) -> NearfieldIndex:
        """Read what `save` wrote."""
        return cls(load(file))


def add_index(
    dataset: Any,
    column: str,
    name: str | None = None,
    *,
    index: Index | str = "hnsw",
    metric: str = "cosine",
    batch_size: int = 4096,
    **params: Any,
) -> Any:
    """Index a column of embeddings, for `Dataset.get_nearest_examples` and its like.

    Parameters
    ----------
    dataset : datasets.Dataset
    column : str
        Of lists of one length.
    name : str, optional
        Under which the dataset knows the index; the column's where not given.
    index : str or Index, default "hnsw"
        A kind, made with `metric` and `params`; or an index of the rows, which is taken as it is
        where it holds vectors already.
    batch_size : int, default 4096
        Rows read at a time.

    Returns
    -------
    datasets.Dataset
        The same.
    """
    made = index
    if isinstance(made, str) or not len(made):
        rows = _rows(dataset, column, batch_size)
        if isinstance(made, str):
            made = kinds.make(made, rows.shape[1], metric=metric, **params)
        if hasattr(made, "train"):
            made.train(rows)
        made.add(rows)
    assert isinstance(made, Index)
    if len(made) != len(dataset):
        raise ValueError(f"index must hold the rows of the dataset ({len(dataset)}), got {made}")
    dataset._indexes[name or column] = NearfieldIndex(made)
    return dataset


def _rows(dataset: Any, column: str, batch_size: int) -> NDArray[np.float32]:
    arrow = dataset.with_format("arrow").select_columns([column])
    pieces = (
        arrow[start : start + batch_size].column(column)
        for start in range(0, len(dataset), batch_size)
    )
    return as_matrix(pieces, column)
