"""Opening a collection: lock, rows, index, in this order; and everything that ends with it."""

from __future__ import annotations

import atexit
import contextlib
import errno
import json
import os
import warnings
import weakref
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from nearfield import kinds
from nearfield._ids import keep_for_ever
from nearfield.collection.catch_up import CatchUp
from nearfield.collection.generations import Generations, check_nothing_newer
from nearfield.collection.lock import FolderLock
from nearfield.collection.metadata import check_fields
from nearfield.collection.publishing import newest_view
from nearfield.collection.rows import Rows
from nearfield.collection.store import Settings, Store
from nearfield.errors import CorruptCollection, EncoderMismatch, ForkError, StorageError
from nearfield.scalars import as_int

__all__ = ["Opened", "open_collection"]

ROWS_FILE = "rows.db"
_SYNC = {"full": "FULL", "os": "NORMAL"}


class Opened:
    """What an open collection holds on to."""

    def __init__(
        self,
        folder: Path,
        lock: FolderLock | None,
        store: Store,
        generations: Generations,
        catch_up: CatchUp | None,
    ) -> None:
        self.folder = folder
        self.lock = lock
        self.store = store
        self.generations = generations
        self.catch_up = catch_up
        self._process = os.getpid()
        _all_open.add(self)

    def check_process(self) -> None:
        if os.getpid() != self._process:
            raise ForkError(self.folder, self._process, os.getpid())

    def check_writable(self) -> None:
        if self.lock is None:
            raise StorageError(errno.EROFS, "the collection is open read-only", str(self.folder))
        if self.catch_up is not None:
            self.catch_up.check_not_inside()

    def close(self) -> None:
        if os.getpid() != self._process:
            return  # the parent's files are not ours to close
        _all_open.discard(self)
        if self.catch_up is not None:
            self.catch_up.close()
        with self.store.writing:
            # What was acknowledged is in the log already; tidying may wait for a better disk.
            if self.lock is not None and self.store.poison is None:
                with contextlib.suppress(StorageError):
                    self.store.rows.database.checkpoint()
            self.store.rows.database.close()
            if self.lock is not None:
                self.lock.release()

    def after_fork(self) -> None:
        """In the child: closing SQLite's connection would tidy the parent's log away."""
        keep_for_ever(self.store.rows.database.connection)
        if self.lock is not None:
            self.lock.release()  # the parent's handle still holds it


_all_open: weakref.WeakSet[Opened] = weakref.WeakSet()


def _close_all() -> None:
    for opened in list(_all_open):
        opened.close()


def _after_fork() -> None:
    for opened in list(_all_open):
        opened.after_fork()


atexit.register(_close_all)  # the building thread must not outlive the interpreter
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def open_collection(
    folder: Path,
    wanted: Mapping[str, Any],
    encoder: Any,
    *,
    durability: str,
    read_only: bool,
    seal_rows: int,
    max_waiting: int | None,
    cache_bytes: int,
    threads: int,
    progress: Callable[[int, int], Any] | None,
) -> Opened:
    """Open or make a collection; see `Collection` for the arguments."""
    if durability not in _SYNC:
        raise ValueError(f"durability must be 'full' or 'os', got {durability!r}")
    seal_rows, cache_bytes = as_int(seal_rows, "seal_rows"), as_int(cache_bytes, "cache_bytes")
    threads = as_int(threads, "threads", 0, 1024)
    if seal_rows < 64:
        raise ValueError(f"seal_rows must be at least 64, got {seal_rows}")
    room = 4 * seal_rows if max_waiting is None else as_int(max_waiting, "max_waiting")
    if room < seal_rows:
        raise ValueError(f"max_waiting must be at least seal_rows ({seal_rows}), got {room}")
    if cache_bytes < 0:
        raise ValueError(f"cache_bytes must be at least 0, got {cache_bytes}")
    for name in ("encode_document", "encode_query", "dim", "fingerprint"):
        if encoder is not None and not hasattr(encoder, name):
            raise TypeError(f"encoder must have {name}, got {type(encoder).__name__}")
    if read_only:
        return _open_view(folder, wanted, encoder, seal_rows, cache_bytes)
    if not _inside(folder):  # nothing is made of what will be refused
        _first_config(_given(wanted, encoder), None)
    _make_folder(folder)
    lock = FolderLock(folder)
    rows = None
    try:
        if not (folder / ROWS_FILE).exists():
            check_nothing_newer(folder, 0)
        rows = Rows(folder / ROWS_FILE, sync=_SYNC[durability])
        if rows.database.had_log:
            rows.database.check_pages("item")
        check_nothing_newer(folder, rows.state.last_seq)
        settings = _settings(folder, rows, wanted, encoder)
        store = Store(rows, settings, seal_rows, room, cache_bytes)
        generations = Generations(folder, rows)
        rest = _recover(store, generations)
        generations.clean()
        catch_up = CatchUp(store, generations, threads or max(1, (os.cpu_count() or 1) // 2))
        opened = Opened(folder, lock, store, generations, catch_up)
        try:
            for part, slots in rest.items():
                if len(slots) > store.room:
                    catch_up.build(part, slots, progress)
                else:
                    store.load_tail(part, slots)
            catch_up.start()
        except BaseException:
            opened.close()
            raise
        return opened
    except BaseException:
        if rows is not None:
            rows.database.close()
        lock.release()
        raise


def _open_view(
    folder: Path, wanted: Mapping[str, Any], encoder: Any, seal_rows: int, cache_bytes: int
) -> Opened:
    rows = Rows(newest_view(folder), read_only=True)
    try:
        settings = _settings(folder, rows, wanted, encoder, read_only=True)
        store = Store(rows, settings, seal_rows, 4 * seal_rows, cache_bytes)
        generations = Generations(folder, rows)
        for part, slots in _recover(store, generations).items():
            store.load_tail(part, slots)
        store.ensure_fields(settings.fields)
    except BaseException:
        rows.database.close()
        raise
    return Opened(folder, None, store, generations, None)


def _inside(folder: Path) -> list[str]:
    """Names of what is in the folder; none where there is no folder."""
    try:
        return [path.name for path in folder.iterdir()]
    except FileNotFoundError:
        return []
    except OSError as error:
        if folder.exists() and not folder.is_dir():
            raise ValueError(f"path must be a folder, got the file {folder}") from None
        raise StorageError(error.errno, error.strerror, str(folder)) from None


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(error.errno, error.strerror, str(folder)) from None
    inside = _inside(folder)
    known = (ROWS_FILE, "LOCK")
    ours = any(name in known or name.startswith(("view-", "index-")) for name in inside)
    if inside and not ours:
        raise ValueError(
            f"path must be a collection or an empty folder, got {folder} with {sorted(inside)[0]!r}"
        )


def _recover(store: Store, generations: Generations) -> dict[Any, Any]:
    try:
        return store.recover(generations.load(store.settings))
    except CorruptCollection as error:
        if "two segments" not in error.reason:
            raise
        warnings.warn(f"{error}; it is built anew", RuntimeWarning, stacklevel=2)
        return store.recover([])


def _given(wanted: Mapping[str, Any], encoder: Any) -> dict[str, Any]:
    given = {name: value for name, value in wanted.items() if value is not None}
    if "fields" in given:
        given["fields"] = list(check_fields(given["fields"]))
    if encoder is not None and given.setdefault("dim", encoder.dim) != encoder.dim:
        raise ValueError(f"dim must be the encoder's ({encoder.dim}), got {given['dim']}")
    return given


def _settings(
    folder: Path, rows: Rows, wanted: Mapping[str, Any], encoder: Any, read_only: bool = False
) -> Settings:
    given = _given(wanted, encoder)
    fingerprint = None if encoder is None else str(encoder.fingerprint)
    stored = rows.config()
    if not stored:
        config = _first_config(given, fingerprint)
        rows.set_config(config)
        return Settings(**dict(config, fields=tuple(config["fields"])))
    _check_stored(rows, stored)
    if fingerprint is not None and fingerprint != stored["encoder"]:
        if stored["encoder"] is not None or rows.state.n or read_only:
            raise EncoderMismatch(folder, stored["encoder"], fingerprint)
        stored["encoder"] = fingerprint
    for name, value in given.items():
        if name != "fields" and stored[name] != value:
            raise ValueError(
                f"{name} must be {stored[name]!r}, with which the collection at {folder} was "
                f"made, got {value!r}"
            )
    changed = dict(stored, fields=given.get("fields", stored["fields"]))
    if not read_only and changed != rows.config():
        rows.set_config(changed)
    changed["fields"] = tuple(changed["fields"])
    return Settings(**changed)


def _check_stored(rows: Rows, stored: dict[str, Any]) -> None:
    try:
        Settings(**stored).make_index()
    except (TypeError, ValueError, KeyError) as error:
        raise CorruptCollection(rows.database.path, f"has a broken config: {error}") from None


def _first_config(given: dict[str, Any], fingerprint: str | None) -> dict[str, Any]:
    """What a new collection stores about itself; refuses what none can be made of."""
    if "dim" not in given:
        raise ValueError("dim or an encoder must be given to make a collection, got neither")
    params = given.get("index_params", {})
    if not isinstance(params, Mapping):
        raise TypeError(f"index_params must be a dict, got {type(params).__name__}")
    config = {
        "dim": as_int(given["dim"], "dim"),
        "metric": given.get("metric", "cosine"),
        "index": given.get("index", "hnsw"),
        "index_params": dict(params),
        "fields": given.get("fields", []),
        "partition_by": given.get("partition_by"),
        "encoder": fingerprint,
    }
    try:
        json.dumps(config["index_params"])
    except (TypeError, ValueError) as error:
        raise type(error)(
            f"index_params must be str, int, float, bool or None by name, got "
            f"{config['index_params']!r}"
        ) from None
    if config["partition_by"] is not None:
        check_fields([config["partition_by"]])
    if config["index"] not in kinds.available():
        names = ", ".join(repr(name) for name in kinds.available())
        raise ValueError(f"index must be one of {names}, got {config['index']!r}")
    Settings(**dict(config, fields=tuple(config["fields"]))).make_index()
    return config
