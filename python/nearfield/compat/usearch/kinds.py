"""usearch's names of metrics and numbers, and how rows become what our indexes hold."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "NATIVE_METRICS",
    "MetricKind",
    "ScalarKind",
    "as_id",
    "as_keys",
    "as_metric",
    "as_scalar",
    "as_stored",
    "numpy_dtype",
    "stored_dtype",
]

Matrix = NDArray[np.float32]


class MetricKind(Enum):
    """What distances are: 1 - q.x, 1 - cos, squared Euclidean, or bits that differ."""

    IP = "ip"
    Cos = "cos"
    L2sq = "l2sq"
    Hamming = "hamming"


class ScalarKind(Enum):
    """How vectors are stored."""

    F64 = "f64"
    F32 = "f32"
    F16 = "f16"
    BF16 = "bf16"
    I8 = "i8"
    B1 = "b1"


NATIVE_METRICS = {
    MetricKind.IP: "dot",
    MetricKind.Cos: "cosine",
    MetricKind.L2sq: "l2",
    MetricKind.Hamming: "l2",  # of bits as 0 and 1
}
_NATIVE_DTYPES = {
    ScalarKind.F64: "float32",
    ScalarKind.F32: "float32",
    ScalarKind.F16: "float16",
    ScalarKind.BF16: "bfloat16",
    ScalarKind.I8: "int8",
    ScalarKind.B1: "int8",
}
_METRIC_NAMES = {
    "cos": MetricKind.Cos, "cosine": MetricKind.Cos, "ip": MetricKind.IP, "dot": MetricKind.IP,
    "inner_product": MetricKind.IP, "l2sq": MetricKind.L2sq, "l2_sq": MetricKind.L2sq,
    "hamming": MetricKind.Hamming,
}  # fmt: skip
_SCALAR_NAMES: dict[Any, ScalarKind] = {
    "f64": ScalarKind.F64, "float64": ScalarKind.F64, np.float64: ScalarKind.F64,
    "f32": ScalarKind.F32, "float32": ScalarKind.F32, np.float32: ScalarKind.F32,
    "f16": ScalarKind.F16, "float16": ScalarKind.F16, np.float16: ScalarKind.F16,
    "bf16": ScalarKind.BF16, "bfloat16": ScalarKind.BF16,
    "i8": ScalarKind.I8, "int8": ScalarKind.I8, np.int8: ScalarKind.I8,
    "b1": ScalarKind.B1, "b1x8": ScalarKind.B1, "bits": ScalarKind.B1, np.uint8: ScalarKind.B1,
}  # fmt: skip


def as_metric(metric: Any) -> MetricKind:
    """A metric by its kind or name. KeyError for an unknown name."""
    if metric is None:
        return MetricKind.Cos
    if isinstance(metric, MetricKind):
        return metric
    if isinstance(metric, str):
        return _METRIC_NAMES[metric.lower()]
    raise ValueError(f"metric must be a MetricKind or its name, got {metric!r}")


def as_scalar(dtype: Any, metric: MetricKind) -> ScalarKind:
    """A kind of numbers by its kind or name. KeyError for an unknown name."""
    if dtype is None or (isinstance(dtype, str) and not dtype):
        return ScalarKind.B1 if metric is MetricKind.Hamming else ScalarKind.F16
    if isinstance(dtype, np.dtype):
        dtype = dtype.type
    found = dtype if isinstance(dtype, ScalarKind) else None
    if found is None:
        found = _SCALAR_NAMES[dtype.lower() if isinstance(dtype, str) else dtype]
    if (found is ScalarKind.B1) != (metric is MetricKind.Hamming):
        raise ValueError(f"dtype b1 must go with the metric hamming, got {found}, {metric}")
    return found


def numpy_dtype(scalar: ScalarKind) -> Any:
    """What `Index.get` gives."""
    given = {ScalarKind.F64: np.float64, ScalarKind.F16: np.float16, ScalarKind.I8: np.int8}
    return given.get(scalar, np.float32)


def stored_dtype(scalar: ScalarKind) -> str:
    """Our name of the dtype that rows are ranked by."""
    return _NATIVE_DTYPES[scalar]


def as_stored(vectors: Any, ndim: int, scalar: ScalarKind) -> Matrix:
    """Rows (n, ndim) as an index takes them.

    Bits come packed, eight a byte; i8 takes int8 as it is and scales other rows to norm 127.
    """
    if not isinstance(vectors, np.ndarray):
        raise AssertionError("Expects a NumPy array")
    if vectors.ndim not in (1, 2):
        raise AssertionError("Expects a matrix or vector")
    rows = np.atleast_2d(vectors)
    bits = scalar is ScalarKind.B1
    if rows.shape[1] != ((ndim + 7) // 8 if bits else ndim):
        raise ValueError(f"The number of vector dimensions doesn't match! Need {ndim}")
    if bits:
        unpacked = np.unpackbits(rows.astype(np.uint8), axis=1, bitorder="little")[:, :ndim]
        return np.ascontiguousarray(unpacked, np.float32)
    floats = np.ascontiguousarray(rows, np.float32)
    if scalar is ScalarKind.I8 and rows.dtype != np.int8:
        norms = np.linalg.norm(floats, axis=1, keepdims=True)
        floats = np.trunc(floats * (127 / np.where(norms > 0, norms, 1))).astype(np.float32)
    return floats


def as_keys(keys: Any) -> NDArray[np.uint64]:
    """Keys, or a single one, (n,)."""
    array = np.array(keys if isinstance(keys, Iterable) else [keys])
    return np.ascontiguousarray(array.astype(np.uint64).reshape(-1))


def as_id(key: int) -> int:
    """A key as our int64 id of the same bits."""
    return key - 2**64 if key >= 2**63 else key
