"""A damaged file of another library, as both sides know it."""

from __future__ import annotations

from types import TracebackType

from nearfield.errors import CorruptIndex, IncompatibleVersion

__all__ = ["DamagedFile", "UnknownFile", "told_as_runtime_error"]


class DamagedFile(CorruptIndex, RuntimeError):
    """A CorruptIndex that is also the RuntimeError which the original library raises."""


class UnknownFile(IncompatibleVersion, RuntimeError):
    """An IncompatibleVersion that is also the RuntimeError which the original library raises."""


class told_as_runtime_error:  # noqa: N801 (used as a function)
    """Context in which our readers and indexes raise what the original's callers catch."""

    __slots__ = ()

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, CorruptIndex):
            damaged = DamagedFile(str(error))
            damaged.path, damaged.section, damaged.offset = error.path, error.section, error.offset
            raise damaged from error
        if isinstance(error, IncompatibleVersion):
            unknown = UnknownFile(str(error))
            unknown.path, unknown.found = error.path, error.found
            unknown.supported, unknown.writer = error.supported, error.writer
            raise unknown from error
        if isinstance(error, ValueError):
            raise RuntimeError(str(error)) from error
