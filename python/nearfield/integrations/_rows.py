"""What the stores of other libraries keep their rows in: a collection, made when it is needed."""

from __future__ import annotations

import shutil
import tempfile
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nearfield._optional import import_extra
from nearfield.arrays import as_matrix
from nearfield.collection import Collection, Hit, Item
from nearfield.explore.suggest import choose
from nearfield.flat import Flat

__all__ = ["Rows", "exact", "similarity"]


class Rows:
    """A collection with str ids whose dim is that of the first vector written.

    Parameters
    ----------
    path : path-like, Collection or None
        None keeps the rows in a folder of their own that goes with this object.
    dim : int, optional
        Where it is known before.
    metric : str
        Of a collection that is made; one that is there keeps its own.
    options
        Of `nearfield.Collection`.
    """

    def __init__(
        self,
        path: str | Path | Collection | None,
        *,
        metric: str = "cosine",
        dim: int | None = None,
        **options: Any,
    ) -> None:
        self._opened: list[Collection] = []
        self._making = threading.Lock()
        self._metric = metric
        self._options = options
        self.temporary = path is None
        if isinstance(path, Collection):
            self.folder = path.path
            self._opened.append(path)
            return
        if path is None:
            self.folder = Path(tempfile.mkdtemp(prefix="nearfield-"))
            self._options = {"durability": "os", **options}
            weakref.finalize(self, _discard, self._opened, self.folder)
        else:
            self.folder = Path(path)
        if (self.folder / "rows.db").exists():
            self._opened.append(Collection(self.folder, dim=dim, **self._options))
        elif dim is not None:
            self._make(dim)

    def _make(self, dim: int) -> Collection:
        with self._making:
            if not self._opened:
                made = Collection(self.folder, dim=dim, metric=self._metric, **self._options)
                self._opened.append(made)
            return self._opened[0]

    @property
    def collection(self) -> Collection | None:
        """The collection; None as long as no vector has come."""
        return self._opened[0] if self._opened else None

    @property
    def metric(self) -> str:
        """'cosine', 'dot' or 'l2'."""
        return self._opened[0].metric if self._opened else self._metric

    def __len__(self) -> int:
        return len(self._opened[0]) if self._opened else 0

    def upsert(
        self,
        ids: Sequence[str],
        texts: Sequence[str],
        vectors: ArrayLike,
        metadata: Sequence[Mapping[str, Any] | None],
    ) -> None:
        """Write rows; of those with one id the last one."""
        if not len(ids):
            return
        matrix = as_matrix(vectors, "vectors")
        last = {id: i for i, id in enumerate(ids)}
        if len(last) < len(ids):
            kept = sorted(last.values())
            ids, texts = [ids[i] for i in kept], [texts[i] for i in kept]
            matrix, metadata = matrix[kept], [metadata[i] for i in kept]
        collection = self._opened[0] if self._opened else self._make(matrix.shape[-1])
        collection.upsert(list(ids), texts=list(texts), vectors=matrix, metadata=list(metadata))

    def search(
        self, vector: ArrayLike, k: int, where: Mapping[str, Any] | None = None, **options: Any
    ) -> list[Hit]:
        """Find the k nearest rows."""
        if self.collection is None:
            return []
        found: list[Hit] = self.collection.search(
            as_matrix(vector, "query"), k, where=where, **options
        )
        return found

    def search_where(
        self, vector: ArrayLike, k: int, keep: Callable[[Hit], bool], **options: Any
    ) -> list[Hit]:
        """Find the k nearest rows that `keep` says yes to, looking at more until there are k."""
        wanted = 4 * k
        while True:
            wanted = min(wanted, max(1, len(self)))
            hits = self.search(vector, wanted, **options)
            kept = [hit for hit in hits if keep(hit)]
            if len(kept) >= k or wanted >= len(self):
                return kept[:k]
            wanted *= 4

    def hybrid(
        self,
        text: str,
        vector: ArrayLike,
        k: int,
        alpha: float,
        where: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> list[Hit]:
        """Find the k best rows by meaning and by words; `alpha` is the weight of meaning."""
        if self.collection is None:
            return []
        import_extra("bm25s", "text", "hybrid search")
        from nearfield.text import Hybrid

        how = Hybrid("weighted", alpha)
        found: list[Hit] = self.collection.search(
            text, k, where=where, hybrid=how, vector=as_matrix(vector, "query"), **options
        )
        return found

    def diverse(
        self, vector: ArrayLike, hits: Sequence[Hit], k: int, diversity: float
    ) -> list[Hit]:
        """Choose k hits by maximal marginal relevance."""
        if not hits or self.collection is None:
            return []
        items = self.collection.get([hit.id for hit in hits], missing="ignore")
        vectors = {item.id: item.vector for item in items}
        hits = [hit for hit in hits if hit.id in vectors]
        rows = np.stack([vectors[hit.id] for hit in hits])
        return [
            hits[i] for i in choose(as_matrix(vector, "query"), rows, self.metric, k, diversity)
        ]

    def get(self, ids: Sequence[str]) -> list[Item]:
        """Rows of those ids that are held."""
        if self.collection is None or not len(ids):
            return []
        found: list[Item] = self.collection.get(list(dict.fromkeys(ids)), missing="ignore")
        return found

    def items(self, where: Mapping[str, Any] | None = None, **options: Any) -> list[Item]:
        """All rows that meet a condition, in the order in which they were written."""
        if self.collection is None:
            return []
        return list(self.collection.iterate(where, **options))

    def delete(self, ids: Sequence[Any]) -> int:
        """Delete those rows that are held; tells how many."""
        if self.collection is None or not len(ids):
            return 0
        return self.collection.delete(list(dict.fromkeys(ids)), missing="ignore")

    def clear(self) -> None:
        """Delete all rows."""
        self.delete([item.id for item in self.items()])

    def copy_to(self, folder: Path) -> None:
        """Write all rows into another collection, which is made."""
        if self.collection is None:
            return
        with Collection(folder, dim=self.collection.dim, metric=self.metric) as other:
            items = self.items()
            for start in range(0, len(items), 1024):
                some = items[start : start + 1024]
                other.upsert(
                    [item.id for item in some],
                    texts=[item.text or "" for item in some],
                    vectors=np.stack([item.vector for item in some]),
                    metadata=[item.metadata for item in some],
                )

    def close(self) -> None:
        """Close the collection."""
        for collection in self._opened:
            collection.close()


def _discard(opened: list[Collection], folder: Path) -> None:
    for collection in opened:
        collection.close()
    shutil.rmtree(folder, ignore_errors=True)


def exact(
    vector: ArrayLike, items: Sequence[Item], metric: str, k: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Measure all of these rows: places and distances of the k nearest."""
    query = as_matrix(vector, "query")
    index = Flat(query.shape[-1], metric=metric)
    index.add(np.stack([item.vector for item in items]))
    hits = index.search(query, min(k, len(items)))
    return hits.ids, hits.distances


def similarity(metric: str, distance: float) -> float:
    """What grows with nearness: the cosine, the inner product, or 1 / (1 + distance) under l2."""
    if metric == "cosine":
        return 1.0 - distance
    return -distance if metric == "dot" else 1.0 / (1.0 + distance)
