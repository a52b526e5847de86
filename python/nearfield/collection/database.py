"""One SQLite connection with every safety on, and its errors in our words.

SQLite before 3.51.3 can lose a write-ahead log when two connections write or checkpoint at once, so
there is only ever one: the lock is exclusive and the log's index lives on the heap.
"""

from __future__ import annotations

import errno
import functools
import json
import os
import sqlite3
import stat
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nearfield.errors import CorruptCollection, StorageError

__all__ = ["APPLICATION_ID", "FORMAT", "Database"]

APPLICATION_ID = 0x6E656172  # "near"
FORMAT = 2
PAGE_BYTES = 8192
MAX_VALUE_BYTES = 64 << 20
CHECKPOINT_PAGES = 2048
# Every step of a statement lets go of the interpreter lock and has to get it back, which beside a
# busy thread takes 5 ms each time: so many rows are one step.
KEYS_A_STATEMENT = 64
ROWS_A_STATEMENT = 128
PAGE_ROWS = 4096

# The second where SQLite's message quotes what damage made of a name.
_FAULTS = (sqlite3.Error, UnicodeDecodeError)
_CORRUPT = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_ALLOWED = frozenset((
    sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_INSERT, sqlite3.SQLITE_UPDATE,
    sqlite3.SQLITE_DELETE, sqlite3.SQLITE_TRANSACTION, sqlite3.SQLITE_FUNCTION,
))  # fmt: skip
_PRAGMAS = frozenset((
    "wal_checkpoint", "incremental_vacuum", "quick_check", "integrity_check", "page_count",
    "freelist_count",
))  # fmt: skip


class Database:
    """A SQLite file whose schema is exactly `schema`.

    Parameters
    ----------
    path : Path
        Made if it does not exist, unless `read_only`.
    schema : sequence of str
        CREATE statements; the file must hold these and no others, letter for letter.
    sync : {"FULL", "NORMAL", "OFF"}
        SQLite's `synchronous`; "OFF" is for a file that its maker syncs when it is whole.
    read_only : bool
        Open a file that nobody writes any more.

    Raises
    ------
    CorruptCollection
        If the file is not such a database.
    StorageError
        If the disk refuses.

    Notes
    -----
    Calls of several threads take turns. A statement, not a transaction, is a turn: rows never
    change once written, so reading between the statements of a transaction does no harm.
    """

    def __init__(
        self, path: Path, schema: Sequence[str], *, sync: str = "FULL", read_only: bool = False
    ) -> None:
        self.path = path
        self.sync = sync
        self._closed = False
        self.lock = threading.RLock()
        self.had_log = _size_of_file(path.with_name(path.name + "-wal")) > 0
        _size_of_file(path)
        uri = f"file:{_quoted(path)}?mode=" + ("ro&immutable=1" if read_only else "rwc")
        with self.errors():
            self._connection = sqlite3.connect(
                uri, uri=True, isolation_level=None, check_same_thread=False, timeout=0
            )
        try:
            with self.errors():
                self._configure(schema, sync, read_only)
        except BaseException:
            self._connection.close()
            raise

    def _configure(self, schema: Sequence[str], sync: str, read_only: bool) -> None:
        run = self._connection.execute
        if not read_only:
            run("PRAGMA locking_mode=EXCLUSIVE")  # before WAL: its index stays on the heap
        for pragma in ("trusted_schema=OFF", "cell_size_check=ON", "mmap_size=0"):
            run(f"PRAGMA {pragma}")
        fresh = self._is_fresh() and not read_only
        if fresh:
            for pragma in (
                f"page_size={PAGE_BYTES}", "auto_vacuum=INCREMENTAL",
                f"application_id={APPLICATION_ID}", f"user_version={FORMAT}",
            ):  # fmt: skip
                run(f"PRAGMA {pragma}")
        if not read_only:
            wanted = "off" if sync == "OFF" else "wal"
            (mode,) = run(f"PRAGMA journal_mode={wanted}").fetchone()
            self._expect("journal_mode", mode, wanted)
            run(f"PRAGMA synchronous={sync}")
            (level,) = run("PRAGMA synchronous").fetchone()
            self._expect("synchronous", level, {"FULL": 2, "NORMAL": 1, "OFF": 0}[sync])
            run(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
            if sys.platform == "darwin":
                run("PRAGMA fullfsync=ON")
                run("PRAGMA checkpoint_fullfsync=ON")
        if fresh:
            run("BEGIN IMMEDIATE")
            for statement in schema:
                run(statement)
            run("COMMIT")
        self._check_schema(schema)
        limit = self._connection.setlimit
        limit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_VALUE_BYTES)
        limit(sqlite3.SQLITE_LIMIT_EXPR_DEPTH, 20)
        limit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
        self._connection.set_authorizer(_authorize)

    def _is_fresh(self) -> bool:
        """Whether nothing was ever made here, or its making was cut short."""
        run = self._connection.execute
        (kind,) = run("PRAGMA application_id").fetchone()
        (version,) = run("PRAGMA user_version").fetchone()
        (tables,) = run("SELECT count(*) FROM sqlite_master").fetchone()
        if tables == 0 and kind in (0, APPLICATION_ID):
            return True
        if kind != APPLICATION_ID:
            raise CorruptCollection(self.path, f"has the application id {kind:#x}, not ours")
        if version != FORMAT:
            raise CorruptCollection(self.path, f"has format {version}, this version reads {FORMAT}")
        return False

    def _check_schema(self, schema: Sequence[str]) -> None:
        found = self._connection.execute(
            "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY rowid"
        ).fetchall()
        for (sql,) in found:
            if sql not in schema:
                raise CorruptCollection(self.path, f"holds what we never made: {sql!r:.200}")
        for statement in schema:
            if (statement,) not in found:
                raise CorruptCollection(self.path, f"lacks {statement!r:.200}")

    def _expect(self, pragma: str, found: Any, wanted: Any) -> None:
        if found != wanted:
            raise StorageError(
                errno.ENOTSUP, f"{pragma} must be {wanted!r}, SQLite made it {found!r}",
                str(self.path),
            )  # fmt: skip

    def all(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        """Rows of one query."""
        with self.lock, self.errors():
            return self._connection.execute(sql, values).fetchall()

    def pages(self, columns: str, rows: int = PAGE_ROWS) -> Iterator[list[list[Any]]]:
        """Columns of all items by slot, which comes first; others read and write between pages."""
        sql = (
            f"SELECT json_group_array(json_array(slot, {columns})) FROM"
            f" (SELECT slot, {columns} FROM item WHERE slot > ? ORDER BY slot LIMIT ?)"
        )
        last = -1
        while True:
            try:
                found = self.parsed(self.all(sql, (last, rows))[0][0])
            except StorageError as error:
                if rows == 1 or not isinstance(error.__cause__, sqlite3.DataError):
                    raise
                rows //= 2  # together they were longer than a value may be
                continue
            if not found:
                return
            if not isinstance(found[-1][0], int) or found[-1][0] <= last:
                raise CorruptCollection(self.path, f"has slots out of order after {last}")
            yield found
            last = found[-1][0]

    def each(self, columns: Sequence[str], keys: Sequence[Any]) -> list[tuple[Any, ...]]:
        """Values of `columns` for each key: SELECTs of one value, NULL where there is none."""
        out: list[tuple[Any, ...]] = []
        width = len(columns)
        for start in range(0, len(keys), KEYS_A_STATEMENT):
            some = list(keys[start : start + KEYS_A_STATEMENT])
            padded = 1 << (len(some) - 1).bit_length()  # few different statements, kept prepared
            sql = _for_each(tuple(columns), padded)
            (flat,) = self.all(sql, some + some[-1:] * (padded - len(some)))
            out += [flat[at : at + width] for at in range(0, len(some) * width, width)]
        return out

    def each_list(self, sql: str, keys: Sequence[Any]) -> list[list[Any] | None]:
        """The values of the first row, as far as JSON knows them, or None, for each key."""
        return [self.parsed(text) for (text,) in self.each([sql], keys)]

    def parsed(self, text: str | None) -> Any:
        """What SQLite gave as JSON."""
        try:
            return None if text is None else json.loads(text)
        except ValueError as error:
            raise CorruptCollection(self.path, f"is damaged: {error}") from None

    def run(self, sql: str, values: Sequence[Any] = ()) -> None:
        """One statement."""
        try:  # as errors() does, which takes longer
            with self.lock:
                self._connection.execute(sql, values)
        except sqlite3.IntegrityError:
            raise
        except _FAULTS as error:
            raise self._ours(error) from error

    def insert(self, table: str, rows: Sequence[Sequence[Any]]) -> None:
        """Insert whole rows; others may read in between."""
        for start in range(0, len(rows), ROWS_A_STATEMENT):
            some = rows[start : start + ROWS_A_STATEMENT]
            sql = _insertion(table, len(some[0]), len(some))
            self.run(sql, [value for row in some for value in row])

    def delete(self, table: str, column: str, keys: Sequence[Any]) -> None:
        """Delete the rows that have these values; others may read in between."""
        for start in range(0, len(keys), ROWS_A_STATEMENT):
            some = keys[start : start + ROWS_A_STATEMENT]
            marks = ", ".join("?" * len(some))
            self.run(f"DELETE FROM {table} WHERE {column} IN ({marks})", some)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """BEGIN ... COMMIT, or ROLLBACK if an exception passes. The caller keeps writers apart."""
        self.run("BEGIN IMMEDIATE")
        try:
            yield
            self.run("COMMIT")
        except BaseException:
            with self.lock, self.errors():
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
            raise

    def checkpoint(self) -> None:
        """Move the write-ahead log into the file, as far as no reader is in the way."""
        self.all("PRAGMA wal_checkpoint(TRUNCATE)")

    def make_durable(self) -> None:
        """See to it that no file made from now on can know more than the disk has of this one."""
        if self.sync != "FULL":
            self.checkpoint()

    def check_pages(self, table: str | None = None, *, deep: bool = False) -> None:
        """Raise CorruptCollection unless the pages, of one table or all, hang together."""
        name = "integrity_check" if deep else "quick_check"
        found = self.all(f"PRAGMA {name}({table})" if table else f"PRAGMA {name}")
        if found != [("ok",)]:
            raise CorruptCollection(self.path, f"is damaged: {found[0][0]}")

    def close(self) -> None:
        """Close; may be repeated. SQLite then moves its log into the file, if the disk lets it."""
        with self.lock, self.errors():
            if not self._closed:
                self._closed = True
                self._connection.set_authorizer(None)
                self._connection.close()

    @property
    def connection(self) -> sqlite3.Connection:
        """For who must keep it alive, or look deeper."""
        return self._connection

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Turn SQLite's errors into ours; IntegrityError passes, as it is an answer."""
        try:
            yield
        except sqlite3.IntegrityError:
            raise
        except _FAULTS as error:
            raise self._ours(error) from error

    def _ours(self, error: Exception) -> Exception:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
        name = getattr(error, "sqlite_errorname", "SQLITE_ERROR")
        primary = code & 0xFF
        # A text or a name that is no UTF-8; a value of a type that we never stored.
        if primary in _CORRUPT or "decode" in str(error) or "JSON cannot hold" in str(error):
            return CorruptCollection(self.path, f"is damaged: {error} ({name})")
        if primary == sqlite3.SQLITE_NOMEM:
            return MemoryError(f"SQLite ran out of memory at {self.path}")
        number = {
            sqlite3.SQLITE_FULL: errno.ENOSPC,
            sqlite3.SQLITE_READONLY: errno.EROFS,
            sqlite3.SQLITE_CANTOPEN: errno.ENOENT,
            sqlite3.SQLITE_BUSY: errno.EBUSY,
            sqlite3.SQLITE_PERM: errno.EACCES,
        }.get(primary, errno.EIO)
        return StorageError(number, f"{error} ({name})", str(self.path))


@functools.lru_cache(256)
def _for_each(columns: tuple[str, ...], keys: int) -> str:
    """One row with the values of all columns for keys ?1, ?2, ..."""
    return "SELECT " + ", ".join(
        f"({column.replace('?', f'?{key}')})" for key in range(1, keys + 1) for column in columns
    )


@functools.lru_cache(256)
def _insertion(table: str, columns: int, rows: int) -> str:
    row = f"({', '.join('?' * columns)})"
    return f"INSERT INTO {table} VALUES {', '.join([row] * rows)}"


def _authorize(action: int, first: str | None, second: str | None, *_: Any) -> int:
    if action in _ALLOWED:
        return sqlite3.SQLITE_OK
    if action == sqlite3.SQLITE_PRAGMA and first in _PRAGMAS:
        return sqlite3.SQLITE_OK
    return sqlite3.SQLITE_DENY


def _quoted(path: Path) -> str:
    text = str(path.resolve()).replace(os.sep, "/")
    for sign in "%?#":
        text = text.replace(sign, f"%{ord(sign):02x}")
    return text


def _size_of_file(path: Path) -> int:
    """0 if there is none. Raises CorruptCollection for what is no plain file, as a pipe or link."""
    try:
        facts = path.lstat()
    except FileNotFoundError:
        return 0
    if not stat.S_ISREG(facts.st_mode):
        raise CorruptCollection(path, "must be a plain file")
    return facts.st_size
