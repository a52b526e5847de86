"""What an `usearch.Index` is loaded from."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from nearfield.compat.damage import told_as_runtime_error
from nearfield.formats.usearch_file import UsearchFile, read_usearch

__all__ = ["is_missing", "read_source"]


def is_missing(source: Any) -> bool:
    """Whether a path names no file."""
    is_bytes = isinstance(source, (bytes, bytearray, memoryview))
    return not is_bytes and not os.path.exists(source)  # noqa: PTH110 (any path-like)


def read_source(source: Any) -> UsearchFile:
    """Read a file or bytes; see `Index.load`."""
    if is_missing(source):
        raise FileNotFoundError(f"File not found: {os.fspath(source)}")
    is_bytes = isinstance(source, (bytes, bytearray, memoryview))
    with told_as_runtime_error():
        return read_usearch(bytes(source) if is_bytes else Path(source))
