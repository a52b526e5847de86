"""Graph indexes: `IndexHNSWFlat` and `IndexHNSWSQ`."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearfield import _core
from nearfield.compat.faiss.flat import IndexFlat, IndexScalarQuantizer, Positional
from nearfield.compat.faiss.index import Found, Mask, Matrix
from nearfield.compat.faiss.names import METRIC_L2, native_metric
from nearfield.compat.faiss.parameters import SearchParametersHNSW
from nearfield.compat.faiss.scalar import ScalarQuantizer
from nearfield.formats.layers import upper_sizes
from nearfield.hnsw import HNSW
from nearfield.index import Neighbors, RangeNeighbors

__all__ = ["HNSWSettings", "IndexHNSW", "IndexHNSWFlat", "IndexHNSWSQ"]

_MOST_EF = 65_536


class HNSWSettings:
    """`index.hnsw`: efConstruction, taken at the first `add`, and efSearch."""

    def __init__(self, M: int) -> None:
        self.M = M
        self.efConstruction = 40
        self.efSearch = 16
        self.check_relative_distance = True
        self.search_bounded_queue = True

    def nb_neighbors(self, layer_no: int) -> int:
        """Give the most links in a layer."""
        return 2 * self.M if layer_no == 0 else self.M


class IndexHNSW(Positional):
    """What graph indexes share, on `nearfield.HNSW`."""

    hnsw: HNSWSettings = HNSWSettings(32)
    _native: HNSW

    def __init__(self, d: int, M: int = 32, metric: int = METRIC_L2) -> None:
        super().__init__(d, metric)
        if M < 1:
            raise RuntimeError(f"M must be at least 1, got {M}")
        self.hnsw = HNSWSettings(int(M))
        self._native = self._make()

    def _make(self) -> HNSW:
        return HNSW(
            self.d, native_metric(self.metric_type), M=min(max(self.hnsw.M, 4), 128),
            ef_construction=min(max(self.hnsw.efConstruction, 1), _MOST_EF),
            rerank=self._stored_as(),
        )  # fmt: skip

    def _stored_as(self) -> str:
        return "float32"

    @property
    def max_level(self) -> int:
        """Layers above the lowest in faiss's file."""
        return len(upper_sizes(self.ntotal, self.hnsw.M))

    def _add(self, rows: Matrix, ids: NDArray[np.int64] | None) -> None:
        if not len(self._native):
            self._native = self._make()  # efConstruction may have been set since
        super()._add(rows, ids)

    def search(self, x: Any, k: int, **options: Any) -> Found:
        """Find the k nearest vectors of each query; see `Index.search`."""
        if not options and isinstance(x, np.ndarray) and len(x) == 1:  # the short way for one
            ef = self.hnsw.efSearch
            one = _core.search_one(self._native._core, Neighbors, x[0], k, ef if ef > k else k, 1)
            if one is not None and one[0][-1] >= 0:
                distances = one[1][None]
                if self.metric_type != METRIC_L2:
                    np.negative(distances, out=distances)
                return distances, one[0][None]
        return super().search(x, k, **options)

    def _search(self, rows: Matrix, k: int, params: Any, allowed: Mask | None) -> Found:
        ef = params.efSearch if isinstance(params, SearchParametersHNSW) else self.hnsw.efSearch
        ef = min(max(ef, k), _MOST_EF)
        found = self._native.search(
            rows, k, ef_search=ef if k <= _MOST_EF else None, filter=allowed
        )
        return self._as_found(found)

    def _range(
        self, rows: Matrix, radius: float, params: Any, allowed: Mask | None
    ) -> RangeNeighbors:
        ef = params.efSearch if isinstance(params, SearchParametersHNSW) else self.hnsw.efSearch
        limit = radius if self.metric_type == METRIC_L2 else -radius
        found = self._native.range_search(rows, limit, ef_search=max(ef, 1), filter=allowed)
        return self._as_range(found, radius)

    def _remove(self, mask: Mask) -> None:
        raise RuntimeError("remove_ids not implemented for this type of index")


class IndexHNSWFlat(IndexHNSW):
    """A graph over float32 vectors.

    Parameters
    ----------
    d : int
    M : int, default 32
        Links in upper layers of faiss's file; twice as many in the lowest, which is ours.
    metric : {METRIC_L2, METRIC_INNER_PRODUCT}, default METRIC_L2
    """

    @property
    def storage(self) -> IndexFlat:
        """The vectors as an `IndexFlat`; a copy."""
        flat = IndexFlat(self.d, self.metric_type)
        if self.ntotal:
            flat.add(self.reconstruct_n())
        return flat


class IndexHNSWSQ(IndexHNSW):
    """A graph over scalar-quantized vectors; see `IndexScalarQuantizer`.

    Parameters
    ----------
    d : int
    qtype : ScalarQuantizer.QT_*
    M : int, default 32
    metric : {METRIC_L2, METRIC_INNER_PRODUCT}, default METRIC_L2
    """

    _sq: ScalarQuantizer

    def __init__(self, d: int, qtype: int, M: int = 32, metric: int = METRIC_L2) -> None:
        self._sq = ScalarQuantizer(int(d), qtype)
        super().__init__(d, M, metric)
        self.is_trained = self._sq.is_trained

    @property
    def storage(self) -> IndexScalarQuantizer:
        """The vectors as an `IndexScalarQuantizer`; a copy."""
        held = IndexScalarQuantizer(self.d, self._sq.qtype, self.metric_type)
        held.sq, held.is_trained = self._sq, self.is_trained
        if self.ntotal:
            held.add(self.reconstruct_n())
        return held

    def _stored_as(self) -> str:
        return self._sq.stored_as

    def _train(self, rows: Matrix) -> None:
        self._sq.train(rows)
        self.is_trained = True

    def _stored(self, rows: Matrix) -> Matrix:
        return self._sq.decode(self._sq.compute_codes(rows))
