"""`IndexBinaryFlat`: Hamming distances of bit strings."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearfield.compat.damage import told_as_runtime_error
from nearfield.compat.faiss.parameters import SearchParameters
from nearfield.compat.faiss.selectors import as_selector
from nearfield.flat import Flat

__all__ = ["IndexBinary", "IndexBinaryFlat"]

Codes = NDArray[np.uint8]
_FARTHEST = np.iinfo(np.int32).max


class IndexBinary:
    """What faiss's indexes of bit strings have in common."""

    d: int
    is_trained = True
    verbose = False
    metric_type = 1


class IndexBinaryFlat(IndexBinary):
    """Exact search among bit strings, on `nearfield.Flat`, with a byte a bit.

    Parameters
    ----------
    d : int, a multiple of 8
        Bits.
    """

    def __init__(self, d: int) -> None:
        if d < 8 or d % 8:
            raise RuntimeError(f"d must be a positive multiple of 8, got {d}")
        self.d, self.code_size = int(d), int(d) // 8
        self.reset()

    @property
    def ntotal(self) -> int:
        """Bit strings held."""
        return len(self._native)

    @property
    def xb(self) -> Codes:
        """All codes, (ntotal, d / 8)."""
        return self.reconstruct_n()

    def reset(self) -> None:
        """Remove all bit strings."""
        self._native = Flat(self.d, "l2", "int8")

    def train(self, x: Any) -> None:
        """Check the shape; there is nothing to learn."""
        self._checked(x)

    def add(self, x: Any) -> None:
        """Add codes (n, d / 8), uint8."""
        codes = self._checked(x)
        if len(codes):
            self._native.add(_bits(codes))

    def add_with_ids(self, x: Any, ids: Any) -> None:
        """Raise RuntimeError: ids are positions."""
        raise RuntimeError("add_with_ids not implemented for this type of index")

    def search(
        self, x: Any, k: int, *, params: SearchParameters | None = None
    ) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Find the k nearest codes of each query.

        Returns
        -------
        D : ndarray, shape (nq, k), int32
            Bits that differ; the largest int32 where there are fewer than k.
        I : ndarray, shape (nq, k), int64
            Positions; -1 where there are fewer.
        """
        codes = self._checked(x)
        if k <= 0:
            raise AssertionError(f"k must be at least 1, got {k}")
        mask = None
        if params is not None and params.sel is not None:
            mask = params.sel.mask(np.arange(self.ntotal))
        found = self._native.search(_bits(codes), int(k), filter=mask)
        held = found.ids >= 0
        distances = np.where(held, np.rint(np.where(held, found.distances, 0)), _FARTHEST)
        return distances.astype(np.int32), found.ids

    def range_search(
        self, x: Any, thresh: float, *, params: SearchParameters | None = None
    ) -> tuple[NDArray[np.uint64], NDArray[np.float32], NDArray[np.int64]]:
        """Find every code with fewer than `thresh` bits that differ; lims, D, I."""
        codes = self._checked(x)
        mask = None
        if params is not None and params.sel is not None:
            mask = params.sel.mask(np.arange(self.ntotal))
        radius = float(np.ceil(thresh) - 0.5)
        found = self._native.range_search(_bits(codes), radius, filter=mask)
        return found.lims.astype(np.uint64), np.rint(found.distances), found.ids

    def assign(self, x: Any, k: int) -> NDArray[np.int64]:
        """Give the positions of the k nearest codes."""
        return self.search(x, k)[1]

    def reconstruct(self, key: int) -> Codes:
        """Give the code at a position. RuntimeError for one that is not there."""
        found: Codes = self._get(np.array([key]))[0]
        return found

    def reconstruct_n(self, n0: int = 0, ni: int = -1) -> Codes:
        """Give the codes at n0, n0 + 1, ..., `ni` of them or all."""
        return self._get(np.arange(n0, self.ntotal if ni == -1 else n0 + ni))

    def remove_ids(self, x: Any) -> int:
        """Remove positions; those behind move up."""
        mask = as_selector(x).mask(np.arange(self.ntotal))
        kept = self._get(np.flatnonzero(~mask))
        self.reset()
        self.add(kept)
        return int(mask.sum())

    def _get(self, places: NDArray[np.int64]) -> Codes:
        try:
            with told_as_runtime_error():
                bits = self._native.get(places)
        except KeyError as error:
            raise RuntimeError(str(error)) from None
        return np.packbits(bits > 0.5, axis=1, bitorder="little")

    def _checked(self, x: Any) -> Codes:
        _, width = x.shape
        if x.dtype != np.uint8:
            raise TypeError(f"Input argument x must be of type np.uint8, got {x.dtype}")
        if width != self.code_size:
            raise AssertionError(f"x must have {self.code_size} columns, got {width}")
        return np.ascontiguousarray(x)


def _bits(codes: Codes) -> NDArray[np.uint8]:
    return np.unpackbits(codes, axis=1, bitorder="little")
