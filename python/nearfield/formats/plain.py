"""The plain files: .npy, .fvecs, .bvecs and .jsonl."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "read_bvecs",
    "read_fvecs",
    "read_jsonl",
    "read_npy",
    "write_bvecs",
    "write_fvecs",
    "write_jsonl",
    "write_npy",
]

Read = tuple[NDArray[Any], Sequence[int] | Sequence[str] | None]


def read_npy(path: Path) -> Read:
    """Map a 2-D array."""
    try:
        vectors = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(f"{path} must be an array saved by numpy, got: {error}") from None
    if vectors.ndim != 2:
        raise ValueError(f"{path} must hold a 2-D array, got shape {vectors.shape}")
    return vectors, None


def read_fvecs(path: Path) -> Read:
    """Map rows of an int32 dim and dim float32."""
    return _read_rows(path, np.dtype("<f4")), None


def read_bvecs(path: Path) -> Read:
    """Map rows of an int32 dim and dim uint8."""
    return _read_rows(path, np.dtype("u1")), None


def _read_rows(path: Path, dtype: np.dtype[Any]) -> NDArray[Any]:
    size = path.stat().st_size
    if size < 4 + dtype.itemsize:
        raise ValueError(f"{path} must hold at least one vector, got {size} bytes")
    dim = int(np.fromfile(path, "<i4", 1)[0])
    stride = 4 + dim * dtype.itemsize
    if dim < 1 or size % stride:
        raise ValueError(f"{path} must hold rows of one dim and its values, got a broken row")
    rows = np.memmap(path, "u1", mode="r").reshape(-1, stride)
    dims = rows[:, :4].view("<i4")[:, 0]
    if (dims != dim).any():
        other = int(np.flatnonzero(dims != dim)[0])
        raise ValueError(f"{path} must hold rows of one dim, got {dims[other]} in row {other}")
    return rows[:, 4:].view(dtype)


def write_npy(path: Path, vectors: NDArray[np.float32], ids: Any) -> None:
    """Write a 2-D array."""
    np.save(path, vectors, allow_pickle=False)


def write_fvecs(path: Path, vectors: NDArray[np.float32], ids: Any) -> None:
    """Write rows of an int32 dim and dim float32."""
    _write_rows(path, vectors.astype("<f4", copy=False))


def write_bvecs(path: Path, vectors: NDArray[np.float32], ids: Any) -> None:
    """Write rows of an int32 dim and dim uint8."""
    bytes_ = vectors.astype(np.uint8)
    if (bytes_ != vectors).any():
        row, column = np.argwhere(bytes_ != vectors)[0]
        message = f"got {vectors[row, column]} at row {row}, column {column}"
        raise ValueError(f"vectors must be integers in 0..255 for .bvecs, {message}")
    _write_rows(path, bytes_)


def _write_rows(path: Path, rows: NDArray[Any]) -> None:
    n, dim = rows.shape
    out = np.empty((n, 4 + dim * rows.itemsize), np.uint8)
    out[:, :4] = np.frombuffer(np.int32(dim).astype("<i4").tobytes(), np.uint8)
    out[:, 4:] = np.ascontiguousarray(rows).view(np.uint8).reshape(n, -1)
    out.tofile(path)


def read_jsonl(path: Path) -> Read:
    """Read a line a vector."""
    vectors, ids = [], []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            vectors.append(np.asarray(row["vector"] if isinstance(row, dict) else row, np.float32))
        except (ValueError, KeyError, TypeError) as error:
            message = f"{path} line {number} must be a list of numbers or hold a 'vector'"
            raise ValueError(f"{message}, got: {error!r}") from None
        if vectors[-1].ndim != 1 or vectors[-1].shape != vectors[0].shape:
            message = f"{path} line {number} must hold {vectors[0].size} numbers"
            raise ValueError(f"{message}, got shape {vectors[-1].shape}")
        if isinstance(row, dict) and "id" in row:
            ids.append(row["id"])
    if not vectors:
        raise ValueError(f"{path} must hold at least one vector, got an empty file")
    if ids and len(ids) != len(vectors):
        raise ValueError(f"{path} must give an id to every vector or to none, got {len(ids)} ids")
    return np.stack(vectors), ids or None


def write_jsonl(path: Path, vectors: NDArray[np.float32], ids: Any) -> None:
    """Write a line a vector."""
    names = None if ids is None else [id if isinstance(id, str) else int(id) for id in ids]
    with path.open("w", encoding="utf-8") as file:
        for i, row in enumerate(vectors):
            listed = row.tolist()
            entry = listed if names is None else {"id": names[i], "vector": listed}
            file.write(json.dumps(entry, ensure_ascii=False) + "\n")
