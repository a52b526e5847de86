"""The rows of a collection: the only copy of everything, and the log of what was written.

A row never changes. It gets the number of its insertion as its slot, so rows in slot order are the
log; an upsert deletes the old row and inserts one with a new slot, in one transaction.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import struct
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nearfield.collection.database import Database
from nearfield.collection.fields import Field
from nearfield.collection.metadata import as_metadata
from nearfield.errors import CorruptCollection

__all__ = ["SCHEMA", "Change", "NewRow", "Row", "Rows", "State", "row_hash"]

SCHEMA = (
    "CREATE TABLE config(name TEXT PRIMARY KEY, value TEXT NOT NULL)",
    "CREATE TABLE state(one INTEGER PRIMARY KEY CHECK(one = 1), last_seq INTEGER NOT NULL,"
    " n INTEGER NOT NULL, set_hash INTEGER NOT NULL, next_id INTEGER NOT NULL)",
    "CREATE TABLE item(slot INTEGER PRIMARY KEY, id NOT NULL UNIQUE, part, meta TEXT,"
    " h INTEGER NOT NULL)",
    "CREATE TABLE content(slot INTEGER PRIMARY KEY, text TEXT, vec BLOB NOT NULL)",
    "CREATE TABLE segment(gen INTEGER, file TEXT, part, n INTEGER, bytes INTEGER, seq INTEGER,"
    " PRIMARY KEY(gen, file))",
)

_ROW = (
    "SELECT i.slot, i.id, i.part, i.meta, i.h, c.text, c.vec"
    " FROM item i LEFT JOIN content c USING(slot)"
)


class NewRow(NamedTuple):
    """A checked row that has no slot yet."""

    id: int | str
    part: int | str | None
    meta: str | None
    text: str | None
    vec: bytes


class Row(NamedTuple):
    slot: int
    id: int | str
    part: int | str | None
    meta: str | None
    h: int
    text: str | None
    vec: bytes

    def is_whole(self) -> bool:
        """Whether the row is what was written."""
        try:
            return row_hash(self.slot, self.id, self.part, self.meta, self.text, self.vec) == self.h
        except (AttributeError, TypeError, struct.error):  # damage made it another type
            return False


class State(NamedTuple):
    last_seq: int
    n: int
    set_hash: int
    next_id: int


class Change(NamedTuple):
    """What a write did."""

    removed: list[tuple[int, int | str | None]]  # (slot, part)
    first_slot: int
    inserted: int


def row_hash(
    slot: int, id: int | str, part: int | str | None, meta: str | None, text: str | None, vec: bytes
) -> int:
    """64 bits over everything in a row; catches damage that SQLite, without checksums, does not."""
    digest = hashlib.blake2b(struct.pack("<q", slot), digest_size=8)
    for value in (id, part, meta, text):
        data = b"" if value is None else str(value).encode()
        kind = b"n" if value is None else b"i" if isinstance(value, int) else b"s"
        digest.update(kind + struct.pack("<q", len(data)) + data)
    digest.update(vec)
    return int.from_bytes(digest.digest(), "little", signed=True)


def _wrapped(value: int) -> int:
    """Modulo 2**64 into int64, as SQLite and numpy hold it."""
    return (value + 2**63) % 2**64 - 2**63


class Rows:
    """Reads and writes of rows. Writers take turns outside; readers may come at any time."""

    def __init__(
        self,
        path: Path,
        *,
        sync: str = "FULL",
        read_only: bool = False,
    ) -> None:
        self.writes = 0  # odd while a transaction is half done
        self.bare = read_only  # a snapshot leaves out vectors that index files have
        self.database = Database(path, SCHEMA, sync=sync, read_only=read_only)
        try:
            if not read_only and not self.database.all("SELECT 1 FROM state"):
                self.database.run("INSERT INTO state VALUES (1, 0, 0, 0, 0)")
            self.state = self.read_state()
        except BaseException:
            self.database.close()
            raise

    def read_state(self) -> State:
        found = self.database.all("SELECT last_seq, n, set_hash, next_id FROM state")
        if len(found) != 1 or not all(isinstance(value, int) for value in found[0]):
            raise CorruptCollection(self.database.path, f"has a state of {found!r:.200}")
        return State(*found[0])

    def config(self) -> dict[str, Any]:
        try:
            return {
                name: json.loads(value)
                for name, value in self.database.all("SELECT name, value FROM config")
            }
        except (ValueError, TypeError) as error:
            raise CorruptCollection(self.database.path, f"has a broken config: {error}") from None

    def set_config(self, config: dict[str, Any]) -> None:
        with self.database.transaction():
            self.database.many(
                "INSERT OR REPLACE INTO config VALUES (?, ?)",
                [(name, json.dumps(value)) for name, value in config.items()],
            )

    def write(
        self, delete: Sequence[int | str], insert: Sequence[NewRow], next_id: int | None = None
    ) -> Change:
        """Delete the ids that are held and insert rows, all or nothing, durably.

        Raises
        ------
        sqlite3.IntegrityError
            If an inserted id is held after the deletions; nothing has changed then.
        """
        database, state = self.database, self.state
        self.writes += 1
        try:
            with database.transaction():
                old = self._find(delete)
                self._delete(old)
                first = state.last_seq + len(old) + 1
                added = self._insert(first, insert)
                set_hash = state.set_hash + added - sum(row[2] for row in old)
                fresh = State(
                    state.last_seq + len(old) + len(insert),
                    state.n - len(old) + len(insert),
                    _wrapped(set_hash),
                    state.next_id if next_id is None else next_id,
                )
                database.run(
                    "UPDATE state SET last_seq = ?, n = ?, set_hash = ?, next_id = ?", fresh
                )
        except sqlite3.IntegrityError:
            raise
        except BaseException:
            self.state = self.read_state()  # an interrupt may come right after the commit
            raise
        finally:
            self.writes += 1
        self.state = fresh
        return Change([(slot, part) for slot, part, _ in old], first, len(insert))

    def _find(self, ids: Sequence[int | str]) -> list[tuple[int, Any, int]]:
        found = self.database.each("SELECT slot, part, h FROM item WHERE id = ?", ids)
        return [row for row in found if row is not None]

    def _delete(self, old: list[tuple[int, Any, int]]) -> None:
        keys = [(slot,) for slot, _, _ in old]
        self.database.many("DELETE FROM item WHERE slot = ?", keys)
        self.database.many("DELETE FROM content WHERE slot = ?", keys)

    def _insert(self, first: int, rows: Sequence[NewRow]) -> int:
        """Gives the sum of their hashes."""
        hashes = [row_hash(first + i, *row) for i, row in enumerate(rows)]
        # Content first, as it goes last: a reader between the two sees no row without it.
        self.database.many(
            "INSERT INTO content VALUES (?, ?, ?)",
            [(first + i, row.text, row.vec) for i, row in enumerate(rows)],
        )
        self.database.many(
            "INSERT INTO item VALUES (?, ?, ?, ?, ?)",
            [
                (first + i, row.id, row.part, row.meta, h)
                for i, (row, h) in enumerate(zip(rows, hashes, strict=True))
            ],
        )
        return sum(hashes)

    def rows_of(self, ids: Sequence[int | str]) -> list[Row | None]:
        found = self.database.each(f"{_ROW} WHERE i.id = ?", ids)
        return [None if row is None else Row(*row) for row in found]

    def id_kind(self) -> type | None:
        """int or str; None of an empty collection."""
        found = self.database.all("SELECT id FROM item LIMIT 1")
        return type(found[0][0]) if found else None

    def slots_of(self, ids: Sequence[int | str]) -> list[int | None]:
        found = self.database.each("SELECT slot FROM item WHERE id = ?", ids)
        return [None if row is None else row[0] for row in found]

    def rows(self, slots: Sequence[int]) -> list[Row | None]:
        """The row of each slot, None where it holds none any more. Raises for a damaged one."""
        found = self.database.each(f"{_ROW} WHERE i.slot = ?", slots)
        return [None if row is None else self.whole(Row(*row)) for row in found]

    def texts(self, slots: Sequence[int]) -> list[str | None]:
        """The text of each slot, None where there is none."""
        found = self.database.each("SELECT text FROM content WHERE slot = ?", slots)
        return [None if row is None else row[0] for row in found]

    def whole(self, row: Row) -> Row:
        """The row, if it is what was written; of a snapshot, whose index has the vector, unread."""
        if not row.is_whole() and not (self.bare and row.vec == b""):
            raise CorruptCollection(
                self.database.path, f"holds a damaged row in slot {row.slot}, id {row.id!r}"
            )
        return row

    def scan(self, page: int = 256) -> Iterator[tuple[int, Row | None]]:
        """Every slot in order with its row, None where that cannot be read or is damaged."""
        last = -1
        while found := self.database.all(
            "SELECT slot FROM item WHERE slot > ? ORDER BY slot LIMIT ?", (last, page)
        ):
            for (slot,) in found:
                try:
                    yield slot, self.rows([slot])[0]
                except CorruptCollection:
                    yield slot, None
            last = found[-1][0]

    def live(self) -> tuple[NDArray[np.int64], dict[Any, NDArray[np.int64]]]:
        """All slots, ascending, and the same by part. Checks them against the state.

        Raises
        ------
        CorruptCollection
            If the rows are not those that the state speaks of.
        """
        pages, total = [], 0
        parts: dict[Any, list[NDArray[np.int64]]] = {}
        for found in self.database.pages("SELECT slot, h, part FROM item ORDER BY slot"):
            slots, hashes, keys = zip(*found, strict=True)
            page = np.array(slots, np.int64)
            pages.append(page)
            try:
                total += int(np.array(hashes, np.int64).sum(dtype=np.int64))
            except (TypeError, ValueError, OverflowError) as error:
                raise CorruptCollection(
                    self.database.path, f"holds a hash that is none: {error}"
                ) from None
            if keys.count(keys[0]) == len(keys):
                parts.setdefault(keys[0], []).append(page)
            else:
                for key in set(keys):
                    chosen = np.array([other == key for other in keys])
                    parts.setdefault(key, []).append(page[chosen])
        slots_all = np.concatenate(pages) if pages else np.empty(0, np.int64)
        if len(slots_all) != self.state.n or _wrapped(total) != self.state.set_hash:
            raise CorruptCollection(
                self.database.path,
                f"must hold {self.state.n} rows of set hash {self.state.set_hash:#x}, "
                f"got {len(slots_all)} of {_wrapped(total):#x}",
            )
        if len(slots_all) and int(slots_all[-1]) > self.state.last_seq:
            raise CorruptCollection(
                self.database.path,
                f"holds slot {slots_all[-1]} beyond its last change {self.state.last_seq}",
            )
        return slots_all, {key: np.concatenate(found) for key, found in parts.items()}

    def vectors(self, slots: Sequence[int], dim: int) -> tuple[list[int], NDArray[np.float32]]:
        """Vectors of the slots that still hold a row, and those slots."""
        out = np.empty((len(slots), dim), np.float32)
        kept: list[int] = []
        for start in range(0, len(slots), 256):
            for row in self.rows(slots[start : start + 256]):
                if row is None:
                    continue
                if len(row.vec) != 4 * dim:
                    raise CorruptCollection(
                        self.database.path, f"holds no vector of dim {dim} in slot {row.slot}"
                    )
                out[len(kept)] = np.frombuffer(row.vec, "<f4")
                kept.append(row.slot)
        return kept, out[: len(kept)]

    def metadata(self, slots: Sequence[int]) -> list[dict[str, Any]]:
        """Metadata of each slot; empty where it holds none or no row any more."""
        out: list[dict[str, Any]] = []
        for start in range(0, len(slots), 256):
            found = self.database.each(
                "SELECT meta FROM item WHERE slot = ?", slots[start : start + 256]
            )
            out += [self._parsed(None if row is None else row[0]) for row in found]
        return out

    def encode_metadata(
        self, fields: Sequence[Field]
    ) -> tuple[NDArray[np.int64], list[NDArray[np.int32]]]:
        """All slots, ascending, and each field's codes of their rows."""
        slots: list[NDArray[np.int64]] = [np.empty(0, np.int64)]
        columns: list[list[NDArray[np.int32]]] = [[np.empty(0, np.int32)] for _ in fields]
        for found in self.database.pages("SELECT slot, meta FROM item ORDER BY slot"):
            slots.append(np.array([slot for slot, _ in found], np.int64))
            rows = [self._parsed(meta) for _, meta in found]
            for field, column in zip(fields, columns, strict=True):
                column.append(field.encode(rows))
        return np.concatenate(slots), [np.concatenate(column) for column in columns]

    def _parsed(self, meta: str | None) -> dict[str, Any]:
        try:
            return as_metadata(meta)
        except (ValueError, TypeError) as error:
            raise CorruptCollection(
                self.database.path, f"holds metadata that is no JSON: {error}"
            ) from None
