"""The rows of a collection: the only copy of everything, and the log of what was written.

A row never changes. It gets the number of its insertion as its slot, so rows in slot order are the
log; an upsert deletes the old row and inserts one with a new slot, in one transaction.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nearfield._core import hash_rows
from nearfield.collection.database import KEYS_A_STATEMENT, ROWS_A_STATEMENT, Database
from nearfield.collection.fields import Field
from nearfield.collection.metadata import as_metadata
from nearfield.errors import CorruptCollection

__all__ = ["SCHEMA", "TEXT", "VECTOR", "Change", "NewRow", "Row", "Rows", "State"]

SCHEMA = (
    "CREATE TABLE config(name TEXT PRIMARY KEY, value TEXT NOT NULL)",
    "CREATE TABLE state(one INTEGER PRIMARY KEY CHECK(one = 1), last_seq INTEGER NOT NULL,"
    " n INTEGER NOT NULL, set_hash INTEGER NOT NULL, next_id INTEGER NOT NULL)",
    "CREATE TABLE item(slot INTEGER PRIMARY KEY, id NOT NULL UNIQUE, part, meta TEXT,"
    " h INTEGER NOT NULL)",
    "CREATE TABLE content(slot INTEGER PRIMARY KEY, text TEXT, vec BLOB NOT NULL)",
    "CREATE TABLE segment(gen INTEGER, file TEXT, part, n INTEGER, bytes INTEGER, seq INTEGER,"
    " PRIMARY KEY(gen, file))",
    # A write is one INSERT into this view, so that it is one step of one statement, which commits
    # itself: see GONE, HELD, STATE.
    "CREATE VIEW change AS SELECT 0 AS kind, 0 AS slot, 0 AS id, 0 AS part, 0 AS meta, 0 AS h,"
    " 0 AS text, 0 AS vec",
    "CREATE TRIGGER gone INSTEAD OF INSERT ON change WHEN NEW.kind = 0 BEGIN"
    " DELETE FROM item WHERE slot = NEW.slot; DELETE FROM content WHERE slot = NEW.slot; END",
    # Content first, as it goes last: a reader between two statements sees no row without it.
    "CREATE TRIGGER held INSTEAD OF INSERT ON change WHEN NEW.kind = 1 BEGIN"
    " INSERT INTO content VALUES (NEW.slot, NEW.text, NEW.vec);"
    " INSERT INTO item VALUES (NEW.slot, NEW.id, NEW.part, NEW.meta, NEW.h); END",
    "CREATE TRIGGER known INSTEAD OF INSERT ON change WHEN NEW.kind = 2 BEGIN"
    " UPDATE state SET last_seq = NEW.slot, n = NEW.id, set_hash = NEW.h, next_id = NEW.part; END",
)

# Kinds of changes: a slot whose row goes; a whole row; the state, as last_seq, n, next_id and
# set_hash in the columns slot, id, part and h.
GONE, HELD, STATE = 0, 1, 2

ITEM = "SELECT json_array(slot, id, part, meta, h) FROM item WHERE slot = ?"
TEXT = "SELECT text FROM content WHERE slot = ?"
VECTOR = "SELECT vec FROM content WHERE slot = ?"


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
        self._kind: type | None = None
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
            self.database.delete("config", "name", list(config))
            self.database.insert(
                "config", [(name, json.dumps(value)) for name, value in config.items()]
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
        state = self.state
        old = self._find(delete) if delete else []  # nobody else writes meanwhile
        first = state.last_seq + len(old) + 1
        hashes = hash_rows([(first + i, *row) for i, row in enumerate(insert)])
        fresh = State(
            state.last_seq + len(old) + len(insert),
            state.n - len(old) + len(insert),
            _wrapped(state.set_hash + sum(hashes) - sum(h for _, _, h in old)),
            state.next_id if next_id is None else next_id,
        )
        changes: list[tuple[Any, ...]] = [
            (GONE, slot, None, None, None, None, None, None) for slot, _, _ in old
        ]
        changes += [
            (HELD, first + i, row.id, row.part, row.meta, h, row.text, row.vec)
            for i, (row, h) in enumerate(zip(insert, hashes, strict=True))
        ]
        last_seq, n, set_hash, known_id = fresh
        changes.append((STATE, last_seq, n, known_id, None, set_hash, None, None))
        self._commit(changes)
        self.state = fresh
        return Change([(slot, part) for slot, part, _ in old], first, len(insert))

    def _commit(self, changes: Sequence[tuple[Any, ...]]) -> None:
        database = self.database
        self.writes += 1
        try:
            if len(changes) <= ROWS_A_STATEMENT:
                database.insert("change", changes)
            else:
                with database.transaction():
                    database.insert("change", changes)
        except sqlite3.IntegrityError:
            raise
        except BaseException:
            self.state = self.read_state()  # an interrupt may come right after the commit
            raise
        finally:
            self.writes += 1

    def _find(self, ids: Sequence[int | str]) -> list[tuple[int, Any, int]]:
        found = self.database.each_list(
            "SELECT json_array(slot, part, h) FROM item WHERE id = ?", ids
        )
        return [(row[0], row[1], row[2]) for row in found if row is not None]

    def rows_of(self, ids: Sequence[int | str]) -> list[Row | None]:
        """The row of each id, None where it is not held. Raises for a damaged one."""
        slot = "(SELECT slot FROM item WHERE id = ?)"
        return self._rows(
            [
                ITEM.replace("slot = ?", "id = ?"),
                *(column.replace("?", slot) for column in (TEXT, VECTOR)),
            ],
            ids,
        )

    def id_kind(self) -> type | None:
        """int or str; None of an empty collection."""
        if self.state.n == 0:
            self._kind = None
        elif self._kind is None:
            found = self.database.all("SELECT id FROM item LIMIT 1")
            self._kind = type(found[0][0]) if found else None
        return self._kind

    def slots_of(self, ids: Sequence[int | str]) -> list[int | None]:
        found = self.database.each(["SELECT slot FROM item WHERE id = ?"], ids)
        return [slot for (slot,) in found]

    def rows(self, slots: Sequence[int]) -> list[Row | None]:
        """The row of each slot, None where it holds none any more. Raises for a damaged one."""
        return self._rows([ITEM, TEXT, VECTOR], slots)

    def _rows(self, columns: Sequence[str], keys: Sequence[Any]) -> list[Row | None]:
        parsed = self.database.parsed
        rows = [
            None if item is None else Row._make((*parsed(item), text, vec))
            for item, text, vec in self.database.each(columns, keys)
        ]
        self._check_whole([row for row in rows if row is not None])
        return rows

    def _check_whole(self, rows: Sequence[Row]) -> None:
        """Raise unless the rows are what was written. Of a snapshot, whose index has the vectors,
        that cannot be known.
        """
        told = [row for row in rows if not (self.bare and row.vec == b"")]
        try:
            hashes: list[Any] = list(hash_rows([(*row[:4], row.text, row.vec) for row in told]))
        except (TypeError, ValueError, OverflowError):  # damage made it another type
            if len(told) > 1:
                for row in told:
                    self._check_whole([row])
            hashes = [None]
        for row, found in zip(told, hashes, strict=True):
            if found != row.h:
                raise CorruptCollection(
                    self.database.path, f"holds a damaged row in slot {row.slot}, id {row.id!r}"
                )

    def texts(self, slots: Sequence[int]) -> list[str | None]:
        """The text of each slot, None where there is none."""
        return [text for (text,) in self.database.each([TEXT], slots)]

    def scan(self, page: int = 256) -> Iterator[tuple[int, Row | None]]:
        """Every slot in order with its row, None where that cannot be read or is damaged."""
        last = -1
        while found := self.database.all(
            "SELECT slot FROM item WHERE slot > ? ORDER BY slot LIMIT ?", (last, page)
        ):
            slots = [slot for (slot,) in found]
            try:
                yield from zip(slots, self.rows(slots), strict=True)
            except CorruptCollection:
                yield from self._scan_one_by_one(slots)
            last = found[-1][0]

    def _scan_one_by_one(self, slots: Sequence[int]) -> Iterator[tuple[int, Row | None]]:
        for slot in slots:
            try:
                yield slot, self.rows([slot])[0]
            except CorruptCollection:
                yield slot, None

    def live(self) -> tuple[NDArray[np.int64], dict[Any, NDArray[np.int64]]]:
        """All slots, ascending, and the same by part. Checks them against the state.

        Raises
        ------
        CorruptCollection
            If the rows are not those that the state speaks of.
        """
        pages, total = [], 0
        parts: dict[Any, list[NDArray[np.int64]]] = {}
        for found in self.database.pages("h, part"):
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
        for start in range(0, len(slots), KEYS_A_STATEMENT):
            rows = [row for row in self.rows(slots[start : start + KEYS_A_STATEMENT]) if row]
            odd = [row.slot for row in rows if len(row.vec) != 4 * dim]
            if odd:
                raise CorruptCollection(
                    self.database.path, f"holds no vector of dim {dim} in slot {odd[0]}"
                )
            packed = np.frombuffer(b"".join(row.vec for row in rows), "<f4")
            out[len(kept) : len(kept) + len(rows)] = packed.reshape(len(rows), dim)
            kept += [row.slot for row in rows]
        return kept, out[: len(kept)]

    def metadata(self, slots: Sequence[int]) -> list[dict[str, Any]]:
        """Metadata of each slot; empty where it holds none or no row any more."""
        found = self.database.each(["SELECT meta FROM item WHERE slot = ?"], slots)
        return [self._parsed(meta) for (meta,) in found]

    def encode_metadata(
        self, fields: Sequence[Field]
    ) -> tuple[NDArray[np.int64], list[NDArray[np.int32]]]:
        """All slots, ascending, and each field's codes of their rows."""
        slots: list[NDArray[np.int64]] = [np.empty(0, np.int64)]
        columns: list[list[NDArray[np.int32]]] = [[np.empty(0, np.int32)] for _ in fields]
        for found in self.database.pages("meta"):
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
