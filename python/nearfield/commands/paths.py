"""Paths that a command was given, checked before its work begins."""

from __future__ import annotations

import errno
import os
from pathlib import Path

__all__ = ["check_collection", "check_output"]


def check_output(path: Path, name: str, suffixes: tuple[str, ...]) -> None:
    """Raise unless a file may come there: hours of work are not to end in a wrong name."""
    if path.suffix not in suffixes:
        raise ValueError(f"{name} must end in {' or '.join(suffixes)}, got {path}")
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not path.parent.is_dir():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path.parent))


def check_collection(path: Path, name: str) -> None:
    """Raise unless a collection is there: opening a folder without one would make it."""
    if not (path / "rows.db").exists():
        raise ValueError(
            f"{name} must be a collection, as `nearfield build --text` makes, got {path}"
        )
