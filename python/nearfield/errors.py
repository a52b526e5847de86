"""The exceptions that are ours; everything else is a ValueError or TypeError."""

from pathlib import Path

__all__ = [
    "CorruptCollection",
    "DataLossDetected",
    "EncoderMismatch",
    "ForkError",
    "LockedError",
    "PoisonedError",
    "StorageError",
    "UnknownId",
]


class UnknownId(KeyError):
    """An id that the index does not hold."""

    def __str__(self) -> str:
        # KeyError shows the repr of its argument; this one is a sentence.
        return str(self.args[0]) if self.args else ""


class CorruptCollection(ValueError):
    """A file of a collection is not what a collection wrote."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path} {reason}")
        self.path = path
        self.reason = reason


class StorageError(OSError):
    """The disk refused a read or a write; `errno` and `filename` tell which and where."""

    last_seq: int | None = None
    """Number of the last change that was acknowledged, where that is known."""


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
