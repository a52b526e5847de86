"""Index files: saving, loading, and checking them. The format is in csrc/storage/README.md."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nearfield import _core
from nearfield._ids import MappedNames, StringIds
from nearfield.errors import CorruptIndex, IncompatibleVersion
from nearfield.progress import Progress, reporting
from nearfield.scalars import as_int

if TYPE_CHECKING:
    from pathlib import Path

    from nearfield.index import Index

__all__ = ["FileInfo", "SectionInfo", "load", "verify"]

PathLike = str | os.PathLike[str]

_MOST_FAULTS = 20


class SectionInfo(NamedTuple):
    """One array in a file."""

    name: str
    dtype: str
    elements: int
    offset: int
    bytes: int


class FileInfo(NamedTuple):
    """What an index file says about itself."""

    path: Path
    kind: str
    version: str
    """Of the format, "major.minor"."""
    writer: str
    file_bytes: int
    fields: dict[str, Any]
    """Parameters and counts: dim, metric, vectors, ..."""
    sections: list[SectionInfo]


def load(
    path: PathLike,
    *,
    mmap: bool | str = False,
    verify: str | None = None,
    max_memory: int | None = None,
    expected_sha256: str | None = None,
    threads: int = 0,
    progress: Progress = False,
) -> Any:
    """Load an index that `save` wrote.

    Parameters
    ----------
    path : path-like
        Any file name that the system allows.
    mmap : bool or "rows", default False
        True views the file instead of reading it: ready in milliseconds whatever the size, and
        processes share the pages. "rows" views the vectors alone, as a rule the most of a file, and
        copies what a search reads most, codes and links, into memory with larger pages. Either is
        read-only; changes raise ReadOnlyIndex.
    verify : {"full", "lazy"}, optional
        Which checksums are compared: all, or those of what is copied and of sections of up to
        1 MiB. None means "full", with mmap "lazy". The structure is checked in any case: before
        it is used where it is copied, as it is used where it is mapped.
    max_memory : int, optional
        Bytes that the arrays may take; more raise ResourceLimit before they are allocated.
    expected_sha256 : str, optional
        Of the whole file, in hex, from where it was made: checksums in a file find accidents, and
        anybody who changes it can make them right again. The file is read through first.
    threads : int, default 0
        0 means all.
    progress : bool or callable, default False
        True draws a bar; a callable gets (done, total).

    Returns
    -------
    Index
        Of the kind that was saved, with its parameters.

    Raises
    ------
    CorruptIndex
        If the file is damaged, cut short, of another format, or not of `expected_sha256`.
    IncompatibleVersion
        If a later version wrote it.
    ResourceLimit
        If it needs more than `max_memory`.
    OSError
        If it cannot be read.

    Notes
    -----
    A mapped file must not be cut while it is in use: the system then ends the process (SIGBUS).
    `save` never does that; it puts a new file in the place of the old one. Hostile content cannot
    do more than wrong answers.
    """
    if mmap not in (False, True, "rows"):
        raise ValueError(f"mmap must be True, False or 'rows', got {mmap!r}")
    if verify not in (None, "full", "lazy"):
        raise ValueError(f"verify must be 'full', 'lazy' or None, got {verify!r}")
    if expected_sha256 is not None:
        _check_sha256(path, expected_sha256)
    full = verify == "full" or (verify is None and not mmap)
    mapped = "rows" if mmap == "rows" else "everything" if mmap else "nothing"
    limit = 2**64 - 1 if max_memory is None else as_int(max_memory, "max_memory", 0)
    with reporting(progress, "load") as report:
        core, fields, arrays = _core.load(encoded(path), mapped, full, limit, threads, report)
    return _with_path(path, core, fields, arrays)


def verify(path: PathLike, *, threads: int = 0) -> FileInfo:
    """Check a file through and through: every checksum, every number, every link.

    Parameters
    ----------
    path : path-like
    threads : int, default 0
        0 means all.

    Returns
    -------
    FileInfo
        What the file says about itself; all is well with it.

    Raises
    ------
    CorruptIndex
        At the first damage; the message counts all sections that do not match their checksums.
    IncompatibleVersion, OSError
        As for `load`.
    """
    found = _core.inspect(encoded(path), _MOST_FAULTS, threads)
    if found["faults"]:
        section, offset, _ = found["faults"][0]
        error = CorruptIndex(f"{os.fspath(path)}: " + "; ".join(f[2] for f in found["faults"]))
        error.path, error.section, error.offset = os.fspath(path), section, offset
        raise error
    load(path, threads=threads).validate()
    return _as_info(path, found)


def file_info(path: PathLike) -> FileInfo:
    """Read what a file says about itself; the arrays are left alone."""
    return _as_info(path, _core.inspect(encoded(path), 0, 1))


def save(index: Index, path: PathLike, threads: int, progress: Progress) -> None:
    """Write an index to a file in one step."""
    # What a link names is replaced, not the link.
    target = os.path.realpath(encoded(path))
    with reporting(progress, "save") as report:
        try:
            _core.save(index._core, target, _extras(index), threads, report)
        except OSError as error:
            error.filename = os.fspath(path)  # and not the new file beside it
            raise


def to_bytes(index: Index) -> bytes:
    """Give the bytes that `save` would write."""
    return _core.dump(index._core, _extras(index))


def from_bytes(data: bytes) -> Any:
    """Make an index of the bytes of a file."""
    return _as_index(*_core.restore(data))


def _check_sha256(path: PathLike, expected: str) -> None:
    import hashlib
    import re
    from pathlib import Path

    if not isinstance(expected, str) or not re.fullmatch("[0-9a-fA-F]{64}", expected):
        raise ValueError(f"expected_sha256 must be 64 hexadecimal digits, got {expected!r}")
    _core.inspect(encoded(path), 0, 1)  # refuses what is no index, such as a pipe, unread
    with Path(os.fspath(path)).open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != expected.lower():
        raise CorruptIndex(f"{os.fspath(path)}: must have the SHA-256 {expected}, got {found}")


def encoded(path: PathLike) -> bytes:
    """Give the path as the system wants it."""
    name = os.fsencode(path)
    if not name or b"\0" in name:
        raise ValueError(f"path must name a file, got {os.fspath(path)!r}")
    return name


def _extras(index: Index) -> list[tuple[str, NDArray[Any]]]:
    arrays: list[tuple[str, NDArray[Any]]] = []
    if index._strings is not None:
        keys = np.empty(0, np.int64) if index._core.read_only else index._core.ids()
        offsets, heap, table = index._strings.packed(keys)
        arrays += [("names.offsets", offsets), ("names.heap", heap), ("names.table", table)]
    if index.choice is not None:
        arrays.append(("choice", np.frombuffer(index.choice.encode(), np.uint8)))
    return arrays


def _with_path(path: PathLike, core: Any, fields: dict[str, Any], arrays: dict[str, Any]) -> Any:
    try:
        return _as_index(core, fields, arrays)
    except (CorruptIndex, IncompatibleVersion) as error:
        error.path = os.fspath(path)
        raise


def _as_index(core: _core.Index, fields: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> Any:
    from nearfield.kinds import index_class

    index = index_class(core.kind)._from_core(core, fields)
    if "names.offsets" in arrays:
        index._strings = _as_strings(core, arrays)
    if "choice" in arrays:
        index.choice = arrays["choice"].tobytes().decode("utf-8", "replace")
    return index


def _as_strings(core: _core.Index, arrays: dict[str, NDArray[Any]]) -> StringIds | MappedNames:
    offsets = arrays["names.offsets"]
    heap = arrays.get("names.heap", np.empty(0, np.uint8))
    table = arrays.get("names.table", np.empty(0, np.uint32))
    try:
        if core.read_only:
            return MappedNames(offsets, heap, table)
        return StringIds.unpacked(offsets, heap, table, core.ids())
    except ValueError as error:
        broken = CorruptIndex(f"section names.offsets {error}")
        broken.section = "names.offsets"
        raise broken from None


def _as_info(path: PathLike, found: dict[str, Any]) -> FileInfo:
    from pathlib import Path  # late: importing it takes longer than importing all of ours

    return FileInfo(
        Path(os.fspath(path)),
        found["kind"],
        found["version"],
        found["writer"],
        found["file_bytes"],
        found["fields"],
        [SectionInfo(*section) for section in found["sections"]],
    )
