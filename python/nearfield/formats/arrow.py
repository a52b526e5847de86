"""Arrow and Parquet: a column of lists of one length, and perhaps a column of ids."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearfield._optional import import_extra
from nearfield.columns import from_arrow

__all__ = ["read", "write"]


def read(path: Path) -> tuple[NDArray[Any], Sequence[int] | Sequence[str] | None]:
    """Read the column `vector` (or `vectors`, `embedding`) and, where there is one, `id`."""
    arrow = import_extra("pyarrow", "arrow", "reading Arrow and Parquet files")
    try:
        table = _read_table(path)
        table.validate(full=True)
    except arrow.ArrowException as error:
        raise ValueError(f"{path} must be a whole {path.suffix} file, got: {error}") from None
    names = [name for name in ("vector", "vectors", "embedding") if name in table.column_names]
    if not names:
        raise ValueError(f"{path} must have a column vector, got {table.column_names}")
    vectors = _as_matrix(table.column(names[0]), path)
    if "id" not in table.column_names:
        return vectors, None
    ids = table.column("id").to_pylist()
    if any(id is None for id in ids):
        raise ValueError(f"{path} must have an id in every row, got a null")
    return vectors, ids


def write(path: Path, vectors: NDArray[np.float32], ids: Any) -> None:
    """Write a column `vector` of fixed-size lists and, with ids, a column `id`."""
    arrow = import_extra("pyarrow", "arrow", "writing Arrow and Parquet files")
    flat = arrow.array(vectors.reshape(-1))
    columns = {"vector": arrow.FixedSizeListArray.from_arrays(flat, vectors.shape[1])}
    if ids is not None:
        columns["id"] = arrow.array(ids)
    table = arrow.table(columns)
    if path.suffix == ".parquet":
        import_extra("pyarrow.parquet", "arrow", "writing Parquet files").write_table(table, path)
    else:
        feather = import_extra("pyarrow.feather", "arrow", "writing Arrow files")
        feather.write_feather(table, path, compression="uncompressed")


def _read_table(path: Path) -> Any:
    if path.suffix == ".parquet":
        return import_extra("pyarrow.parquet", "arrow", "reading Parquet files").read_table(path)
    feather = import_extra("pyarrow.feather", "arrow", "reading Arrow files")
    return feather.read_table(path)


def _as_matrix(column: Any, path: Path) -> NDArray[Any]:
    try:
        matrix = from_arrow(column, str(path))
    except TypeError as error:
        raise ValueError(str(error)) from None
    if matrix.ndim != 2:
        raise ValueError(f"{path} must hold lists of numbers, got {column.type}")
    return matrix
