"""vicinity: a backend that deletes, filters nothing, and is saved in one file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearfield import kinds
from nearfield._optional import import_extra
from nearfield.index import Index
from nearfield.persistence import load as load_index

__all__ = ["NearfieldArgs", "NearfieldBackend", "load", "make"]

_USE = "the vicinity backend"
_backends: Any = import_extra("vicinity.backends.base", "vicinity", _USE)
_vicinity: Any = import_extra("vicinity", "vicinity", _USE)
AbstractBackend: Any = _backends.AbstractBackend
BaseArgs: Any = _backends.BaseArgs
Metric: Any = _vicinity.Metric

_METRICS = {"cosine": "cosine", "euclidean": "l2", "l2sq": "l2", "inner_product": "dot"}
Found = list[tuple[NDArray[np.int64], NDArray[np.float32]]]


class _Kind(Enum):
    """vicinity names backends by an enum that nobody can add to."""

    NEARFIELD = "nearfield"


@dataclass
class NearfieldArgs(BaseArgs):
    """Settings: metric, kind ("hnsw", "flat"), and of a graph M, ef_construction, ef_search."""

    metric: Any = Metric.COSINE
    kind: str = "hnsw"
    M: int = 16
    ef_construction: int = 200
    ef_search: int = 64


class NearfieldBackend(AbstractBackend):
    """Vectors by their places; deleting moves those behind forward, as vicinity wants it."""

    argument_class = NearfieldArgs

    def __init__(self, index: Index, arguments: NearfieldArgs) -> None:
        super().__init__(arguments)
        self.index = index
        self._ids: NDArray[np.int64] = np.sort(index.ids)

    @classmethod
    def from_vectors(cls, vectors: Any, *args: Any, **kwargs: Any) -> NearfieldBackend:
        """Make a backend of vectors (n, dim); other arguments are those of `NearfieldArgs`."""
        given = NearfieldArgs(**kwargs)
        given.metric = Metric.from_string(given.metric)
        if given.metric.value not in _METRICS:
            raise ValueError(
                f"metric must be one of {', '.join(_METRICS)}, got {given.metric.value!r}"
            )
        graph = {"M": given.M, "ef_construction": given.ef_construction,
                 "ef_search": given.ef_search}  # fmt: skip
        index: Index = kinds.make(
            given.kind, vectors.shape[1], metric=_METRICS[given.metric.value],
            **(graph if given.kind == "hnsw" else {}),
        )  # fmt: skip
        index.add(vectors)
        return cls(index, given)

    def __len__(self) -> int:
        return len(self.index)

    @property
    def backend_type(self) -> Any:
        """'nearfield', as an enum's member."""
        return _Kind.NEARFIELD

    @property
    def dim(self) -> int:
        """Dimensions of a vector."""
        return self.index.dim

    @classmethod
    def load(cls, path: Path) -> NearfieldBackend:
        """Read what `save` wrote into a folder."""
        arguments = NearfieldArgs.load(path / "arguments.json")
        return cls(load_index(path / "index.nf"), arguments)

    def save(self, path: Path) -> None:
        """Write index and settings into a folder."""
        self.index.save(path / "index.nf")
        self.arguments.dump(path / "arguments.json")

    def insert(self, vectors: Any) -> None:
        """Add vectors behind those there are."""
        first = int(self._ids[-1]) + 1 if len(self._ids) else 0
        fresh = np.arange(first, first + len(vectors))
        self.index.add(vectors, ids=fresh)
        self._ids = np.concatenate([self._ids, fresh])

    def delete(self, indices: list[int]) -> None:
        """Delete the vectors at these places."""
        self.index.remove(self._ids[indices])
        self._ids = np.delete(self._ids, indices)

    def query(self, vectors: Any, k: int) -> Found:
        """Give places and distances of the k nearest, for each query."""
        k = max(1, min(k, len(self)))
        hits = self.index.search(np.atleast_2d(vectors), k)  # type: ignore[attr-defined]
        return [
            self._found(ids[ids >= 0], distances[ids >= 0])
            for ids, distances in zip(hits.ids, hits.distances, strict=True)
        ]

    def threshold(self, vectors: Any, threshold: float, max_k: int) -> Found:
        """Give the nearest that are nearer than a threshold, at most `max_k`, for each query."""
        return [
            (places[distances < threshold], distances[distances < threshold])
            for places, distances in self.query(vectors, max_k)
        ]

    def _found(self, ids: Any, distances: Any) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        euclidean = self.arguments.metric == Metric.EUCLIDEAN
        scaled = np.sqrt(distances) if euclidean else distances.copy()
        return np.searchsorted(self._ids, ids), scaled


def make(vectors: Any, items: Sequence[Any], **kwargs: Any) -> Any:
    """Make a `vicinity.Vicinity` of vectors (n, dim) and items (n,); see `NearfieldArgs`."""
    return _vicinity.Vicinity(items, NearfieldBackend.from_vectors(np.asarray(vectors), **kwargs))


def load(folder: str | Path) -> Any:
    """Read a Vicinity whose `save` wrote it; `Vicinity.load` knows its own backends alone."""
    import json

    path = Path(folder)
    stored = json.loads((path / "data.json").read_bytes())
    if stored.get("backend_type") != "nearfield":
        raise ValueError(f"folder must hold this backend, got {stored.get('backend_type')!r}")
    return _vicinity.Vicinity(
        stored["items"], NearfieldBackend.load(path), metadata=stored["metadata"]
    )
