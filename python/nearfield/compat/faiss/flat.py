"""Exact indexes: `IndexFlat`, `IndexScalarQuantizer`, and what has positions for ids."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearfield.compat.faiss.index import Found, Index, Mask, Matrix
from nearfield.compat.faiss.names import METRIC_INNER_PRODUCT, METRIC_L2, native_metric
from nearfield.compat.faiss.scalar import ScalarQuantizer
from nearfield.flat import Flat
from nearfield.hnsw import HNSW
from nearfield.index import RangeNeighbors

__all__ = ["IndexFlat", "IndexFlatIP", "IndexFlatL2", "IndexScalarQuantizer", "Positional"]


class Positional(Index):
    """An index whose ids are positions: what is behind a removed vector moves up."""

    _native: Flat | HNSW

    def _make(self) -> Flat | HNSW:
        return Flat(self.d, native_metric(self.metric_type))

    @property
    def ntotal(self) -> int:
        """Vectors held."""
        return len(self._native)

    def reset(self) -> None:
        """Remove all vectors; what was learned stays."""
        self._native = self._make()

    def _add(self, rows: Matrix, ids: NDArray[np.int64] | None) -> None:
        if ids is not None:
            raise RuntimeError("add_with_ids not implemented for this type of index")
        if len(rows):
            self._native.add(self._stored(rows))

    def _stored(self, rows: Matrix) -> Matrix:
        """Vectors as they are kept."""
        return rows

    def _search(self, rows: Matrix, k: int, params: Any, allowed: Mask | None) -> Found:
        return self._as_found(self._native.search(rows, k, filter=allowed))

    def _range(
        self, rows: Matrix, radius: float, params: Any, allowed: Mask | None
    ) -> RangeNeighbors:
        limit = -radius if self.metric_type == METRIC_INNER_PRODUCT else radius
        return self._as_range(self._native.range_search(rows, limit, filter=allowed), radius)

    def _get(self, ids: NDArray[np.int64]) -> Matrix:
        return self._native.get(ids)

    def _remove(self, mask: Mask) -> None:
        if not mask.any():
            return
        kept = self._native.get(np.flatnonzero(~mask))
        self._native = self._make()
        if len(kept):
            self._native.add(kept)


class IndexFlat(Positional):
    """Exact search, on `nearfield.Flat`.

    Parameters
    ----------
    d : int
    metric : {METRIC_L2, METRIC_INNER_PRODUCT}, default METRIC_L2
    """

    def __init__(self, d: int, metric: int = METRIC_L2) -> None:
        super().__init__(d, metric)
        self._native = self._make()

    @property
    def code_size(self) -> int:
        """Bytes of a vector."""
        return 4 * self.d

    def get_xb(self) -> NDArray[np.float32]:
        """Give a copy of all vectors, flat."""
        return self.reconstruct_n().ravel()


class IndexFlatL2(IndexFlat):
    """`IndexFlat` under METRIC_L2."""

    def __init__(self, d: int) -> None:
        super().__init__(d, METRIC_L2)


class IndexFlatIP(IndexFlat):
    """`IndexFlat` under METRIC_INNER_PRODUCT."""

    def __init__(self, d: int) -> None:
        super().__init__(d, METRIC_INNER_PRODUCT)


class IndexScalarQuantizer(Positional):
    """Exact search among scalar-quantized vectors.

    Values are rounded as faiss rounds them and kept decoded: answers are faiss's, memory is 4 bytes
    a value (2 for fp16).

    Parameters
    ----------
    d : int
    qtype : ScalarQuantizer.QT_*, default QT_8bit
    metric : {METRIC_L2, METRIC_INNER_PRODUCT}, default METRIC_L2
    """

    sq: ScalarQuantizer = ScalarQuantizer(1, ScalarQuantizer.QT_fp16)

    def __init__(
        self, d: int, qtype: int = ScalarQuantizer.QT_8bit, metric: int = METRIC_L2
    ) -> None:
        super().__init__(d, metric)
        self.sq = ScalarQuantizer(self.d, qtype)
        self.is_trained = self.sq.is_trained
        self._native = self._make()

    @property
    def code_size(self) -> int:
        """Bytes of a code in faiss's file."""
        return self.sq.code_size

    def _make(self) -> Flat:
        return Flat(self.d, native_metric(self.metric_type), self.sq.stored_as)

    def _train(self, rows: Matrix) -> None:
        self.sq.train(rows)
        self.is_trained = True

    def _stored(self, rows: Matrix) -> Matrix:
        return self.sq.decode(self.sq.compute_codes(rows))
