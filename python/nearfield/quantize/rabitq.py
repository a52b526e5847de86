"""RaBitQ codes of 1 to 8 bits a dimension."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nearfield import _core
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

__all__ = ["RaBitQuantizer"]

_FACTORS = 3  # float32 beside a code: |r|^2, the factor of the estimate, the deviation of its error


class RaBitQuantizer:
    """A vector as the point of a grid that lies closest in angle, after a random rotation.

    Estimates of dot products with any query are unbiased over rotations, and their error is known:
    it shrinks with the square root of dim and about halves with each bit.

    Parameters
    ----------
    dim : int, at least 2
    bits : int, in 1..8, default 4
        A code takes dim * bits / 8 bytes, and 12 more for its factors.
    seed : int, default 0
        Of the rotation.

    Notes
    -----
    With r = R (x - centre) and y its code, r.q is estimated by |r|^2 / (r.y) * (y.q). Its error is
    |q'| |r| sqrt(1 / cos^2 - 1) times the part that a random direction has along another, where cos
    is between r and y; `bounds` takes `deviations` standard deviations of that.

    References
    ----------
    .. [1] Gao & Long, RaBitQ, SIGMOD 2024. [2] Gao et al., arXiv:2409.09913. [3] SAQ,
       arXiv:2509.12086.
    """

    def __init__(self, dim: int, bits: int = 4, *, seed: int = 0) -> None:
        as_int(dim, "dim")
        if dim < 2:
            raise ValueError(f"dim must be at least 2, got {dim}")
        if not 1 <= as_int(bits, "bits") <= 8:
            raise ValueError(f"bits must be in 1..8, got {bits}")
        as_int(seed, "seed", 0, 2**64 - 1)
        self.dim, self.bits, self.seed = dim, bits, seed
        self._trained = False
        self._centre: NDArray[np.float32] = np.zeros(dim, np.float32)

    @property
    def trained(self) -> bool:
        """Whether `train` has been called."""
        return self._trained

    @property
    def code_size(self) -> int:
        """Bytes of a code and its factors."""
        return -(-self.dim * self.bits // 8) + 4 * _FACTORS

    def train(self, vectors: ArrayLike, *, threads: int = 0) -> None:
        """Take the centre from vectors (n, dim)."""
        del threads  # a mean is quick
        rows = as_rows(vectors, self.dim)
        if not len(rows):
            raise ValueError("vectors must have at least one row, got none")
        self._centre = rows.mean(axis=0, dtype=np.float64).astype(np.float32)
        self._trained = True

    def encode(self, vectors: ArrayLike, *, threads: int = 0) -> Codes:
        """Give the codes, (n, code_size) uint8, of vectors (n, dim)."""
        rows = self._rotated(as_rows(vectors, self.dim), threads)
        levels, dots = _core.grid_codes(rows, self.bits, threads)
        norm2 = np.einsum("ij,ij->i", rows, rows, dtype=np.float64)
        y = levels.astype(np.float64) - self._half
        length2 = np.einsum("ij,ij->i", y, y)
        usable = dots > 0
        safe = np.where(usable, dots, 1.0).astype(np.float64)
        factor = np.where(usable, norm2 / safe, 0.0)
        missed = np.maximum(norm2 * length2 / safe**2 - 1, 0.0)
        deviation = np.where(usable, np.sqrt(norm2 * missed / (self.dim - 1)), 0.0)
        factors = np.stack([norm2, factor, deviation], axis=1).astype(np.float32)
        return np.concatenate([pack(levels, self.bits), factors.view(np.uint8)], axis=1)

    def decode(self, codes: Any, *, threads: int = 0) -> NDArray[np.float32]:
        """Give the vectors, (n, dim), that codes stand for."""
        y, factors = self._parts(codes)
        length2 = np.maximum(np.einsum("ij,ij->i", y, y), 1e-30)
        # The multiple of y nearest to r; the factor of the estimate would make it too long.
        factor = np.maximum(factors[:, 1], 1e-30)
        scale = factors[:, 0] / factor / length2
        rows = (y * scale[:, None]).astype(np.float32)
        back = _core.rotate(rows, self.seed, True, threads)
        return back + self._centre

    def distance_table(self, query: ArrayLike, metric: str = "l2") -> NDArray[np.float32]:
        """Make a query ready: (dim + 3,), rotated, then what `distances` adds and multiplies by.

        Parameters
        ----------
        query : array_like, shape (dim,)
        metric : {"l2", "dot"}
            Squared Euclidean distance, or minus the dot product.
        """
        require(self.trained)
        check_metric(metric)
        row = as_query(query, self.dim)
        if metric == "l2":
            values = self._rotated(row[None], 1)[0]
            base, own, weight = float(np.dot(values, values)), 1.0, 2.0
        else:
            values = _core.rotate(row[None], self.seed, False, 1)[0]
            base, own, weight = -float(np.dot(row, self._centre)), 0.0, 1.0
        return np.concatenate([values, [base, own, weight]]).astype(np.float32)

    def distances(self, table: NDArray[np.float32], codes: Any) -> NDArray[np.float32]:
        """Estimate the distances to codes (n, code_size), from a distance table."""
        y, factors = self._parts(codes)
        base, own, weight = table[self.dim :]
        products = (y @ table[: self.dim]) * factors[:, 1]
        return (base + own * factors[:, 0] - weight * products).astype(np.float32)  # type: ignore[no-any-return]

    def bounds(
        self, table: NDArray[np.float32], codes: Any, deviations: float = 1.9
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Give (lower, upper) about the estimates; 1.9 deviations hold for about 94 in 100."""
        _, factors = self._parts(codes)
        reach = deviations * table[-1] * np.linalg.norm(table[: self.dim]) * factors[:, 2]
        found = self.distances(table, codes)
        return found - reach, found + reach

    @property
    def _half(self) -> float:
        return float(2**self.bits - 1) / 2

    def _rotated(self, rows: NDArray[np.float32], threads: int) -> NDArray[np.float32]:
        require(self.trained)
        return _core.rotate(rows - self._centre, self.seed, False, threads)

    def _parts(self, codes: Any) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        require(self.trained)
        rows = as_codes(codes, self.code_size)
        width = self.code_size - 4 * _FACTORS
        levels = unpack(rows[:, :width], self.dim, self.bits)
        factors = np.ascontiguousarray(rows[:, width:]).view(np.float32)
        return levels.astype(np.float32) - np.float32(self._half), factors
