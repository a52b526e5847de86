"""Files for `write_index` and `read_index` that are functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "BufferedIOReader",
    "BufferedIOWriter",
    "IOReader",
    "IOWriter",
    "PyCallbackIOReader",
    "PyCallbackIOWriter",
    "VectorIOReader",
    "VectorIOWriter",
]


class IOWriter:
    """Something to write to."""

    def write(self, data: bytes) -> None:
        """Write bytes."""
        raise NotImplementedError


class IOReader:
    """Something to read from."""

    def read(self, size: int = -1) -> bytes:
        """Give `size` bytes, or all that are left."""
        raise NotImplementedError


class PyCallbackIOWriter(IOWriter):
    """Passes bytes to a function.

    Parameters
    ----------
    callback : callable
        Takes bytes.
    bs : int, default 1 MiB
        Most bytes a call.
    """

    def __init__(self, callback: Callable[[bytes], Any], bs: int = 1 << 20) -> None:
        self._callback, self._most = callback, max(int(bs), 1)

    def write(self, data: bytes) -> None:
        """Write bytes."""
        for begin in range(0, len(data), self._most):
            self._callback(data[begin : begin + self._most])


class PyCallbackIOReader(IOReader):
    """Takes bytes from a function.

    Parameters
    ----------
    callback : callable
        Takes a number, gives at most so many bytes, none at the end.
    bs : int, default 1 MiB
        Most bytes a call.
    """

    def __init__(self, callback: Callable[[int], bytes], bs: int = 1 << 20) -> None:
        self._callback, self._most = callback, max(int(bs), 1)

    def read(self, size: int = -1) -> bytes:
        """Give `size` bytes, or all that are left."""
        parts: list[bytes] = []
        left = size
        while left:
            part = self._callback(self._most if left < 0 else min(left, self._most))
            if not part:
                break
            parts.append(part)
            left -= len(part) if left > 0 else 0
        return b"".join(parts)


class BufferedIOWriter(IOWriter):
    """Passes on to another writer."""

    def __init__(self, writer: IOWriter, bsz: int = 1 << 20) -> None:
        self._writer = writer

    def write(self, data: bytes) -> None:
        """Write bytes."""
        self._writer.write(data)


class BufferedIOReader(IOReader):
    """Takes from another reader."""

    def __init__(self, reader: IOReader, bsz: int = 1 << 20) -> None:
        self._reader = reader

    def read(self, size: int = -1) -> bytes:
        """Give `size` bytes, or all that are left."""
        return self._reader.read(size)


class VectorIOWriter(IOWriter):
    """Keeps what is written in `data`."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> None:
        """Write bytes."""
        self._parts.append(bytes(data))

    @property
    def data(self) -> NDArray[np.uint8]:
        """What was written."""
        return np.frombuffer(b"".join(self._parts), np.uint8)


class VectorIOReader(IOReader):
    """Reads `data`."""

    def __init__(self) -> None:
        self.data: Any = np.empty(0, np.uint8)
        self._at = 0

    def read(self, size: int = -1) -> bytes:
        """Give `size` bytes, or all that are left."""
        held = np.ascontiguousarray(self.data).view(np.uint8)
        end = len(held) if size < 0 else self._at + size
        part = held[self._at : end].tobytes()
        self._at += len(part)
        return part
