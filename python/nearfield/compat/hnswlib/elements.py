"""What an `hnswlib.Index` holds: live elements in a graph, deleted ones beside it."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearfield.compat.hnswlib.arguments import check_rows, last_of_each
from nearfield.errors import UnknownId
from nearfield.formats.hnswlib_file import HnswlibRows, read_rows
from nearfield.formats.hnswlib_writer import file_size, write_rows
from nearfield.formats.layers import as_layers
from nearfield.formats.whole import whole_file
from nearfield.hnsw import HNSW
from nearfield.persistence import from_bytes, to_bytes

__all__ = ["Elements"]

Labels = NDArray[np.int64]
Vectors = NDArray[np.float32]


class Elements:
    """Labels and vectors. Labels are int64 of the same bits as hnswlib's."""

    def __init__(
        self,
        dim: int,
        metric: str,
        max_elements: int,
        M: int,
        ef_construction: int,
        seed: int,
        allow_replace: bool,
    ) -> None:
        self.max_elements, self.M, self.seed = max_elements, M, seed
        self.ef_construction = max(ef_construction, M)
        self.allow_replace = allow_replace
        self.native = self._graph(dim, metric)
        self._deleted: dict[int, Vectors] = {}
        self._next = 0

    def _graph(self, dim: int, metric: str) -> HNSW:
        return HNSW(
            dim, metric, M=min(max(self.M, 4), 128),
            ef_construction=min(max(self.ef_construction, 1), 65_536),
            rerank="float32", seed=self.seed,
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.native) + len(self._deleted)

    def labels(self) -> Labels:
        """All labels, deleted ones last."""
        return np.concatenate([self.native.ids, np.fromiter(self._deleted, np.int64)])

    def vectors(self, labels: Labels) -> Vectors:
        """Vectors of live elements."""
        try:
            return self.native.get(labels)
        except UnknownId:
            raise RuntimeError("Label not found") from None

    def add(self, rows: Vectors, labels: Labels | None, threads: int, replace: bool) -> None:
        """Add or update; see `Index.add_items`."""
        if replace and not self.allow_replace:
            raise RuntimeError("Replacement of deleted elements is disabled in constructor")
        n = len(rows)
        if labels is None:
            labels = np.arange(self._next, self._next + n)
        keep = last_of_each(labels)
        if len(keep) < n:
            rows, labels = rows[keep], labels[keep]
        known = self._known(labels)
        again = {label for label in labels.tolist() if label in self._deleted}
        if again and self.allow_replace and not replace:
            raise RuntimeError(
                "Can't use addPoint to update deleted elements if replacement of deleted elements "
                "is enabled."
            )
        new = int((~known).sum()) - len(again)
        vacant = [label for label in self._deleted if label not in again] if replace else []
        if len(self) + new - min(new, len(vacant)) > self.max_elements:
            raise RuntimeError("The number of elements exceeds the specified limit")
        check_rows(rows, self.native.metric)
        if known.any():
            self.native.update(labels[known], rows[known], threads=threads)
        if not known.all():
            self.native.add(rows[~known], labels[~known], threads=threads)
        for label in (*again, *vacant[: max(new, 0)]):
            del self._deleted[label]
        self._next += n

    def _known(self, labels: Labels) -> NDArray[np.bool_]:
        if len(self.native) == 0:
            return np.zeros(len(labels), np.bool_)
        contains = self.native._core.contains
        return np.fromiter((contains(label) for label in labels.tolist()), np.bool_, len(labels))

    def mark_deleted(self, label: int) -> None:
        """Take an element out of the graph and keep its vector."""
        if label in self._deleted:
            raise RuntimeError("The requested to delete element is already deleted")
        vector = self.vectors(np.array([label]))[0]
        self.native.remove(label)
        self._deleted[label] = vector

    def unmark_deleted(self, label: int) -> None:
        """Link a deleted element again."""
        if label not in self._deleted:
            if label in self.native:
                raise RuntimeError("The requested to undelete element is not deleted")
            raise RuntimeError("Label not found")
        self.native.add(self._deleted[label][None], [label])
        del self._deleted[label]

    def resize(self, max_elements: int) -> None:
        """Set the most elements."""
        if max_elements < len(self):
            raise RuntimeError(
                "Cannot resize, max element is less than the current number of elements"
            )
        self.max_elements = max_elements

    def file_size(self) -> int:
        """Bytes of a saved file."""
        return file_size(len(self), self.native.dim, self.M)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write hnswlib's file; deleted elements get their links from a graph built for that."""
        graph = self.native
        labels = self.labels()
        vectors = graph.get(graph.ids)
        if self._deleted:
            vectors = np.concatenate([vectors, np.stack(list(self._deleted.values()))])
            graph = self._graph(graph.dim, graph.metric)
            graph.add(vectors, labels)
        deleted = np.zeros(len(labels), np.bool_)
        deleted[len(self.native) :] = True
        held = HnswlibRows(
            vectors, labels, deleted, self.max_elements, self.M, self.ef_construction
        )
        layers = as_layers(graph, self.M, self.seed)
        with whole_file(path) as temporary, temporary.open("wb") as file:
            write_rows(file, held, layers)

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], dim: int, metric: str, most: int, allow_replace: bool,
        threads: int,
    ) -> Elements:  # fmt: skip
        """Read hnswlib's file."""
        held = read_rows(path, dim)
        n = len(held.labels)
        if most < n:
            most = max(held.max_elements, n)
        elements = cls(dim, metric, most, held.M, held.ef_construction, 100, allow_replace)
        live = ~held.deleted
        if live.any():
            elements.native.add(held.vectors[live], held.labels[live], threads=threads)
        gone = zip(held.labels[~live].tolist(), held.vectors[~live], strict=True)
        elements._deleted = dict(gone)
        elements._next = n
        return elements

    def state(self) -> dict[str, Any]:
        """Everything, as numbers, arrays and the bytes of our own file."""
        return {
            "max_elements": self.max_elements, "M": self.M, "seed": self.seed,
            "ef_construction": self.ef_construction, "allow_replace": self.allow_replace,
            "graph": to_bytes(self.native), "next": self._next,
            "deleted": np.fromiter(self._deleted, np.int64),
            "deleted_vectors": np.array(list(self._deleted.values()), np.float32),
        }  # fmt: skip

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Elements:
        """Undo `state`."""
        elements = cls.__new__(cls)
        for name in ("max_elements", "M", "seed", "ef_construction", "allow_replace"):
            setattr(elements, name, state[name])
        elements.native = from_bytes(state["graph"])
        elements._next = state["next"]
        elements._deleted = dict(
            zip(state["deleted"].tolist(), state["deleted_vectors"], strict=True)
        )
        return elements
