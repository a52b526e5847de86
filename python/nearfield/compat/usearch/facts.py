"""What an `usearch.Index` tells about itself."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearfield import _core
from nearfield.compat.usearch.kinds import MetricKind, ScalarKind
from nearfield.hnsw import HNSW

__all__ = ["Facts"]


class Facts:
    """The properties of `Index`."""

    connectivity: int
    """Links of a vector in upper layers of usearch's file."""
    expansion_add: int
    """Candidates kept while linking; taken while the index is empty."""
    expansion_search: int
    """Candidates kept while searching."""
    path: str | os.PathLike[str] | None
    """Where `save` and `load` go that are not told."""
    _native: HNSW | None
    _metric: MetricKind
    _dtype: ScalarKind
    _ndim: int
    _plain: bool

    def __len__(self) -> int:
        return 0 if self._native is None else len(self._native)

    @property
    def size(self) -> int:
        """Vectors held."""
        return len(self)

    @property
    def capacity(self) -> int:
        """Vectors held: room is made as it is needed."""
        return len(self)

    @property
    def ndim(self) -> int:
        """Dimensions of a vector, or bits."""
        return self._ndim

    @property
    def dtype(self) -> ScalarKind:
        """How vectors are stored."""
        return self._dtype

    @property
    def metric(self) -> MetricKind:
        """What distances are."""
        return self._metric

    @property
    def metric_kind(self) -> MetricKind:
        """What distances are."""
        return self._metric

    @property
    def multi(self) -> bool:
        """False."""
        return False

    @property
    def jit(self) -> bool:
        """False."""
        return False

    @property
    def hardware_acceleration(self) -> str:
        """The highest kernel layer in use."""
        return str(_core.build_config()["isa"])

    @property
    def memory_usage(self) -> int:
        """Bytes."""
        return 0 if self._native is None else int(self._native.stats()["bytes"]["total"])

    @property
    def keys(self) -> NDArray[np.uint64]:
        """All keys, (n,) uint64."""
        if self._native is None:
            return np.empty(0, np.uint64)
        keys: NDArray[np.uint64] = self._native.ids.view(np.uint64)
        return keys

    @property
    def vectors(self) -> NDArray[Any]:
        """All vectors, in the order of `keys`."""
        return np.vstack(self.get(self.keys))

    def get(self, keys: Any, dtype: Any = None) -> Any:
        """See `Index.get`."""
        raise NotImplementedError

    @property
    def specs(self) -> dict[str, Any]:
        """Facts about the index."""
        names = ("ndim", "multi", "connectivity", "expansion_add", "expansion_search", "size",
                 "jit", "hardware_acceleration", "metric_kind", "dtype", "path")  # fmt: skip
        return {"type": "usearch.Index", **{name: getattr(self, name) for name in names}}

    def __repr__(self) -> str:
        return (
            f"usearch.Index({self._dtype} x {self._ndim}, {self._metric}, connectivity: "
            f"{self.connectivity}, expansion: {self.expansion_add} & {self.expansion_search}, "
            f"{len(self):,} vectors)"
        )
