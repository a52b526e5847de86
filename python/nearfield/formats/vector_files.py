"""Vectors and their ids to and from files, by suffix."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from numpy.typing import ArrayLike, NDArray

from nearfield.arrays import as_matrix
from nearfield.formats.whole import whole_file
from nearfield.ids import as_int_ids, as_names

__all__ = ["VectorFile", "read_vectors", "write_vectors"]


class VectorFile(NamedTuple):
    """Vectors, and their ids where the file holds any."""

    vectors: NDArray[Any]
    """(n, dim), floating or integer."""
    ids: Sequence[int] | Sequence[str] | None
    """(n,)"""


def read_vectors(path: str | os.PathLike[str]) -> VectorFile:
    """Read vectors from a file by its suffix.

    Parameters
    ----------
    path : path-like
        ``.npy``: a 2-D array, mapped, not read whole. ``.fvecs``, ``.bvecs``: rows of a
        little-endian int32 `dim` and `dim` float32 or uint8, mapped. ``.jsonl``: a line for each
        vector, either a list of numbers or an object with ``"vector"`` and, in every line or in
        none, ``"id"``. ``.safetensors``: a tensor ``vectors`` or the only 2-D one, mapped, and
        ids as `write_vectors` keeps them. ``.parquet``, ``.arrow``: a column ``vector`` of lists
        of one length and perhaps a column ``id`` (extra ``arrow``). ``.nf``: an index.

    Returns
    -------
    VectorFile

    Raises
    ------
    ValueError
        If the suffix is another, or the content does not follow its format.
    MissingExtraError
        If pyarrow is needed and not installed.
    OSError
        If the file cannot be read.
    """
    from nearfield.formats import arrow, plain, safetensors

    readers = {
        ".npy": plain.read_npy, ".fvecs": plain.read_fvecs, ".bvecs": plain.read_bvecs,
        ".jsonl": plain.read_jsonl, ".safetensors": safetensors.read, ".parquet": arrow.read,
        ".arrow": arrow.read, ".feather": arrow.read, ".nf": _read_index,
    }  # fmt: skip
    file = Path(path)
    if file.suffix not in readers:
        raise ValueError(f"file must end in {', '.join(readers)}, got {file}")
    vectors, ids = readers[file.suffix](file)
    return VectorFile(vectors, ids)


def write_vectors(path: str | os.PathLike[str], vectors: ArrayLike, ids: Any | None = None) -> None:
    """Write vectors to a file by its suffix, in one step: the file is whole or not there.

    Parameters
    ----------
    path : path-like
        ``.npy``, ``.fvecs``, ``.bvecs`` (integers in 0..255) and ``.jsonl`` need nothing, nor does
        ``.safetensors``; ``.parquet`` and ``.arrow`` need the extra ``arrow``.
    vectors : array_like, shape (n, dim)
        Written as float32; as uint8 in .bvecs.
    ids : sequence of int or str, shape (n,), optional
        .npy, .fvecs and .bvecs have no place for them.

    Raises
    ------
    ValueError
        If the suffix is another, ids have no place, or their number is another.
    OSError
        If the file cannot be written.
    """
    from nearfield.formats import arrow, plain, safetensors

    writers = {
        ".npy": plain.write_npy, ".fvecs": plain.write_fvecs, ".bvecs": plain.write_bvecs,
        ".jsonl": plain.write_jsonl, ".safetensors": safetensors.write, ".parquet": arrow.write,
        ".arrow": arrow.write, ".feather": arrow.write,
    }  # fmt: skip
    file = Path(path)
    if file.suffix not in writers:
        raise ValueError(f"file must end in {', '.join(writers)}, got {file}")
    matrix = as_matrix(vectors, "vectors")
    if matrix.ndim != 2:
        raise ValueError(f"vectors must have shape (n, dim), got {matrix.shape}")
    kept: Any = None
    if ids is not None:
        names = as_names(ids)
        kept = as_int_ids(ids) if names is None else names
        if len(kept) != len(matrix):
            message = f"ids must have one entry a vector ({len(matrix)}), got {len(kept)}"
            raise ValueError(message)
        if file.suffix in (".npy", ".fvecs", ".bvecs"):
            raise ValueError(f"ids must be None for {file.suffix}, which has no place for them")
    with whole_file(file) as temporary:
        writers[file.suffix](temporary, matrix, kept)


def _read_index(path: Path) -> tuple[NDArray[Any], Any]:
    from nearfield.persistence import load

    index = load(path, mmap=True)
    ids = index.ids
    return index.get(ids), ids.tolist()
