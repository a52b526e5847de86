"""Files that are written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import get_ident

__all__ = ["whole_file"]


@contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Give a path to write to, which takes the place of `path` once it is written and synced.

    If the block raises, what was at `path` stays. What is no regular file, as a pipe, is written
    to itself.
    """
    file = Path(os.path.realpath(path))  # a link stays, and leads to the new file
    if file.exists() and not file.is_file():
        yield file
        return
    # A suffix as before, so that writers that look at names are content.
    temporary = file.with_name(f"{file.stem}.tmp-{os.getpid()}-{get_ident()}{file.suffix}")
    try:
        yield temporary
        with temporary.open("rb+") as written:
            os.fsync(written.fileno())
        temporary.replace(file)
    finally:
        temporary.unlink(missing_ok=True)
