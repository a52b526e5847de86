"""Reading foreign files: every length is compared with the file before it is used."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearfield.errors import CorruptIndex

__all__ = ["Cursor"]


class Cursor:
    """A place in a mapped file, or in bytes; little-endian numbers are taken from there on."""

    def __init__(self, source: Path | bytes) -> None:
        self.path = source if isinstance(source, Path) else None
        self._data: NDArray[np.uint8]
        if isinstance(source, bytes):
            self._data = np.frombuffer(source, np.uint8)
        elif source.stat().st_size:
            self._data = np.memmap(source, np.uint8, mode="r")
        else:
            self._data = np.empty(0, np.uint8)
        self.size = len(self._data)
        self.at = 0

    def broken(self, what: str) -> CorruptIndex:
        """Make the error that says what is wrong here."""
        error = CorruptIndex(f"{self.path or 'bytes'}: {what}")
        error.path, error.offset = str(self.path) if self.path else None, self.at
        return error

    def take(self, format: str, what: str) -> Any:
        """One number, by its letter in `struct`."""
        bytes_ = self.array("u1", struct.calcsize("<" + format), what)
        return struct.unpack("<" + format, bytes_.data)[0]

    def between(self, format: str, what: str, lowest: int, highest: int) -> int:
        """One number in lowest..highest."""
        value = int(self.take(format, what))
        if not lowest <= value <= highest:
            raise self.broken(f"{what} must be in {lowest}..{highest}, got {value}")
        return value

    def array(self, dtype: str, n: int, what: str) -> NDArray[Any]:
        """`n` elements, as a view of the file."""
        size = n * np.dtype(dtype).itemsize
        if n < 0 or size > self.size - self.at:
            raise self.broken(f"{what} needs {size:,} bytes, {self.size - self.at:,} are left")
        found = self._data[self.at : self.at + size]
        self.at += size
        return found.view(dtype)

    def vector(self, dtype: str, what: str, unit: int = 1) -> NDArray[Any]:
        """A uint64 count, in units, and as many elements."""
        return self.array(dtype, int(self.take("Q", what)) * unit, what)

    def end(self) -> None:
        """Nothing may follow."""
        if self.at != self.size:
            raise self.broken(f"{self.size - self.at:,} bytes follow the index")
