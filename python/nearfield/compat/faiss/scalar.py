"""`ScalarQuantizer`: rounding exactly as faiss rounds."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearfield.formats.faiss_codes import ScalarCodes, pair_nibbles, scalar_width

__all__ = ["ScalarQuantizer"]

Codes = NDArray[np.uint8]
Matrix = NDArray[np.float32]


class ScalarQuantizer:
    """A value of each dimension in 4, 8 or 16 bits.

    Parameters
    ----------
    d : int
    qtype : ScalarQuantizer.QT_*
    """

    QT_8bit = 0
    QT_4bit = 1
    QT_8bit_uniform = 2
    QT_4bit_uniform = 3
    QT_fp16 = 4
    QT_8bit_direct = 5
    QT_6bit = 6
    QT_bf16 = 7
    QT_8bit_direct_signed = 8

    def __init__(self, d: int, qtype: int) -> None:
        width = scalar_width(d, qtype)
        if width is None:
            raise NotImplementedError(
                "qtype must be QT_8bit, QT_4bit, one of these with _uniform, QT_8bit_direct, "
                f"QT_8bit_direct_signed, QT_fp16 or QT_bf16 in nearfield's faiss layer, got {qtype}"
            )
        self.d, self.qtype, self.code_size = d, qtype, width
        self.trained: NDArray[np.float32] = np.empty(0, np.float32)
        self._learned = qtype > self.QT_4bit_uniform

    @property
    def is_trained(self) -> bool:
        """Whether the ranges are known."""
        return self._learned

    @property
    def stored_as(self) -> str:
        """The dtype that holds decoded values without loss."""
        return "float16" if self.qtype == self.QT_fp16 else "float32"

    def train(self, x: Any) -> None:
        """Take the ranges from vectors (n, d)."""
        if self.qtype > self.QT_4bit_uniform:
            return
        rows = np.ascontiguousarray(x, dtype=np.float32)
        if not len(rows):
            raise RuntimeError("training needs at least one vector")
        axis = None if self.qtype in (self.QT_8bit_uniform, self.QT_4bit_uniform) else 0
        low, high = rows.min(axis=axis), rows.max(axis=axis)
        self.trained = np.concatenate([np.atleast_1d(low), np.atleast_1d(high - low)])
        self._learned = True

    def restore(self, codes: ScalarCodes) -> None:
        """Take over what a file has learned."""
        self.trained = np.array(codes.trained, np.float32)
        self._learned = True

    def compute_codes(self, x: Matrix) -> Codes:
        """Give the codes (n, code_size) of vectors (n, d)."""
        if self.qtype == self.QT_fp16:
            with np.errstate(over="ignore"):
                return x.astype("<f2").view(np.uint8).reshape(len(x), -1)
        if self.qtype == self.QT_bf16:
            bits = np.ascontiguousarray(x, "<f4").view("<u4")
            rounded = (bits + np.uint32(0x8000)) >> np.uint32(16)
            return rounded.astype("<u2").view(np.uint8).reshape(len(x), -1)
        if self.qtype == self.QT_8bit_direct:
            return x.astype(np.int64).astype(np.uint8)
        if self.qtype == self.QT_8bit_direct_signed:
            return (x + 128).astype(np.int64).astype(np.uint8)
        half = len(self.trained) // 2
        low, range_ = self.trained[:half], self.trained[half:]
        four = self.qtype in (self.QT_4bit, self.QT_4bit_uniform)
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            share = np.where(range_ != 0, (x - low) / range_, 0)
        levels = np.clip(share, 0, 1).astype(np.float32) * np.float32(15 if four else 255)
        codes = levels.astype(np.uint8)
        if not four:
            return codes
        padded = np.zeros((len(x), 2 * self.code_size), np.uint8)
        padded[:, : self.d] = codes
        return pair_nibbles(padded)

    def decode(self, codes: Codes) -> Matrix:
        """Give the vectors (n, d) of codes."""
        return ScalarCodes(self.d, self.qtype, self.trained, self.code_size).decode(codes)
