"""The last steps from a model's vectors to those handed out: cut, scale, compress."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

__all__ = ["Finish", "Precision"]

Precision = Literal["float32", "int8", "binary"]


@dataclass(frozen=True)
class Finish:
    """Cut vectors to `truncate_dim`, scale them to length 1, lower their precision.

    Attributes
    ----------
    dim : int
        Length of the model's vectors.
    truncate_dim : int or None
        Keep the first so many dimensions, as models trained for it (matryoshka) allow.
    normalize : bool
        Scale to length 1, after cutting.
    precision : "float32", "int8" or "binary"
        ``"int8"``: each vector times a factor of its own that makes its largest value 127 or
        -127; cosine distance is not changed by the factor. ``"binary"``: a bit for each
        dimension, 1 where the value is positive, eight to a byte, first bit highest.
    """

    dim: int
    truncate_dim: int | None = None
    normalize: bool = True
    precision: Precision = "float32"

    def __post_init__(self) -> None:
        cut = self.truncate_dim
        if cut is not None and not 1 <= cut <= self.dim:
            raise ValueError(f"truncate_dim must be in 1..{self.dim}, got {cut}")
        if self.precision not in get_args(Precision):
            known = ", ".join(repr(name) for name in get_args(Precision))
            raise ValueError(f"precision must be one of {known}, got {self.precision!r}")
        if self.precision == "int8" and not self.normalize:
            raise ValueError("normalize must be True for precision 'int8', got False")

    @property
    def kept(self) -> int:
        """Dimensions that are left."""
        return self.truncate_dim or self.dim

    def __call__(self, vectors: NDArray[np.float32], rows: Sequence[int]) -> NDArray[Any]:
        """Finish a batch; `rows` are the numbers of its texts, for messages."""
        if vectors.shape != (len(rows), self.dim):
            shape = (len(rows), self.dim)
            raise ValueError(f"the model must give vectors of shape {shape}, got {vectors.shape}")
        vectors = np.asarray(vectors[:, : self.kept], dtype=np.float32)
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        self._check(lengths, rows)
        if self.normalize:
            vectors = vectors / lengths
        if self.precision == "int8":
            largest = np.abs(vectors).max(axis=1, keepdims=True)
            small: NDArray[Any] = np.rint(vectors * (127 / largest)).astype(np.int8)
            return small
        if self.precision == "binary":
            return np.packbits(vectors > 0, axis=1)
        return vectors

    def empty(self, n: int) -> NDArray[Any]:
        """An array for n finished vectors."""
        if self.precision == "binary":
            return np.empty((n, -(-self.kept // 8)), dtype=np.uint8)
        return np.empty((n, self.kept), dtype=np.int8 if self.precision == "int8" else np.float32)

    def _check(self, lengths: NDArray[np.float32], rows: Sequence[int]) -> None:
        wrong = np.flatnonzero(~np.isfinite(lengths))
        if wrong.size:
            raise ValueError(
                f"the model gave a vector that is not finite for texts[{rows[wrong[0]]}]"
            )
        wrong = np.flatnonzero(lengths == 0)
        if wrong.size and self.normalize:
            rule = "must hold something that the model knows"
            raise ValueError(f"texts[{rows[wrong[0]]}] {rule}, got a vector of zeros")
