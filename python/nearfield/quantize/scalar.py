"""Scalar quantization: each dimension on its own grid."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nearfield.quantize.packing import (
    Codes,
    as_codes,
    as_query,
    as_rows,
    check_metric,
    pack,
    require,
    unpack,
)
from nearfield.scalars import as_int

__all__ = ["ScalarQuantizer"]


class ScalarQuantizer:
    """A value as the nearest of 2**bits even steps over the range of its dimension.

    Parameters
    ----------
    dim : int
    bits : {4, 8}, default 8
        A code takes dim * bits / 8 bytes.
    trim : float, in [0, 0.5), default 0.0
        Share of the training values left out at each end of a range; what lies beyond is clipped.
    """

    def __init__(self, dim: int, bits: int = 8, *, trim: float = 0.0) -> None:
        if as_int(dim, "dim") < 1:
            raise ValueError(f"dim must be at least 1, got {dim}")
        if as_int(bits, "bits") not in (4, 8):
            raise ValueError(f"bits must be 4 or 8, got {bits}")
        if not 0 <= trim < 0.5:
            raise ValueError(f"trim must be in [0, 0.5), got {trim}")
        self.dim, self.bits, self.trim = dim, bits, trim
        self._trained = False
        self._low: NDArray[np.float32] = np.zeros(dim, np.float32)
        self._step: NDArray[np.float32] = np.ones(dim, np.float32)

    @property
    def trained(self) -> bool:
        """Whether `train` has been called."""
        return self._trained

    @property
    def code_size(self) -> int:
        """Bytes of a code."""
        return -(-self.dim * self.bits // 8)

    def train(self, vectors: ArrayLike, *, threads: int = 0) -> None:
        """Take the ranges from vectors (n, dim)."""
        del threads  # a minimum is quick
        rows = as_rows(vectors, self.dim)
        if not len(rows):
            raise ValueError("vectors must have at least one row, got none")
        low, high = np.quantile(rows, [self.trim, 1 - self.trim], axis=0)
        step = (high - low) / (2**self.bits - 1)
        self._step = np.where(step > 0, step, 1).astype(np.float32)
        self._low = low.astype(np.float32)
        self._trained = True

    def encode(self, vectors: ArrayLike, *, threads: int = 0) -> Codes:
        """Give the codes, (n, code_size) uint8, of vectors (n, dim)."""
        del threads
        require(self.trained)
        levels = np.rint((as_rows(vectors, self.dim) - self._low) / self._step)
        return pack(np.clip(levels, 0, 2**self.bits - 1).astype(np.uint8), self.bits)

    def decode(self, codes: Any, *, threads: int = 0) -> NDArray[np.float32]:
        """Give the vectors, (n, dim), that codes stand for."""
        del threads
        require(self.trained)
        levels = unpack(as_codes(codes, self.code_size), self.dim, self.bits)
        return self._low + levels.astype(np.float32) * self._step

    def distance_table(self, query: ArrayLike, metric: str = "l2") -> NDArray[np.float32]:
        """Give what each dimension adds to a distance, (dim, 2**bits).

        Parameters
        ----------
        query : array_like, shape (dim,)
        metric : {"l2", "dot"}
            Squared Euclidean distance, or minus the dot product.
        """
        require(self.trained)
        check_metric(metric)
        row = as_query(query, self.dim)[:, None]
        levels = np.arange(2**self.bits, dtype=np.float32)
        values = self._low[:, None] + levels * self._step[:, None]
        made = (row - values) ** 2 if metric == "l2" else -row * values
        return made.astype(np.float32)

    def distances(self, table: NDArray[np.float32], codes: Any) -> NDArray[np.float32]:
        """Estimate the distances to codes (n, code_size), from a distance table."""
        levels = unpack(as_codes(codes, self.code_size), self.dim, self.bits)
        picked = table[np.arange(self.dim), levels]
        return picked.sum(axis=1, dtype=np.float32)  # type: ignore[no-any-return]
