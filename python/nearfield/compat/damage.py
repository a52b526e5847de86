"""A damaged file of another library, as both sides know it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from nearfield.errors import CorruptIndex, IncompatibleVersion

__all__ = ["DamagedFile", "UnknownFile", "told_as_runtime_error"]


class DamagedFile(CorruptIndex, RuntimeError):
    """A CorruptIndex that is also the RuntimeError which the original library raises."""


class UnknownFile(IncompatibleVersion, RuntimeError):
    """An IncompatibleVersion that is also the RuntimeError which the original library raises."""


@contextmanager
def told_as_runtime_error() -> Iterator[None]:
    """Turn what our readers and indexes raise into what the original's callers catch."""
    try:
        yield
    except CorruptIndex as error:
        damaged = DamagedFile(str(error))
        damaged.path, damaged.section, damaged.offset = error.path, error.section, error.offset
        raise damaged from error
    except IncompatibleVersion as error:
        unknown = UnknownFile(str(error))
        unknown.path, unknown.found = error.path, error.found
        unknown.supported, unknown.writer = error.supported, error.writer
        raise unknown from error
    except ValueError as error:
        raise RuntimeError(str(error)) from error
