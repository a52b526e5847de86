"""The index on disk: segments in files of their own, and rows that say which files make a snapshot.

A file is written once, whole and synced, before a transaction names it; the transaction is what
publishes it. Two generations are kept, so that damage to the newer is answered by the older, and
damage to both by building from the rows.
"""

from __future__ import annotations

import itertools
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import nearfield
from nearfield.collection.rows import Rows
from nearfield.collection.segment import Segment
from nearfield.collection.store import Settings
from nearfield.errors import CorruptCollection, DataLossDetected
from nearfield.index import Index

__all__ = ["Generations", "check_nothing_newer"]

_FILE = re.compile(r"(?:index|view)-(\d+)-(\d+)\.(?:nf|db)")
_LEFT_OVER = re.compile(r"((?:index|view)-\d+-\d+\.(?:nf|db))(?:\.tmp.*|-wal|-shm|-journal)")
KEPT = 2


def check_nothing_newer(folder: Path, last_seq: int) -> None:
    """Raise DataLossDetected if a file was made of changes that the rows do not have."""
    newest = max((numbers[1] for _, numbers in _files(folder)), default=0)
    if newest > last_seq:
        raise DataLossDetected(folder, last_seq + 1, newest)


class Generations:
    """Segment files in `folder`, named index-<number>-<last change>.nf."""

    def __init__(self, folder: Path, rows: Rows) -> None:
        self.folder = folder
        self.rows = rows
        last = max((numbers[0] for _, numbers in _files(folder)), default=0)
        gens: list[int] = [gen for (gen,) in rows.database.all("SELECT gen FROM segment")]
        if not all(isinstance(gen, int) for gen in gens):
            raise CorruptCollection(rows.database.path, "numbers a snapshot by what is no number")
        self._numbers = itertools.count(max([last, *gens]) + 1)
        self._unnamed: set[str] = set()  # files that no generation names yet

    def load(self, settings: Settings) -> list[Segment]:
        """Segments of the newest generation that is whole; none if there is none."""
        gens = self.rows.database.all("SELECT DISTINCT gen FROM segment ORDER BY gen DESC")
        for (gen,) in gens:
            listed = self.rows.database.all(
                "SELECT file, part, n, bytes FROM segment WHERE gen = ?", (gen,)
            )
            try:
                return [self._load(settings, row) for row in listed]
            except (OSError, ValueError, RuntimeError) as error:
                warnings.warn(
                    f"the index's snapshot {gen} in {self.folder} is not usable and is left "
                    f"aside: {error}",
                    RuntimeWarning,
                    stacklevel=2,
                )
        return []

    def _load(self, settings: Settings, row: tuple[Any, ...]) -> Segment:
        name, part, n, size = row
        if not isinstance(name, str) or not _FILE.fullmatch(name):
            raise CorruptCollection(self.rows.database.path, f"names an index file {name!r}")
        path = self.folder / name
        found = path.stat().st_size
        if found != size:
            raise CorruptCollection(path, f"must have {size:,} bytes, got {found:,}")
        # Mapped, as nobody changes it: opening reads it once, to check it, and copies nothing.
        index: Index = nearfield.load(path, mmap=True, verify="full")
        slots = np.asarray(index.ids)
        if (index.dim, index.metric) != (settings.dim, settings.metric) or len(slots) != n:
            raise CorruptCollection(path, f"must be an index of {n} vectors, got {index!r}")
        if slots.dtype != np.int64 or (np.diff(slots) <= 0).any():
            raise CorruptCollection(path, "must hold ascending slots")
        segment = Segment(index, part, sealed=True)
        segment.slots.append(slots)
        segment.file = name
        return segment

    def save(self, segment: Segment, seq: int, threads: int = 0) -> None:
        """Write a segment's file; nothing knows of it yet."""
        name = f"index-{next(self._numbers)}-{seq}.nf"
        self._unnamed.add(name)
        segment.index.save(self.folder / name, threads=threads)
        segment.file = name

    def forget(self, segment: Segment | None) -> None:
        """Let the file of a segment that is not used be removed."""
        if segment is not None and segment.file is not None:
            self._unnamed.discard(segment.file)

    def publish(self, segments: Sequence[Segment], seq: int) -> int:
        """Make these segments the newest generation, and forget those beyond the kept ones."""
        gen: int = next(self._numbers)
        saved = [segment for segment in segments if segment.file is not None]
        kept = self._kept(gen)
        with self.rows.database.transaction():
            self.rows.database.insert(
                "segment",
                [
                    (gen, segment.file, segment.part, segment.n,
                     (self.folder / str(segment.file)).stat().st_size, seq)
                    for segment in saved
                ],
            )  # fmt: skip
            gens = self.rows.database.all("SELECT DISTINCT gen FROM segment")
            self.rows.database.delete("segment", "gen", [g for (g,) in gens if g not in kept])
        self._unnamed.difference_update(str(segment.file) for segment in saved)
        self.clean()
        return gen

    def _kept(self, newest: int) -> set[int]:
        gens = self.rows.database.all("SELECT DISTINCT gen FROM segment ORDER BY gen DESC")
        viewed = {numbers[0] for path, numbers in _files(self.folder) if path.suffix == ".db"}
        return {newest} | {gen for (gen,) in gens[: KEPT - 1]} | viewed

    def clean(self) -> None:
        """Remove files that no kept generation names, and what a crash left half-written."""
        named = {name for (name,) in self.rows.database.all("SELECT DISTINCT file FROM segment")}
        views = sorted(
            (numbers[0], path) for path, numbers in _files(self.folder) if path.suffix == ".db"
        )
        gone = [path for _, path in views[:-KEPT]]
        for path in self.folder.iterdir():
            left_over = _LEFT_OVER.fullmatch(path.name)
            whole = _FILE.fullmatch(path.name) if path.suffix == ".nf" else None
            name = left_over[1] if left_over else path.name
            stray = left_over or (whole and name not in named)
            if stray and name not in self._unnamed:  # else it is just being written
                gone.append(path)
        for path in gone:
            path.unlink(missing_ok=True)


def _files(folder: Path) -> list[tuple[Path, tuple[int, int]]]:
    found = []
    for path in folder.iterdir():
        match = _FILE.fullmatch(path.name)
        if match:
            found.append((path, (int(match[1]), int(match[2]))))
    return found
