"""Indexes of inverted lists and of product codes: `IndexIVF*` and `IndexPQ`."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearfield.compat.faiss.flat import IndexFlat
from nearfield.compat.faiss.index import Found, Index, Mask, Matrix, measured
from nearfield.compat.faiss.names import METRIC_INNER_PRODUCT, METRIC_L2, native_metric
from nearfield.compat.faiss.parameters import SearchParametersHNSW, SearchParametersIVF
from nearfield.compat.faiss.scalar import ScalarQuantizer
from nearfield.compat.faiss.states import read_state, with_lists
from nearfield.index import RangeNeighbors
from nearfield.ivfpq import IVFPQ

__all__ = ["IndexIVF", "IndexIVFFlat", "IndexIVFPQ", "IndexIVFScalarQuantizer", "IndexPQ"]


class IndexIVF(Index):
    """What indexes of inverted lists share, on `nearfield.IVFPQ`.

    A search opens `nprobe` lists, and more where these hold fewer than k vectors.
    """

    nprobe: int = 1
    """Lists opened; more than there are means all."""
    nlist: int = 1
    quantizer: Any = None
    """Index of the centroids."""
    by_residual: bool = True
    _native: IVFPQ
    _next: int = 0

    def __init__(self, quantizer: Any, d: int, nlist: int, metric: int = METRIC_L2) -> None:
        super().__init__(d, metric)
        if nlist < 1:
            raise RuntimeError(f"nlist must be at least 1, got {nlist}")
        if quantizer is not None and quantizer.d != d:
            raise RuntimeError(f"quantizer must have d = {d}, got {quantizer.d}")
        self.nlist = int(nlist)
        self.quantizer = quantizer if quantizer is not None else IndexFlat(d, metric)
        self.is_trained = False
        self._native = self._make()

    def _make(self) -> IVFPQ:
        # 8 bits a dimension rank so well that hardly a neighbor in the lists is missed.
        return IVFPQ(
            self.d, native_metric(self.metric_type), nlist=self.nlist, bits=8,
            rerank=self._stored_as(),
        )  # fmt: skip

    def _stored_as(self) -> str:
        return "float32"

    @property
    def ntotal(self) -> int:
        """Vectors held."""
        return len(self._native)

    def reset(self) -> None:
        """Remove all vectors; what was learned stays."""
        self._native.remove(self._native.ids)
        self._native.compact()
        self._next = 0

    def make_direct_map(self, new_maintain_direct_map: bool = True) -> None:
        """Do nothing: vectors are always found by their ids."""

    def _train(self, rows: Matrix) -> None:
        if self.is_trained:
            return
        given = self.quantizer.reconstruct_n() if self.quantizer.ntotal == self.nlist else None
        sample = rows if given is None else np.concatenate([given, rows])
        if len(sample) < self.nlist:
            raise RuntimeError(
                f"Number of training points ({len(rows)}) should be at least as large as number of "
                f"clusters ({self.nlist})"
            )
        native = self._make()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # faiss prints to stderr that the sample is small
            native.train(sample)
        native = with_lists(native, given)
        if given is None:
            self.quantizer.reset()
            self.quantizer.add(read_state(native).centroids)
        self._native = native
        self.is_trained = True

    def _add(self, rows: Matrix, ids: NDArray[np.int64] | None) -> None:
        if ids is None:
            ids = np.arange(self._next, self._next + len(rows))
        if len(rows):
            self._native.add(self._stored(rows), ids)
        self._next += len(rows)

    def _stored(self, rows: Matrix) -> Matrix:
        return rows

    def _opened(self, params: Any) -> int:
        if isinstance(params, SearchParametersHNSW):
            raise RuntimeError("IndexIVF params have incorrect type")
        nprobe = params.nprobe if isinstance(params, SearchParametersIVF) else self.nprobe
        if nprobe < 1:
            raise RuntimeError(f"nprobe must be at least 1, got {nprobe}")
        return min(int(nprobe), self.nlist)

    def _search(self, rows: Matrix, k: int, params: Any, allowed: Mask | None) -> Found:
        nprobe = self._opened(params)
        return self._as_found(self._native.search(rows, k, nprobe=nprobe, filter=allowed))

    def _range(
        self, rows: Matrix, radius: float, params: Any, allowed: Mask | None
    ) -> RangeNeighbors:
        limit = -radius if self.metric_type == METRIC_INNER_PRODUCT else radius
        nprobe = self._opened(params)
        found = self._native.range_search(rows, limit, nprobe=nprobe, filter=allowed)
        return self._as_range(found, radius)

    def _get(self, ids: NDArray[np.int64]) -> Matrix:
        return self._native.get(ids)

    def _remove(self, mask: Mask) -> None:
        self._native.remove(self._native.ids[mask])

    def _ids(self) -> NDArray[np.int64]:
        ids: NDArray[np.int64] = self._native.ids
        return ids

    def _keeps_ids(self) -> bool:
        return True


class IndexIVFFlat(IndexIVF):
    """Inverted lists of float32 vectors.

    They are ranked by codes of 8 bits a dimension first, and the best of them by themselves.

    Parameters
    ----------
    quantizer : Index
        Gets the centroids; where it holds `nlist` vectors already, these are the centroids.
    d : int
    nlist : int
    metric : {METRIC_L2, METRIC_INNER_PRODUCT}, default METRIC_L2
    """


class IndexIVFScalarQuantizer(IndexIVF):
    """Inverted lists of scalar-quantized vectors, kept decoded; see `IndexScalarQuantizer`.

    Parameters
    ----------
    quantizer, d, nlist
        As for `IndexIVFFlat`.
    qtype : ScalarQuantizer.QT_*, default QT_8bit
    metric : {METRIC_L2, METRIC_INNER_PRODUCT}, default METRIC_L2
    by_residual : bool, default True
        Quantize what vectors add to their centroids.
    """

    sq: ScalarQuantizer = ScalarQuantizer(1, ScalarQuantizer.QT_fp16)

    def __init__(
        self, quantizer: Any, d: int, nlist: int, qtype: int = ScalarQuantizer.QT_8bit,
        metric: int = METRIC_L2, by_residual: bool = True,
    ) -> None:  # fmt: skip
        self.sq = ScalarQuantizer(int(d), qtype)
        super().__init__(quantizer, d, nlist, metric)
        self.by_residual = bool(by_residual)

    def _train(self, rows: Matrix) -> None:
        super()._train(rows)
        self.sq.train(rows - self._centres(rows))

    def _centres(self, rows: Matrix) -> Matrix:
        """The nearest centroid of each row, or 0 without residuals."""
        if not self.by_residual:
            return np.zeros_like(rows)
        centres: Matrix = self.quantizer.reconstruct_batch(self.quantizer.assign(rows, 1)[:, 0])
        return centres

    def _stored(self, rows: Matrix) -> Matrix:
        centres = self._centres(rows)
        return self.sq.decode(self.sq.compute_codes(rows - centres)) + centres


class IndexIVFPQ(IndexIVF):
    """Inverted lists of product codes of residuals: `nearfield.IVFPQ(codes="pq", rerank=None)`.

    Parameters
    ----------
    quantizer, d, nlist
        As for `IndexIVFFlat`.
    M : int, a divisor of d
        Groups of dimensions.
    nbits : {4, 8}
        Bits a group.
    metric : {METRIC_L2, METRIC_INNER_PRODUCT}, default METRIC_L2
    """

    code_size: int = 0
    _m: int
    _bits: int

    def __init__(
        self, quantizer: Any, d: int, nlist: int, M: int, nbits: int, metric: int = METRIC_L2
    ) -> None:
        self._m, self._bits = _checked_product(d, M, nbits)
        self.code_size = (self._m * self._bits + 7) // 8
        super().__init__(quantizer, d, nlist, metric)

    def _make(self) -> IVFPQ:
        return _product_codes(self)

    def _train(self, rows: Matrix) -> None:
        _require_sample(rows, self._bits)
        super()._train(rows)

    def _search(self, rows: Matrix, k: int, params: Any, allowed: Mask | None) -> Found:
        hits = self._native.search(
            rows, _candidates(k), nprobe=self._opened(params), filter=allowed
        )
        return self._as_found(measured(self._get, self.metric_type, rows, hits.ids, k))


class IndexPQ(Index):
    """Product codes of all vectors, looked at one and all.

    Parameters
    ----------
    d : int
    M : int, a divisor of d
    nbits : {4, 8}, default 8
    metric : {METRIC_L2, METRIC_INNER_PRODUCT}, default METRIC_L2
    """

    code_size: int = 0
    nlist = 1
    _native: IVFPQ
    _m: int
    _bits: int

    def __init__(self, d: int, M: int, nbits: int = 8, metric: int = METRIC_L2) -> None:
        self._m, self._bits = _checked_product(d, M, nbits)
        self.code_size = (self._m * self._bits + 7) // 8
        super().__init__(d, metric)
        self.is_trained = False
        self._native = _product_codes(self)

    @property
    def ntotal(self) -> int:
        """Vectors held."""
        return len(self._native)

    def reset(self) -> None:
        """Remove all vectors; what was learned stays."""
        self._native.remove(self._native.ids)
        self._native.compact()

    def _train(self, rows: Matrix) -> None:
        _require_sample(rows, self._bits)
        native = _product_codes(self)
        native.train(rows)
        self._native, self.is_trained = native, True

    def _add(self, rows: Matrix, ids: NDArray[np.int64] | None) -> None:
        if ids is not None:
            raise RuntimeError("add_with_ids not implemented for this type of index")
        if len(rows):
            self._native.add(rows, np.arange(self.ntotal, self.ntotal + len(rows)))

    def _search(self, rows: Matrix, k: int, params: Any, allowed: Mask | None) -> Found:
        hits = self._native.search(rows, _candidates(k), nprobe=1, filter=allowed)
        return self._as_found(measured(self._get, self.metric_type, rows, hits.ids, k))

    def _range(
        self, rows: Matrix, radius: float, params: Any, allowed: Mask | None
    ) -> RangeNeighbors:
        limit = -radius if self.metric_type == METRIC_INNER_PRODUCT else radius
        return self._as_range(self._native.range_search(rows, limit, filter=allowed), radius)

    def _get(self, ids: NDArray[np.int64]) -> Matrix:
        return self._native.get(ids)

    def _remove(self, mask: Mask) -> None:
        kept = self._native.get(np.flatnonzero(~mask))  # codes of decoded vectors are the same
        self.reset()
        self._add(kept, None)


def _candidates(k: int) -> int:
    """How many are ranked by the vectors that their codes stand for, as faiss ranks all."""
    return 8 * k + 60


def _checked_product(d: int, m: int, bits: int) -> tuple[int, int]:
    if m < 1 or d % m:
        raise RuntimeError(f"The dimension of the vector should be a multiple of M: {d}, {m}")
    if bits not in (4, 8):
        raise NotImplementedError(f"nbits must be 4 or 8 in nearfield's faiss layer, got {bits}")
    return int(m), int(bits)


def _require_sample(rows: Matrix, bits: int) -> None:
    if len(rows) < 1 << bits:
        raise RuntimeError(
            f"Number of training points ({len(rows)}) should be at least as large as number of "
            f"clusters ({1 << bits})"
        )


def _product_codes(index: IndexIVFPQ | IndexPQ) -> IVFPQ:
    return IVFPQ(
        index.d, native_metric(index.metric_type), nlist=index.nlist, nprobe=1, codes="pq",
        bits=index._bits, pq_m=index._m, rerank=None,
    )  # fmt: skip
