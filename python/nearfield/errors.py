"""The exceptions that are ours; everything else is a ValueError or TypeError."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # importing it takes longer than all the rest of this package's Python
    from pathlib import Path

__all__ = [
    "CorruptCollection",
    "CorruptIndex",
    "DataLossDetected",
    "EncoderMismatch",
    "ForkError",
    "IncompatibleVersion",
    "LockedError",
    "PoisonedError",
    "ReadOnlyIndex",
    "ResourceLimit",
    "StorageError",
    "UnknownId",
]


class UnknownId(KeyError):
    """An id that the index does not hold."""

    def __str__(self) -> str:
        # KeyError shows the repr of its argument; this one is a sentence.
        return str(self.args[0]) if self.args else ""


class CorruptIndex(ValueError):
    """A file is no index or a damaged one, or an index breaks its own rules."""

    path: str | None = None
    """The file; None where none is involved."""
    section: str = ""
    """The part of the file; empty where the whole is meant."""
    offset: int = 0
    """Where in the file, in bytes; 0 where no place can be told."""


class IncompatibleVersion(ValueError):
    """A file that a later version wrote, or a part of it that this version does not have."""

    path: str | None = None
    found: str = ""
    """What the file has: a format version, or the name of a kind or section."""
    supported: str = ""
    """What this version reads."""
    writer: str = ""
    """Who wrote the file, as it says itself."""


class ResourceLimit(MemoryError):
    """Loading or adding would take more memory than `max_memory` allows; nothing has changed."""

    needed: int = 0
    """Bytes, as far as they were counted."""
    limit: int = 0


class StorageError(OSError):
    """The system refused to read or write: a full disk, an I/O error.

    `errno` and `filename` are those of OSError. A file that is missing or may not be read is a
    plain FileNotFoundError, PermissionError or IsADirectoryError.
    """

    operation: str = ""
    """What was refused: create, allocate, write, sync, close, verify, rename, open, read or map."""
    last_seq: int | None = None
    """Of a collection: number of the last change that was acknowledged, where that is known."""


class ReadOnlyIndex(RuntimeError):
    """A change of an index that views a file."""


class CorruptCollection(CorruptIndex):
    """A file of a collection is not what a collection wrote."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path} {reason}")
        self.path = str(path)
        self.reason = reason


class PoisonedError(RuntimeError):
    """After an I/O error a collection takes no more writes until it is opened again."""

    def __init__(self, path: Path, cause: BaseException, last_seq: int) -> None:
        super().__init__(
            f"the collection at {path} must be opened again before it takes writes, as one failed: "
            f"{cause} (last acknowledged change: {last_seq})"
        )
        self.path = path
        self.cause = cause
        self.last_seq = last_seq


class LockedError(RuntimeError):
    """Another process, or another object of this one, has the collection open."""

    def __init__(self, path: Path, pid: int | None, host: str | None, since: str | None) -> None:
        holder = f"process {pid} on {host} since {since}" if pid else "another process"
        super().__init__(f"the collection at {path} must be open once, got a lock held by {holder}")
        self.path = path
        self.pid = pid
        self.host = host
        self.since = since


class DataLossDetected(RuntimeError):
    """Changes that were acknowledged are not in the rows: a file was cut, replaced or lost."""

    def __init__(self, path: Path, first_lost: int, last_lost: int) -> None:
        super().__init__(
            f"{path} must hold every change up to {last_lost}, got none after {first_lost - 1}; "
            "Collection.salvage() collects what is left"
        )
        self.path = path
        self.first_lost = first_lost
        self.last_lost = last_lost


class ForkError(RuntimeError):
    """A collection was used in a child process made by fork; open it there anew."""

    def __init__(self, path: Path, owner: int, child: int) -> None:
        super().__init__(
            f"the collection at {path} must be used in the process that opened it ({owner}), "
            f"got a call in its fork {child}"
        )
        self.path = path
        self.owner = owner
        self.child = child


class EncoderMismatch(ValueError):
    """The encoder given is not the one that made the collection's vectors."""

    def __init__(self, path: Path, stored: str | None, given: str) -> None:
        super().__init__(
            f"encoder must have the fingerprint {stored!r}, with which the collection at {path} "
            f"was made, got {given!r}"
        )
        self.path = path
        self.stored = stored
        self.given = given
