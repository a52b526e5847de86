"""Snapshots for other processes: the rows without the vectors that the index files have."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nearfield.collection.database import Database
from nearfield.collection.rows import SCHEMA
from nearfield.collection.store import is_in
from nearfield.errors import StorageError

if TYPE_CHECKING:
    from nearfield.collection.opening import Opened

__all__ = ["newest_view", "publish_view"]

_TABLES = {"config": 2, "state": 5, "segment": 6}


def publish_view(opened: Opened) -> Path:
    """Write view-<number>-<last change>.db, whole and synced, under its name only then."""
    store, generations = opened.store, opened.generations
    with store.writing:
        store.check_writable()
        if store.view.seq != store.rows.state.last_seq:
            store.resync()
        store.rows.database.make_durable()
        segments = [view.segment for view in store.view.segments() if view.segment.sealed]
        seq = store.rows.state.last_seq
        gen = generations.publish(segments, seq)
        path = opened.folder / f"view-{gen}-{seq}.db"
        draft = path.with_name(f"{path.name}.tmp-{os.getpid()}")
        saved = [segment.slots.view() for segment in segments if segment.file is not None]
        indexed = np.sort(np.concatenate([np.empty(0, np.int64), *saved]))
        try:
            _copy(store.rows.database, draft, gen, indexed)
            _sync(draft)
            draft.rename(path)
            _sync(opened.folder)
        except OSError as error:
            draft.unlink(missing_ok=True)
            raise StorageError(error.errno, error.strerror, str(path)) from error
        generations.clean()
    return path


def newest_view(folder: Path) -> Path:
    """The last snapshot's file."""
    found = [
        (int(path.name.split("-")[1]), path)
        for path in (folder.iterdir() if folder.is_dir() else ())
        if path.name.startswith("view-") and path.suffix == ".db"
    ]
    if not found:
        raise FileNotFoundError(
            f"read_only needs a snapshot in {folder}: its writer makes one with snapshot()"
        )
    return max(found)[1]


def _copy(source: Database, path: Path, gen: int, indexed: Any) -> None:
    target = Database(path, SCHEMA, sync="OFF")
    try:
        with target.transaction():
            for table, columns in _TABLES.items():
                where = f" WHERE gen = {gen}" if table == "segment" else ""
                marks = ", ".join("?" * columns)
                for page in source.pages(f"SELECT * FROM {table}{where}"):
                    target.many(f"INSERT INTO {table} VALUES ({marks})", page)
            for page in source.pages("SELECT * FROM item ORDER BY slot", 4096):
                target.many("INSERT INTO item VALUES (?, ?, ?, ?, ?)", page)
                slots = np.array([row[0] for row in page], np.int64)
                bare = is_in(slots, indexed)
                texts = source.each(
                    "SELECT slot, text, x'' FROM content WHERE slot = ?", slots[bare].tolist()
                )
                whole = source.each(
                    "SELECT slot, text, vec FROM content WHERE slot = ?", slots[~bare].tolist()
                )
                target.many("INSERT INTO content VALUES (?, ?, ?)", texts + whole)
    finally:
        target.close()


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
