"""Keep vectors on disk by the hash of their text, so that no text is embedded twice."""

from __future__ import annotations

import hashlib
import os
import re
import sqlite3
import sys
import warnings
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import DTypeLike, NDArray

__all__ = ["EmbeddingCache", "default_cache_dir"]

T = TypeVar("T")


def default_cache_dir() -> Path:
    """The folder for this user's cached vectors: NEARFIELD_CACHE_DIR, or the system's custom."""
    if chosen := os.environ.get("NEARFIELD_CACHE_DIR"):
        return Path(chosen)
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "nearfield"


class EmbeddingCache:
    """One SQLite file for each model fingerprint; a row for each text and kind.

    A cache that cannot be read or written costs time, never an answer: the fault becomes a
    RuntimeWarning and the texts are embedded anew. SQLite's locks keep several processes apart.
    """

    def __init__(
        self, folder: Path, fingerprint: str, dim: int, dtype: DTypeLike = np.float32
    ) -> None:
        digest = hashlib.blake2b(fingerprint.encode(), digest_size=8).hexdigest()
        slug = re.sub(r"[^A-Za-z0-9.-]+", "-", fingerprint)[:80]
        self._path = folder / f"{slug}-{digest}.sqlite"
        self._dim = dim
        self._dtype = np.dtype(dtype).newbyteorder("<")

    def fill(self, texts: Sequence[str], kind: str, vectors: NDArray[Any]) -> list[int]:
        """Write the known rows of `vectors`, shape (n, dim), and give the others' numbers."""

        def read(connection: sqlite3.Connection) -> list[int]:
            missing = []
            for row, text in enumerate(texts):
                found = connection.execute(
                    "SELECT vector FROM vectors WHERE key = ?", (_key(text, kind),)
                ).fetchone()
                if found is None or len(found[0]) != self._dtype.itemsize * self._dim:
                    missing.append(row)
                else:
                    vectors[row] = np.frombuffer(found[0], dtype=self._dtype)
            return missing

        return self._with_file(read, list(range(len(texts))))

    def store(self, texts: Sequence[str], kind: str, vectors: NDArray[Any]) -> None:
        """Keep row i of `vectors` as the vector of text i."""

        def write(connection: sqlite3.Connection) -> None:
            rows = (
                (_key(text, kind), np.asarray(vector, dtype=self._dtype).tobytes())
                for text, vector in zip(texts, vectors, strict=True)
            )
            with connection:
                connection.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?)", rows)

        if texts:
            self._with_file(write, None)

    def _with_file(self, work: Callable[[sqlite3.Connection], T], otherwise: T) -> T:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self._path)) as connection:
                connection.execute(
                    "CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, vector BLOB)"
                )
                return work(connection)
        except (OSError, sqlite3.Error) as error:
            message = f"embedding cache {self._path} is not usable and is left aside: {error}"
            warnings.warn(message, RuntimeWarning, stacklevel=2)
            return otherwise


def _key(text: str, kind: str) -> bytes:
    return hashlib.blake2b(f"{kind}\0{text}".encode(), digest_size=16).digest()
