"""What the quantizers share: argument checks, and values of a few bits in bytes."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nearfield._core import NotTrained
from nearfield.arrays import as_matrix

__all__ = ["Codes", "as_codes", "as_query", "as_rows", "check_metric", "pack", "require", "unpack"]

Codes = NDArray[np.uint8]


def as_rows(values: ArrayLike, dim: int, name: str = "vectors") -> NDArray[np.float32]:
    """Give finite (n, dim) float32 rows, or raise ValueError."""
    rows = np.atleast_2d(as_matrix(values, name))
    if rows.shape[1] != dim:
        raise ValueError(f"{name} must have shape (n, {dim}), got {rows.shape}")
    if not np.isfinite(rows).all():
        row, column = np.argwhere(~np.isfinite(rows))[0]
        raise ValueError(
            f"{name} must be finite, got {rows[row, column]} at row {row}, column {column}"
        )
    return rows


def as_query(query: ArrayLike, dim: int) -> NDArray[np.float32]:
    """Give one finite (dim,) float32 row, or raise ValueError."""
    row = as_matrix(query, "query")
    if row.shape != (dim,):
        raise ValueError(f"query must have shape ({dim},), got {row.shape}")
    checked: NDArray[np.float32] = as_rows(row, dim, "query")[0]
    return checked


def as_codes(codes: Any, code_size: int) -> Codes:
    """Give (n, code_size) uint8 rows, or raise ValueError."""
    array = np.asarray(codes)
    if array.dtype != np.uint8 or array.ndim != 2 or array.shape[1] != code_size:
        raise ValueError(
            f"codes must be a uint8 array of shape (n, {code_size}), "
            f"got {array.dtype} of {array.shape}"
        )
    return np.ascontiguousarray(array)


def check_metric(metric: str) -> None:
    """Raise ValueError unless the metric is one of a quantizer."""
    if metric not in ("l2", "dot"):
        raise ValueError(f"metric must be 'l2' or 'dot', got {metric!r}")


def require(trained: bool) -> None:
    """Raise NotTrained unless trained."""
    if not trained:
        raise NotTrained("the quantizer is not trained; call train() first")


def pack(levels: Codes, bits: int) -> Codes:
    """Pack values below 2**bits, (n, m), into (n, ceil(m * bits / 8)) bytes, lowest bits first."""
    if bits == 8:
        return levels
    planes = (levels[:, :, None] >> np.arange(bits, dtype=np.uint8)) & 1
    return np.packbits(planes.reshape(len(levels), -1), axis=1, bitorder="little")


def unpack(codes: Codes, m: int, bits: int) -> Codes:
    """Undo pack."""
    if bits == 8:
        return codes
    planes = np.unpackbits(codes, axis=1, count=m * bits, bitorder="little")
    shifted = planes.reshape(len(codes), m, bits) << np.arange(bits, dtype=np.uint8)
    levels: Codes = shifted.sum(axis=2, dtype=np.uint8)
    return levels
