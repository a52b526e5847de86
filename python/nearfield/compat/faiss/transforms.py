"""`VectorTransform` and its kinds: what may happen to vectors before they are indexed."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearfield import _core

__all__ = [
    "CenteringTransform",
    "LinearTransform",
    "NormalizationTransform",
    "OPQMatrix",
    "PCAMatrix",
    "RandomRotationMatrix",
    "VectorTransform",
]

Matrix = NDArray[np.float32]
_MOST_SAMPLE_A_DIM = 1000


class VectorTransform:
    """A map of vectors of `d_in` dimensions to vectors of `d_out`."""

    def __init__(self, d_in: int, d_out: int) -> None:
        if d_in < 1 or d_out < 1:
            raise RuntimeError(f"dimensions must be at least 1, got {d_in} and {d_out}")
        self.d_in, self.d_out = int(d_in), int(d_out)
        self.is_trained = True

    def train(self, x: Any) -> None:
        """Learn from vectors (n, d_in), where there is anything to learn."""
        self._train(self._checked(x, self.d_in))
        self.is_trained = True

    def apply(self, x: Any) -> Matrix:
        """Transform vectors (n, d_in)."""
        rows = self._checked(x, self.d_in)
        if not self.is_trained:
            raise RuntimeError("Transformation not trained yet")
        return np.ascontiguousarray(self._apply(rows), np.float32)

    apply_py = apply

    def reverse_transform(self, x: Any) -> Matrix:
        """Undo `apply`, as far as that is possible."""
        rows = self._checked(x, self.d_out)
        return np.ascontiguousarray(self._reverse(rows), np.float32)

    @staticmethod
    def _checked(x: Any, d: int) -> Matrix:
        _, width = x.shape
        if width != d:
            raise AssertionError(f"x must have {d} columns, got {width}")
        return np.ascontiguousarray(x, dtype=np.float32)

    def _train(self, rows: Matrix) -> None:
        """Nothing to learn, by default."""

    def _apply(self, rows: Matrix) -> Matrix:
        raise NotImplementedError

    def _reverse(self, rows: Matrix) -> Matrix:
        raise RuntimeError("reverse transform not implemented")


class LinearTransform(VectorTransform):
    """y = A x + b.

    Parameters
    ----------
    d_in, d_out : int
    have_bias : bool, default False
    """

    def __init__(self, d_in: int, d_out: int, have_bias: bool = False) -> None:
        super().__init__(d_in, d_out)
        self.have_bias = bool(have_bias)
        self.A: Matrix = np.empty((0, d_in), np.float32)
        """(d_out, d_in)"""
        self.b: Matrix = np.empty(0, np.float32)
        self.is_trained = False

    def train(self, x: Any) -> None:
        """Raise RuntimeError: a matrix is set, not learned, unless the kind learns one."""
        if type(self) is LinearTransform:
            raise RuntimeError("LinearTransform cannot be trained")
        super().train(x)

    def _apply(self, rows: Matrix) -> Matrix:
        with np.errstate(over="ignore", invalid="ignore"):  # the index refuses what is not finite
            turned = rows @ self.A.T
            return np.asarray(turned + self.b if self.have_bias else turned, np.float32)

    def _reverse(self, rows: Matrix) -> Matrix:
        return np.asarray((rows - self.b if self.have_bias else rows) @ self.A, np.float32)

    def set_is_orthonormal(self) -> None:
        """Do nothing: the reverse transform takes A to be orthonormal."""


class PCAMatrix(LinearTransform):
    """The directions in which vectors vary most.

    Parameters
    ----------
    d_in, d_out : int
    eigen_power : float, default 0
        Each direction is scaled by its variance to this power; -0.5 whitens.
    random_rotation : bool, default False
        Turn the result at random.
    """

    epsilon = 0.0
    max_points_per_d = _MOST_SAMPLE_A_DIM

    def __init__(
        self, d_in: int, d_out: int, eigen_power: float = 0.0, random_rotation: bool = False
    ) -> None:
        super().__init__(d_in, d_out, True)
        self.eigen_power, self.random_rotation = float(eigen_power), bool(random_rotation)
        self.balanced_bins = 0
        self.mean: Matrix = np.empty(0, np.float32)
        self.eigenvalues: Matrix = np.empty(0, np.float32)
        self.PCAMat: Matrix = np.empty((0, d_in), np.float32)

    def _train(self, rows: Matrix) -> None:
        if self.d_out > self.d_in:
            raise RuntimeError(f"d_out must be at most d_in ({self.d_in}), got {self.d_out}")
        sample = rows[: _MOST_SAMPLE_A_DIM * self.d_in].astype(np.float64)
        self.mean = np.asarray(sample.mean(axis=0), np.float32)
        off: NDArray[np.float64] = sample - self.mean
        values, vectors = np.linalg.eigh(off.T @ off)
        self.eigenvalues = values[::-1].astype(np.float32)
        self.PCAMat = np.ascontiguousarray(vectors[:, ::-1].T, np.float32)
        kept = self.PCAMat[: self.d_out].astype(np.float64)
        if self.eigen_power:
            power = (values[::-1][: self.d_out] + self.epsilon) ** self.eigen_power
            kept *= power[:, None]
        if self.random_rotation:
            kept = _rotation(self.d_out, 5) @ kept
        self.A = kept.astype(np.float32)
        self.b = -(kept @ self.mean).astype(np.float32)


class OPQMatrix(LinearTransform):
    """The rotation after which product codes of M groups fit best.

    Parameters
    ----------
    d : int
    M : int
    d2 : int, default -1
        Dimensions after it; -1 keeps d.
    """

    def __init__(self, d: int, M: int = 1, d2: int = -1) -> None:
        super().__init__(d, d if d2 == -1 else d2, False)
        if self.d_out % M or self.d_out > self.d_in:
            raise RuntimeError(
                f"d2 must be a multiple of M ({M}) and at most d ({d}), got {self.d_out}"
            )
        self.M = int(M)

    def _train(self, rows: Matrix) -> None:
        first = np.eye(self.d_in, dtype=np.float32)
        if self.d_out < self.d_in:
            reduced = PCAMatrix(self.d_in, self.d_out)
            reduced.train(rows)
            first = reduced.A
        if len(rows) < 256:
            raise RuntimeError(f"OPQ needs at least 256 training points, got {len(rows)}")
        turned = np.ascontiguousarray(rows @ first.T)
        self.A = _core.product_rotation(turned, self.M, 8, 0, 0) @ first


class RandomRotationMatrix(LinearTransform):
    """A random rotation.

    Parameters
    ----------
    d_in, d_out : int
    """

    def __init__(self, d_in: int, d_out: int) -> None:
        super().__init__(d_in, d_out, False)

    def init(self, seed: int) -> None:
        """Draw it."""
        turned = _rotation(max(self.d_in, self.d_out), seed)
        self.A = turned[: self.d_out, : self.d_in].astype(np.float32)
        self.is_trained = True

    def _train(self, rows: Matrix) -> None:
        self.init(12345)


class NormalizationTransform(VectorTransform):
    """Vectors scaled to norm 1; zero vectors stay.

    Parameters
    ----------
    d : int
    norm : float, default 2.0
        Only 2.
    """

    def __init__(self, d: int, norm: float = 2.0) -> None:
        super().__init__(d, d)
        if norm != 2:
            raise RuntimeError(f"norm must be 2, got {norm}")
        self.norm = 2.0

    def _apply(self, rows: Matrix) -> Matrix:
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        return np.asarray(rows / np.where(norms > 0, norms, 1), np.float32)

    def _reverse(self, rows: Matrix) -> Matrix:
        return rows


class CenteringTransform(VectorTransform):
    """Vectors less their mean.

    Parameters
    ----------
    d : int
    """

    def __init__(self, d: int) -> None:
        super().__init__(d, d)
        self.mean: Matrix = np.empty(0, np.float32)
        self.is_trained = False

    def _train(self, rows: Matrix) -> None:
        self.mean = rows.mean(axis=0)

    def _apply(self, rows: Matrix) -> Matrix:
        return rows - self.mean

    def _reverse(self, rows: Matrix) -> Matrix:
        return rows + self.mean


def _rotation(d: int, seed: int) -> NDArray[np.float64]:
    drawn = np.random.default_rng(seed).standard_normal((d, d))
    return np.asarray(np.linalg.qr(drawn)[0])
