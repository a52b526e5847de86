"""Columns of vectors in tables: Arrow, pandas and polars, none of which is imported here."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearfield._optional import import_extra

__all__ = ["as_numpy", "from_arrow"]


def as_numpy(values: Any, name: str) -> NDArray[Any]:
    """A numpy array of a column of lists, a column of numbers, or a table of numbers."""
    library = type(values).__module__.partition(".")[0]
    if library == "pandas":
        return _from_pandas(values, name)
    if library == "polars":
        return _from_polars(values, name)
    if library == "pyarrow":
        return from_arrow(values, name)
    arrow = import_extra("pyarrow", "arrow", f"reading the Arrow data of {name}")
    return from_arrow(arrow.chunked_array(values), name)


def from_arrow(column: Any, name: str) -> NDArray[Any]:
    """A column of Arrow lists of one length as (n, dim), of numbers as (n,); without a copy where
    it has one chunk.

    Raises
    ------
    ValueError
        If rows or values are null, or rows have different lengths.
    TypeError
        If it holds no numbers.
    """
    if hasattr(column, "num_columns"):  # a table
        return np.asarray(column)
    if hasattr(column, "chunks"):
        column = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    column = getattr(column, "storage", column)  # of an extension type, such as tensors
    if column.null_count:
        raise ValueError(f"{name} must have a vector in every row, got {column.null_count} nulls")
    kind = column.type
    if getattr(kind, "value_type", None) is None or not hasattr(column, "flatten"):
        return _numbers(column, kind, name)
    size = getattr(kind, "list_size", None)
    if size is None:
        size = _one_length(column.value_lengths().to_numpy(zero_copy_only=False), name)
    return _numbers(column.flatten(), kind, name).reshape(len(column), size)


def _one_length(lengths: NDArray[Any], name: str) -> int:
    found = np.unique(lengths)
    if len(found) > 1:
        raise ValueError(f"{name} must hold vectors of one length, got {found.tolist()[:5]}")
    return int(found[0]) if len(found) else 0


def _numbers(values: Any, kind: Any, name: str) -> NDArray[Any]:
    if values.null_count:
        raise ValueError(f"{name} must hold numbers without nulls, got {values.null_count} nulls")
    array: NDArray[Any] = values.to_numpy(zero_copy_only=False)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"{name} must be numbers or lists of numbers, got {kind}")
    return array


def _from_pandas(values: Any, name: str) -> NDArray[Any]:
    inner = getattr(values, "array", None)
    if inner is not None and "list" in str(values.dtype):  # of Arrow's, behind pandas
        return from_arrow(inner.__arrow_array__(), name)
    array: NDArray[Any] = values.to_numpy()
    return array


def _from_polars(values: Any, name: str) -> NDArray[Any]:
    kind = str(getattr(values, "dtype", ""))
    if not kind.startswith(("List", "Array")):
        plain: NDArray[Any] = values.to_numpy()
        return plain
    nulls = values.null_count()
    if nulls:
        raise ValueError(f"{name} must have a vector in every row, got {nulls} nulls")
    lists = values.list if kind.startswith("List") else values.arr
    size = _one_length(lists.len().to_numpy(), name)
    flat = values.explode()
    if size and flat.null_count():
        raise ValueError(f"{name} must hold numbers without nulls, got {flat.null_count()} nulls")
    array: NDArray[Any] = flat.to_numpy()
    return array.reshape(len(values), size)
