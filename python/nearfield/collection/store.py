"""Rows, and the view of them that searches see: how writes become visible, how both recover."""

from __future__ import annotations

import errno
import functools
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from nearfield import kinds
from nearfield.collection.cache import RowCache
from nearfield.collection.fields import Field
from nearfield.collection.hits import Item
from nearfield.collection.inputs import Batch
from nearfield.collection.metadata import as_metadata
from nearfield.collection.rows import Change, Row, Rows
from nearfield.collection.segment import Segment, SegmentView
from nearfield.collection.view import Part, View
from nearfield.errors import CorruptCollection, PoisonedError, StorageError
from nearfield.flat import Flat
from nearfield.index import Index

__all__ = ["Settings", "Store"]

T = TypeVar("T")

# A part with more segments than a few is behind with merging. Each beyond many makes a writer pause
# so long for a row, that writing goes at the pace of merging in the end; and rows that wait do,
# where they are nearly as many as may wait, lest a write has to wait for seconds.
_FEW_SEGMENTS, _MANY_SEGMENTS = 5, 12
_PAUSE_S, _LONGEST_PAUSE_S = 50e-6, 400e-6


@dataclass(frozen=True)
class Settings:
    """What a collection is, for ever: stored beside its rows."""

    dim: int
    metric: str
    index: str
    index_params: dict[str, Any]
    fields: tuple[str, ...]
    partition_by: str | None
    encoder: str | None
    """Fingerprint."""

    def make_index(self) -> Index:
        made: Index = kinds.make(self.index, self.dim, metric=self.metric, **self.index_params)
        return made

    def check_vectors(self, vectors: NDArray[np.float32]) -> None:
        """Raise what adding these to the index would raise."""
        self._checker._core.check(vectors)

    @functools.cached_property
    def _checker(self) -> Flat:
        dtype = self.index_params.get(
            "dtype" if self.index == "flat" else "rerank",
            "float32" if self.index == "flat" else "float16",
        )
        return Flat(self.dim, self.metric, dtype, prefilter=False if dtype == "float32" else None)


class Store:
    """The state of an open collection.

    `writing` is held by whoever changes rows or the view; searches take `view` and never wait.
    """

    def __init__(
        self, rows: Rows, settings: Settings, seal_rows: int, room: int, cache_bytes: int
    ) -> None:
        self.rows = rows
        self.settings = settings
        self.seal_rows = seal_rows
        self.writing = threading.Condition(threading.RLock())
        self.view = View({}, rows.state.last_seq)
        self.tails: dict[Part, Segment] = {}
        self.fields: dict[str, Field] = {}
        self.touched: set[Part] = set()  # parts that catching up should look at
        self.cache = RowCache(cache_bytes)
        self.poison: BaseException | None = None
        self.catching_up = False  # whether somebody makes room when tails are full
        self.room = room  # rows of a part that may wait for the index

    # Writing

    def write(
        self,
        delete: Sequence[int | str],
        batch: Batch | None,
        next_id: int | None = None,
    ) -> Change:
        """Commit a change, then let searches see it."""
        with self.writing:
            self.check_writable()
            if self.view.seq != self.rows.state.last_seq:
                self.resync()
            try:
                change = self.rows.write(delete, batch.rows if batch else (), next_id)
            except sqlite3.IntegrityError:
                raise self._held_already(batch) from None
            except (StorageError, CorruptCollection) as error:
                self.failed(error)
                raise
            self._apply(change, batch)
            return change

    def check_writable(self) -> None:
        if self.poison is not None:
            raise PoisonedError(
                self.rows.database.path.parent, self.poison, self.rows.state.last_seq
            )

    def failed(self, error: StorageError | CorruptCollection) -> None:
        """After a failed write or sync nobody knows what the disk holds: it may not be retried."""
        if isinstance(error, StorageError):
            error.last_seq = self.rows.state.last_seq
            if error.errno == errno.ENOSPC and not self.rows.database.connection.in_transaction:
                return  # refused before it began, and rolled back
        self.poison = error

    def _held_already(self, batch: Batch | None) -> ValueError:
        ids = batch.ids if batch else []
        for id, slot in zip(ids, self.rows.slots_of(ids), strict=True):
            if slot is not None:
                return ValueError(
                    f"ids must be new, got {id!r}, which the collection holds; upsert() replaces it"
                )
        return ValueError("ids must be new and distinct")

    def wait_for_room(self, batch: Batch) -> None:
        """Hold a writer back while more rows wait for the index than a search can scan quickly, and
        slow it down before that, and while there are more segments than a search can ask quickly.
        Others may write meanwhile.
        """
        self.check_writable()
        parts = {row.part for row in batch.rows}
        until = time.monotonic() + len(batch.rows) * max(map(self._pause, parts))
        while self.catching_up and (left := until - time.monotonic()) > 0:
            self.writing.wait(left)
        for part in parts:
            while self.catching_up and self.waiting(part) >= self.room:
                self.writing.wait(0.5)
                self.check_writable()

    def _pause(self, part: Part) -> float:
        """Seconds a row."""
        begin = max(self.seal_rows, 3 * self.room // 4)
        full = (self.waiting(part) - begin) / max(1, self.room - begin)
        many = self._segments(part) - _MANY_SEGMENTS
        return _PAUSE_S * max(0, many) + _LONGEST_PAUSE_S * min(1.0, max(0.0, full))

    def is_behind(self, part: Part) -> bool:
        """Whether merging is more urgent than else."""
        return self._segments(part) > _FEW_SEGMENTS

    def _segments(self, part: Part) -> int:
        return sum(view.segment.sealed for view in self.view.parts.get(part, ()))

    def waiting(self, part: Part) -> int:
        """Rows of a part that are not in its index yet."""
        return sum(view.n for view in self.view.parts.get(part, ()) if not view.segment.sealed)

    def _apply(self, change: Change, batch: Batch | None) -> None:
        grown = []
        if batch is not None and batch.rows:
            slots = range(change.first_slot, change.first_slot + change.inserted)
            grown = self._append(np.arange(slots.start, slots.stop), batch)
            self.cache.put_many(
                (slot, (row.id, row.text, row.meta))
                for slot, row in zip(slots, batch.rows, strict=True)
            )
        removed: dict[Part, list[int]] = {}
        for slot, part in change.removed:
            removed.setdefault(part, []).append(slot)
            self.cache.drop(slot)
        gone = {part: np.array(sorted(slots), np.int64) for part, slots in removed.items()}
        self.view = self.view.changed(gone, grown, self.rows.state.last_seq)
        self.touched.update(gone)
        self.touched.update(segment.part for segment in grown)
        if self.catching_up and (gone or any(map(self.is_full, grown))):  # there may be work
            self.writing.notify_all()

    def _append(self, slots: NDArray[np.int64], batch: Batch) -> list[Segment]:
        parts: dict[Part, list[int]] = {}
        for i, row in enumerate(batch.rows):
            parts.setdefault(row.part, []).append(i)
        grown = []
        for part, rows in parts.items():
            tail = self.tail(part)
            metadata = [batch.metadata[i] for i in rows]
            codes = {name: self.fields[name].encode(metadata) for name in tail.codes}
            whole = len(rows) == len(slots)
            tail.append(
                slots if whole else slots[rows],
                batch.vectors if whole else batch.vectors[rows],
                codes,
            )
            grown.append(tail)
        return grown

    def is_full(self, tail: Segment) -> bool:
        """Whether it takes no more rows: it is to be built, and in pieces that do not take long."""
        return tail.n >= self.seal_rows

    def tail(self, part: Part) -> Segment:
        """The segment that takes new rows of a part."""
        tail = self.tails.get(part)
        if tail is None or self.is_full(tail):
            tail = Segment(self._empty_tail(), part)
            for name in self.fields:
                tail.set_codes(name, np.empty(0, np.int32))
            self.tails[part] = tail
        return tail

    def _empty_tail(self) -> Flat:
        dim, metric = self.settings.dim, self.settings.metric
        # Codes of all rows from the first on: making many at once would hold searches up.
        index = Flat(dim, metric, prefilter=True if dim >= 48 else None)
        core: Any = index._core
        if dim >= 48 and self.settings.index != "flat":  # whose answers are exact
            core.skim()
        if self.settings.partition_by is None:  # many small tails want little memory
            core.make_room(0, min(self.seal_rows, 1 << 16))  # beyond that growing costs little
        return index

    # Reading

    def check_kind(self, ids: Sequence[int | str]) -> None:
        """A collection has int ids or str ids, not both."""
        held = self.rows.id_kind()
        if ids and held is not None and not isinstance(ids[0], held):
            raise TypeError(
                f"ids must be {held.__name__}, as this collection has {held.__name__} ids, "
                f"got {type(ids[0]).__name__}"
            )

    def settled(self, read: Callable[[], T]) -> T:
        """What `read` gives while no transaction is half done; readers see into those."""
        before = self.rows.writes
        if before % 2 == 0:
            found = read()
            if self.rows.writes == before:
                return found
        with self.writing:
            return read()

    def entries(self, slots: Sequence[int]) -> list[tuple[int | str, str | None, Any]] | None:
        """(id, text, metadata) of each slot; None if one holds no row any more."""
        entries = self.cache.get_many(slots)
        if None in entries:
            missing = [slot for slot, entry in zip(slots, entries, strict=True) if entry is None]
            rows = self.rows.rows(missing)
            if None in rows:
                return None
            read = {row.slot: (row.id, row.text, row.meta) for row in rows if row is not None}
            self.cache.put_many(read.items())
            entries = [entry or read[slot] for slot, entry in zip(slots, entries, strict=True)]
        return [
            (entry[0], entry[1], as_metadata(entry[2])) for entry in entries if entry is not None
        ]

    def as_item(self, row: Row) -> Item:
        """A row as users see it; in a snapshot its vector is as the index has it."""
        if self.rows.bare and row.vec == b"":
            vector = self.vectors([row.slot])[1][0]
        else:
            vector = np.frombuffer(row.vec, "<f4").copy()
        return Item(row.id, row.text, as_metadata(row.meta), vector)

    def vectors(self, slots: Sequence[int]) -> tuple[list[int], NDArray[np.float32]]:
        """Those of the slots that still hold a row, and their vectors.

        A snapshot's are as its index has them.
        """
        if not self.rows.bare:
            return self.rows.vectors(slots, self.settings.dim)
        wanted = np.array(slots, np.int64)
        kept, found = [wanted[:0]], [np.empty((0, self.settings.dim), np.float32)]
        for view in self.view.segments():
            own = wanted[is_in(wanted, view.live_slots())]
            kept.append(own)
            found.append(view.segment.index.get(own))
        return np.concatenate(kept).tolist(), np.concatenate(found)

    # Recovering

    def recover(self, segments: Iterable[Segment]) -> dict[Part, NDArray[np.int64]]:
        """Make the view from sealed segments; gives the slots that none of them has."""
        everything, parts = self.rows.live()
        views: dict[Part, list[SegmentView]] = {}
        taken: dict[Part, list[NDArray[np.int64]]] = {}
        for segment in segments:
            live = parts.get(segment.part, everything[:0])
            present = is_in(segment.slots.view(), live)
            views.setdefault(segment.part, []).append(SegmentView(segment, segment.n, ~present))
            taken.setdefault(segment.part, []).append(segment.slots.view()[present])
        self.view = View(
            {part: tuple(found) for part, found in views.items()}, self.rows.state.last_seq
        )
        rest = {}
        for part, live in parts.items():
            held = np.sort(np.concatenate(taken.get(part, [everything[:0]])))
            if len(held) > 1 and (held[1:] == held[:-1]).any():
                raise CorruptCollection(
                    self.rows.database.path, "names a row in two segments of one snapshot"
                )
            missing = live[~is_in(live, held)]
            if len(missing):
                rest[part] = missing
        return rest

    def resync(self) -> None:
        """Bring the view up to the rows after a write that was cut short between the two."""
        _, parts = self.rows.live()
        self.tails.clear()  # they may hold rows that were appended and never shown
        self.touched.update(self.view.parts)  # they are to be built as they are
        for part in set(parts) | set(self.view.parts):
            live = parts.get(part, np.empty(0, np.int64))
            shown = [view.live_slots() for view in self.view.parts.get(part, ())]
            seen = np.sort(np.concatenate(shown)) if shown else np.empty(0, np.int64)
            gone, missing = seen[~is_in(seen, live)], live[~is_in(live, seen)]
            if len(gone):
                self.view = self.view.changed({part: gone}, [], self.view.seq)
            if len(missing):
                self.load_tail(part, missing)
        self.view = View(self.view.parts, self.rows.state.last_seq)
        self.writing.notify_all()

    def load_tail(self, part: Part, slots: NDArray[np.int64]) -> None:
        """Append rows that are stored to the tail, from where searches see them."""
        grown = []
        for start in range(0, len(slots), 4096):
            tail = self.tail(part)
            some = slots[start : start + 4096].tolist()
            kept, vectors = self.rows.vectors(some, self.settings.dim)
            metadata = self.rows.metadata(kept) if tail.codes else []
            codes = {name: self.fields[name].encode(metadata) for name in tail.codes}
            tail.append(np.array(kept, np.int64), vectors, codes)
            grown.append(tail)
        self.view = self.view.changed({}, grown, self.view.seq)
        self.touched.add(part)

    # Fields

    def ensure_fields(self, names: Iterable[str]) -> Mapping[str, Field]:
        """Columns of these fields; one that was never asked for is read from all rows first."""
        missing = [name for name in names if name and name not in self.fields]
        if missing:
            with self.writing:
                missing = [name for name in missing if name not in self.fields]
                if missing:
                    self._read_fields(missing)
        return self.fields

    def _read_fields(self, names: Sequence[str]) -> None:
        fresh = {name: Field(name) for name in names}
        slots, columns = self.rows.encode_metadata(list(fresh.values()))
        for view in self.view.segments():
            own = view.segment.slots.view()
            at = np.searchsorted(slots, own)
            at[at == len(slots)] = 0
            known = slots[at] == own if len(slots) else np.zeros(len(own), np.bool_)
            for name, column in zip(names, columns, strict=True):
                codes = np.where(known, column[at], 0) if len(slots) else np.zeros(len(own))
                view.segment.set_codes(name, codes.astype(np.int32))
        shown = {id(view.segment) for view in self.view.segments()}
        for tail in self.tails.values():
            if id(tail) not in shown:  # of a part without any row so far
                for name in names:
                    tail.set_codes(name, np.zeros(tail.n, np.int32))
        self.fields.update(fresh)  # last: searches go by this


def is_in(values: NDArray[np.int64], among: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of the ascending values are among others, also ascending."""
    if not len(among):
        return np.zeros(len(values), np.bool_)
    at = np.searchsorted(among, values)
    at[at == len(among)] = 0
    found: NDArray[np.bool_] = among[at] == values
    return found
