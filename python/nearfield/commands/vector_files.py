"""Read vectors from the file formats that people have: .npy, .fvecs and .jsonl."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["VectorFile", "read_vectors"]


class VectorFile(NamedTuple):
    """Vectors, and their ids where the file holds any."""

    vectors: NDArray[Any]  # (n, dim), floating or integer
    ids: Sequence[int] | Sequence[str] | None


def read_vectors(path: Path) -> VectorFile:
    """Read a file by its suffix.

    Parameters
    ----------
    path : Path
        ``.npy``: a 2-D array, mapped, not read whole. ``.fvecs``: rows of a little-endian int32
        `dim` and `dim` float32. ``.jsonl``: a line for each vector, either a list of numbers or
        an object with ``"vector"`` and, in every line or in none, ``"id"``.

    Raises
    ------
    ValueError
        If the suffix is another, or the content does not follow its format.
    OSError
        If the file cannot be read.
    """
    readers = {".npy": _read_npy, ".fvecs": _read_fvecs, ".jsonl": _read_jsonl}
    if path.suffix not in readers:
        raise ValueError(f"file must end in {', '.join(readers)}, got {path}")
    return readers[path.suffix](path)


def _read_npy(path: Path) -> VectorFile:
    try:
        vectors = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise ValueError(f"{path} must be an array saved by numpy, got: {error}") from None
    if vectors.ndim != 2:
        raise ValueError(f"{path} must hold a 2-D array, got shape {vectors.shape}")
    return VectorFile(vectors, None)


def _read_fvecs(path: Path) -> VectorFile:
    if path.stat().st_size < 8:
        raise ValueError(f"{path} must hold at least one vector, got {path.stat().st_size} bytes")
    words = np.memmap(path, dtype="<i4", mode="r") if path.stat().st_size % 4 == 0 else None
    if words is None or words[0] < 1 or len(words) % (int(words[0]) + 1):
        raise ValueError(f"{path} must hold rows of one dim and its values, got a broken row")
    rows = words.reshape(-1, int(words[0]) + 1)
    if (rows[:, 0] != rows[0, 0]).any():
        other = int(np.flatnonzero(rows[:, 0] != rows[0, 0])[0])
        raise ValueError(f"{path} must hold rows of one dim, got {rows[other, 0]} in row {other}")
    return VectorFile(rows[:, 1:].view("<f4"), None)


def _read_jsonl(path: Path) -> VectorFile:
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
    return VectorFile(np.stack(vectors), ids or None)
