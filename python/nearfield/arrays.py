"""The one place where a user's array becomes float32, C-ordered and 1-D or 2-D."""

from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

__all__ = ["as_matrix"]

_FLOAT32 = np.dtype(np.float32)
_ON_CPU = (1, 3)  # DLPack: memory of the CPU, and CUDA's that is pinned there


def as_matrix(values: Any, name: str) -> NDArray[np.float32]:
    """Turn any array of numbers into a float32 C-ordered array, without a copy where it is one.

    Parameters
    ----------
    values : array_like, shape (n, dim) or (dim,)
        numpy (any float or integer dtype, any order), a memmap, torch (of any device), whatever
        has DLPack, the array interface or a buffer, an Arrow, pandas or polars column of lists,
        nested lists, or an iterator of batches of these.
    name : str
        What errors call it.

    Returns
    -------
    ndarray, shape (n, dim) or (dim,), float32

    Raises
    ------
    TypeError
        If the values are not numbers.
    ValueError
        If they do not form one or two dimensions, or some are missing or masked.
    """
    # What most calls bring, before anything is looked up.
    plain = type(values) is np.ndarray and values.dtype is _FLOAT32
    if plain and values.ndim in (1, 2) and values.flags.c_contiguous:
        return cast("NDArray[np.float32]", values)
    if hasattr(values, "__next__"):
        return _gather(values, name)
    array = _as_numpy(values, name)
    if array.dtype.kind == "O" and array.ndim == 1:
        array = _stack(array, name)
    kind = array.dtype.kind
    if kind not in "fiu" and array.dtype.name != "bfloat16":
        raise TypeError(f"{name} must be numbers, got dtype {array.dtype}{_missing(array)}")
    if array.ndim not in (1, 2):
        raise ValueError(f"{name} must be a (n, dim) array, got shape {array.shape}")
    with np.errstate(over="ignore"):  # what overflows is infinite, and reported as that
        return np.ascontiguousarray(array, dtype=np.float32)


def _as_numpy(values: Any, name: str) -> NDArray[Any]:
    if isinstance(values, np.ndarray):
        if isinstance(values, np.ma.MaskedArray) and np.ma.is_masked(values):
            raise ValueError(
                f"{name} must have no masked values, got {np.count_nonzero(values.mask):,}"
            )
        return values
    if hasattr(values, "detach") and hasattr(values, "cpu"):
        return _from_torch(values)
    library = type(values).__module__.partition(".")[0]
    if library in ("pyarrow", "pandas", "polars") or hasattr(values, "__arrow_c_stream__"):
        from nearfield import columns

        return columns.as_numpy(values, name)
    if hasattr(values, "__dlpack__") and (_device(values) not in _ON_CPU or not _own(values)):
        return _from_dlpack(values, name)
    if isinstance(values, (list, tuple)) and values and hasattr(values[0], "detach"):
        return _stack(values, name)
    try:
        return np.asarray(values)
    except ValueError:
        return _stack(values, name)


def _from_torch(tensor: Any) -> NDArray[Any]:
    tensor = tensor.detach()
    if tensor.device.type != "cpu":
        tensor = tensor.cpu()
    if str(tensor.dtype).startswith(("torch.bfloat16", "torch.float8")):  # numpy has none of them
        tensor = tensor.float()
    return np.asarray(tensor.numpy())


def _own(values: Any) -> bool:
    """Whether it makes a numpy array of itself; some, as CuPy, say so and raise."""
    return hasattr(values, "__array__")


def _device(values: Any) -> int:
    there = getattr(values, "__dlpack_device__", None)
    return int(there()[0]) if there else _ON_CPU[0]


def _from_dlpack(values: Any, name: str) -> NDArray[Any]:
    device = _device(values)
    if device in _ON_CPU:
        return np.from_dlpack(values)
    try:
        return np.from_dlpack(values, device="cpu", copy=True)
    except (TypeError, ValueError, BufferError, RuntimeError):  # numpy < 2.1, or the exporter
        if _own(values):
            return np.asarray(values)
        raise TypeError(
            f"{name} must be in memory of the CPU, got DLPack device type {device}, which its "
            "library does not copy; do that first"
        ) from None


def _gather(batches: Any, name: str) -> NDArray[np.float32]:
    """One matrix of all batches of an iterator; a 1-D batch is one row."""
    found: list[NDArray[np.float32]] = []
    for i, batch in enumerate(batches):
        matrix = np.atleast_2d(as_matrix(batch, f"{name}[{i}]"))
        if found and matrix.shape[1] != found[0].shape[1]:
            dims = f"{found[0].shape[1]} in batch 0 and {matrix.shape[1]} in batch {i}"
            raise ValueError(f"{name} must have batches of one dim, got {dims}")
        found.append(matrix)
    if not found:
        raise ValueError(f"{name} must have at least one batch, got an iterator without any")
    return found[0] if len(found) == 1 else np.concatenate(found)


def _stack(rows: Any, name: str) -> NDArray[Any]:
    """Rows that came one by one, as lists, arrays or tensors; says which of them does not fit."""
    listed = list(rows)
    made: list[NDArray[Any]] = []
    for i, row in enumerate(listed):
        if row is None or (isinstance(row, float) and row != row):
            raise ValueError(f"{name} must have a vector in every row, got {row} at row {i}")
        array = _as_numpy(row, f"{name}[{i}]")
        if made and array.shape != made[0].shape:
            lengths = f"{made[0].shape} at row 0 and {array.shape} at row {i}"
            raise ValueError(
                f"{name} must be a (n, dim) array, got rows of unequal length: {lengths}"
            )
        made.append(array)
    return np.stack(made) if made else np.empty((0,), np.float32)


def _missing(array: NDArray[Any]) -> str:
    """Where an array of objects has its first None."""
    if array.dtype.kind != "O":
        return ""
    names = ("row", "column")
    for place, value in np.ndenumerate(array):
        if value is None:
            where = ", ".join(f"{axis} {i}" for axis, i in zip(names, place, strict=False))
            return f" with None at {where}"
    return ""
