"""Snapshots for other processes: the rows without the vectors that the index files have."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from nearfield.collection.database import Database
from nearfield.collection.generations import Generations
from nearfield.collection.rows import SCHEMA, TEXT, VECTOR
from nearfield.collection.store import Store, is_in
from nearfield.errors import StorageError

__all__ = ["newest_view", "publish_view"]

_TABLES = ("config", "state", "segment")


def publish_view(folder: Path, store: Store, generations: Generations) -> Path:
    """Write view-<number>-<last change>.db, whole and synced, under its name only then."""
    with store.writing:
        store.check_writable()
        if store.view.seq != store.rows.state.last_seq:
            store.resync()
        store.rows.database.make_durable()
        segments = [view.segment for view in store.view.segments() if view.segment.sealed]
        seq = store.rows.state.last_seq
        gen = generations.publish(segments, seq)
        path = folder / f"view-{gen}-{seq}.db"
        draft = path.with_name(f"{path.name}.tmp-{os.getpid()}")
        saved = [segment.slots.view() for segment in segments if segment.file is not None]
        indexed = np.sort(np.concatenate([np.empty(0, np.int64), *saved]))
        try:
            _copy(store.rows.database, draft, gen, indexed)
            _sync(draft)
            draft.rename(path)
            _sync(folder)
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
            for table in _TABLES:
                where = f" WHERE gen = {gen}" if table == "segment" else ""
                target.insert(table, source.all(f"SELECT * FROM {table}{where}"))
            for page in source.pages("id, part, meta, h", 1024):
                target.insert("item", page)
                slots = np.array([row[0] for row in page], np.int64)
                bare = is_in(slots, indexed)
                for some, vector in ((slots[bare], "SELECT x''"), (slots[~bare], VECTOR)):
                    found = source.each([TEXT, vector], some.tolist())
                    rows = [(slot, *row) for slot, row in zip(some.tolist(), found, strict=True)]
                    target.insert("content", rows)
    finally:
        target.close()


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
