"""The codes of faiss's scalar and product quantizers, decoded to vectors."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nearfield.formats.cursor import Cursor

__all__ = ["ProductCodes", "ScalarCodes", "codes_of_lists", "pair_nibbles", "scalar_width"]

_8_BIT, _4_BIT, _8_BIT_UNIFORM, _4_BIT_UNIFORM, _FLOAT16 = 0, 1, 2, 3, 4
_8_BIT_DIRECT, _BFLOAT16, _8_BIT_SIGNED = 5, 7, 8
_KINDS = [0, 1, 2, 3, 4, 5, 7, 8]
_ROWS_A_TIME = 1 << 12


def scalar_width(dim: int, kind: int) -> int | None:
    """Bytes of a code; None for a type that is not known here."""
    if kind not in _KINDS:
        return None
    if kind in (_FLOAT16, _BFLOAT16):
        return 2 * dim
    return (dim + 1) // 2 if kind in (_4_BIT, _4_BIT_UNIFORM) else dim


def pair_nibbles(codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Two codes of 4 bits a byte, (n, 2 m) to (n, m); the first is the low half."""
    both: NDArray[np.uint8] = np.bitwise_or(codes[:, ::2], codes[:, 1::2] << np.uint8(4))
    return both


class ScalarCodes(NamedTuple):
    """A value of each dimension in 4, 8 or 16 bits."""

    dim: int
    kind: int
    trained: NDArray[np.float32]
    width: int
    """Bytes of a code."""

    @classmethod
    def read(cls, file: Cursor, dim: int) -> ScalarCodes:
        """Take the quantizer from a file."""
        kind = int(file.take("i", "the scalar quantizer's type"))
        file.array("u1", 8, "rangestat")
        file.between("Q", "the scalar quantizer's d", dim, dim)
        width = int(file.take("Q", "code_size"))
        trained = file.vector("<f4", "trained values")
        expected = scalar_width(dim, kind)
        if expected is None:
            raise file.broken(f"the scalar quantizer's type must be in {_KINDS}, got {kind}")
        values = {_8_BIT: 2 * dim, _4_BIT: 2 * dim, _8_BIT_UNIFORM: 2, _4_BIT_UNIFORM: 2}
        if width != expected or len(trained) != values.get(kind, len(trained)):
            message = f"a scalar quantizer of type {kind} must have codes of {expected} bytes"
            raise file.broken(f"{message}, got {width}, and {len(trained)} trained values")
        return cls(dim, kind, trained, width)

    def decode(self, codes: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Vectors (n, dim) of codes (n, width)."""
        if self.kind == _FLOAT16:
            return np.ascontiguousarray(codes).view("<f2").astype(np.float32)
        if self.kind == _BFLOAT16:
            wide = np.ascontiguousarray(codes).view("<u2").astype(np.uint32) << 16
            return wide.view(np.float32)
        if self.kind == _8_BIT_DIRECT:
            return codes.astype(np.float32)
        if self.kind == _8_BIT_SIGNED:
            return codes.astype(np.float32) - 128
        levels = 255
        if self.kind in (_4_BIT, _4_BIT_UNIFORM):
            levels = 15
            both = np.stack([codes & 15, codes >> 4], axis=2)
            codes = both.reshape(len(codes), -1)[:, : self.dim]
        half = len(self.trained) // 2
        lowest, range_ = self.trained[:half], self.trained[half:]
        step = np.float32(1 / levels)
        with np.errstate(invalid="ignore", over="ignore"):  # add() names what is not finite
            found = lowest + range_ * ((codes.astype(np.float32) + 0.5) * step)
        return np.asarray(found, np.float32)


class ProductCodes(NamedTuple):
    """A centroid for each part of a vector."""

    centroids: NDArray[np.float32]
    """(parts, 2^bits, dim / parts)."""
    bits: int
    width: int
    """Bytes of a code."""

    @classmethod
    def read(cls, file: Cursor, dim: int) -> ProductCodes:
        """Take the quantizer from a file."""
        file.between("Q", "the product quantizer's d", dim, dim)
        parts = file.between("Q", "the product quantizer's M", 1, dim)
        bits = file.between("Q", "nbits", 1, 16)
        if dim % parts:
            raise file.broken(f"the product quantizer's M must divide {dim}, got {parts}")
        values = file.vector("<f4", "centroids of the product quantizer")
        if len(values) != dim << bits:
            raise file.broken(f"the product quantizer must have {dim << bits} values")
        return cls(values.reshape(parts, 1 << bits, dim // parts), bits, (parts * bits + 7) // 8)

    def decode(self, codes: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Vectors (n, dim) of codes (n, width); a part's bits follow those of the one before."""
        parts, _, sub = self.centroids.shape
        out = np.empty((len(codes), parts, sub), np.float32)
        weights = (1 << np.arange(self.bits)).astype(np.int64)
        for begin in range(0, len(codes), _ROWS_A_TIME):
            rows = np.ascontiguousarray(codes[begin : begin + _ROWS_A_TIME])
            if self.bits == 8:
                chosen = rows.astype(np.int64)
            else:
                bits = np.unpackbits(rows, axis=1, bitorder="little")[:, : parts * self.bits]
                chosen = bits.reshape(len(rows), parts, self.bits) @ weights
            out[begin : begin + len(rows)] = self.centroids[np.arange(parts), chosen]
        return out.reshape(len(codes), parts * sub)


def codes_of_lists(
    file: Cursor, kind: str, dim: int
) -> tuple[ScalarCodes | ProductCodes | None, bool]:
    """Read past the direct map: how lists code their vectors, and whether residuals of centroids.

    No codes are float32 values.
    """
    hashed = file.between("B", "the direct map", 0, 2) == 2
    file.vector("<i8", "the direct map")
    if hashed:
        file.vector("u1", "the direct map", 16)
    codes: ScalarCodes | ProductCodes | None = None
    residual = False
    if kind == "IwPQ":
        residual = bool(file.between("B", "by_residual", 0, 1))
        file.take("Q", "code_size")
        codes = ProductCodes.read(file, dim)
    elif kind == "IwSq":
        codes = ScalarCodes.read(file, dim)
        file.take("Q", "code_size")
        residual = bool(file.between("B", "by_residual", 0, 1))
    return codes, residual
