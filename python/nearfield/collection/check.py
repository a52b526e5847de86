"""Looking for damage, and saving what can be read in spite of it."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nearfield.collection.inputs import Batch
from nearfield.collection.lock import FolderLock
from nearfield.collection.metadata import as_metadata
from nearfield.collection.opening import Opened
from nearfield.collection.reading import Reading
from nearfield.collection.rows import NewRow, Row, Rows
from nearfield.collection.store import Store, is_in
from nearfield.errors import CorruptCollection, StorageError

__all__ = ["Check", "Salvage", "check", "salvage"]

_SAMPLES = 64


class Check(NamedTuple):
    """What a check found."""

    findings: list[str]
    """A sentence for each fault."""
    rows: int
    """Rows that were read and compared with their hashes."""

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not self.findings


class Salvage(NamedTuple):
    """What was saved."""

    from_rows: int
    from_snapshot: int
    damaged: int
    """Rows that were there and are not what was written."""


def check(opened: Opened, *, deep: bool = False) -> Check:
    """See `Collection.check`."""
    findings: list[str] = []
    read = 0
    with opened.store.writing:
        for look in (_database, _view, _segments):
            _note(findings, look, opened, deep)
        if deep and not findings:
            read = _rows(opened, findings)
            _note(findings, _samples, opened, deep)
    return Check(findings, read)


def _note(
    findings: list[str], look: Callable[[Opened, bool], None], opened: Opened, deep: bool
) -> None:
    try:
        look(opened, deep)
    except (OSError, ValueError, RuntimeError) as error:
        findings.append(str(error))


def _database(opened: Opened, deep: bool) -> None:
    opened.store.rows.database.check_pages(deep=deep)


def _view(opened: Opened, deep: bool) -> None:
    store = opened.store
    _, parts = store.rows.live()
    for part in set(parts) | set(store.view.parts):
        shown = [view.live_slots() for view in store.view.parts.get(part, ())]
        seen = np.sort(np.concatenate([np.empty(0, np.int64), *shown]))
        live = parts.get(part, np.empty(0, np.int64))
        if not np.array_equal(seen, live):
            raise CorruptCollection(
                store.rows.database.path,
                f"has {len(live)} rows of part {part!r}, the index shows {len(seen)}, "
                f"{int(is_in(seen, live).sum())} of them the same",
            )


def _segments(opened: Opened, deep: bool) -> None:
    for view in opened.store.view.segments():
        view.segment.index.validate()
        name = view.segment.file
        if name is not None and not (opened.folder / name).exists():
            raise CorruptCollection(opened.folder / name, "is missing")


def _rows(opened: Opened, findings: list[str]) -> int:
    rows = opened.store.rows
    read = 0
    for slot, row in rows.scan():
        read += 1
        if row is None:
            findings.append(f"{rows.database.path} holds a damaged row in slot {slot}")
    return read


def _samples(opened: Opened, deep: bool) -> None:
    """Rows must be their own nearest neighbours, or as near as their own copies."""
    store = opened.store
    for view in store.view.segments():
        slots = view.live_slots()
        some = slots[:: max(1, len(slots) // _SAMPLES)].tolist()
        if not some:
            continue
        vectors = view.segment.index.get(np.array(some))
        found = view.segment.index.search(vectors, 1)  # type: ignore[attr-defined]
        wrong = (found.ids[:, 0] != some) & (found.distances[:, 0] > 1e-2)
        if store.settings.metric != "dot" and wrong.mean() > 0.1:
            raise CorruptCollection(
                opened.folder / (view.segment.file or "tail"),
                f"finds {int(wrong.sum())} of {len(some)} of its own rows no more",
            )


def salvage(path: Path, into: Path, make: Callable[..., Reading]) -> Salvage:
    """See `Collection.salvage`."""
    if not (path / "rows.db").exists() and not any(path.glob("view-*.db")):
        raise StorageError(errno.ENOENT, "no collection to salvage", str(path))
    if into.exists() and (not into.is_dir() or any(into.iterdir())):
        raise ValueError(f"into must be an empty folder or none yet, got {into}")
    counts = {"rows": 0, "snapshot": 0, "damaged": 0}
    lock = FolderLock(path)
    source, view = _open_rows(path / "rows.db"), None
    try:
        try:
            view = make(path, read_only=True)
        except (OSError, ValueError, RuntimeError):
            view = None  # there is none, or it is damaged too
        snapshot = None if view is None else view._ready().store
        config = _first_config(source, None if snapshot is None else snapshot.rows)
        if config is None:
            raise CorruptCollection(path, "holds no readable rows")
        encoder = config.pop("encoder")
        with make(into, **config) as new:
            store = new._ready().store
            if encoder is not None:
                store.rows.set_config(dict(store.rows.config(), encoder=encoder))
            if source is not None:
                for batch in _batches(source, counts, None):
                    counts["rows"] += _copy(store, batch)
            if snapshot is not None:
                for batch in _batches(snapshot.rows, counts, snapshot):
                    counts["snapshot"] += _copy(store, batch)
    finally:
        if view is not None:
            view.close()
        if source is not None:
            source.database.close()
        lock.release()
    return Salvage(counts["rows"], counts["snapshot"], counts["damaged"])


def _open_rows(path: Path) -> Rows | None:
    if not path.exists():
        return None
    try:
        return Rows(path)
    except (OSError, ValueError):
        return None


def _first_config(*sources: Rows | None) -> dict[str, Any] | None:
    for rows in sources:
        if rows is not None:
            try:
                config = rows.config()
            except (OSError, ValueError):
                continue
            if config:
                return config
    return None


def _batches(rows: Rows, counts: dict[str, int], snapshot: Store | None) -> Iterator[list[Row]]:
    """Whole rows, a few hundred at a time, those of a snapshot with the vectors of its index."""
    batch: list[Row] = []
    try:
        for slot, row in rows.scan():
            if row is None:
                counts["damaged"] += 1
            elif snapshot is not None and row.vec == b"":
                vector = _indexed_vector(snapshot, slot)
                if vector is not None:
                    batch.append(row._replace(vec=vector))
            else:
                batch.append(row)
            if len(batch) == 256:
                yield batch
                batch = []
    except (OSError, ValueError):  # the pages beyond cannot be read
        pass
    if batch:
        yield batch


def _indexed_vector(snapshot: Store, slot: int) -> bytes | None:
    for view in snapshot.view.segments():
        if slot in view.segment.index:
            return view.segment.index.get([slot]).astype("<f4").tobytes()
    return None


def _copy(store: Store, batch: list[Row]) -> int:
    """Write those rows whose ids are not there yet; gives how many."""
    held = store.rows.slots_of([row.id for row in batch])
    fresh = [row for row, slot in zip(batch, held, strict=True) if slot is None]
    if not fresh:
        return 0
    ids = [row.id for row in fresh if isinstance(row.id, int)]
    next_id = max([store.rows.state.next_id, *(id + 1 for id in ids)])
    copied = Batch(
        [NewRow(row.id, row.part, row.meta, row.text, row.vec) for row in fresh],
        np.stack([np.frombuffer(row.vec, "<f4") for row in fresh]),
        [as_metadata(row.meta) for row in fresh],
    )
    with store.writing:
        store.wait_for_room(copied)
        store.write((), copied, min(next_id, 2**63 - 1))
    return len(fresh)
