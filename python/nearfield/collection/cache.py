"""Ids, texts and metadata of rows met lately, so that few searches ask the database."""

from __future__ import annotations

import threading
from collections.abc import Iterable

__all__ = ["RowCache"]

Entry = tuple[int | str, str | None, str | None]  # id, text, metadata as JSON
_OVERHEAD = 300  # bytes: the dict's share, the tuple, the heads of its strings


class RowCache:
    """Entries by slot, up to so many bytes; the oldest go first.

    A slot always means the same row, so an entry is never wrong. Reading takes no lock.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._used = 0
        self._entries: dict[int, Entry] = {}
        self._lock = threading.Lock()

    @property
    def entries(self) -> dict[int, Entry]:
        """To be read only."""
        return self._entries

    def get_many(self, slots: Iterable[int]) -> list[Entry | None]:
        return list(map(self._entries.get, slots))

    def put_many(self, entries: Iterable[tuple[int, Entry]]) -> None:
        with self._lock:
            for slot, entry in entries:
                if slot not in self._entries:
                    self._entries[slot] = entry
                    self._used += _size(entry)
            while self._used > self._limit and self._entries:
                oldest = next(iter(self._entries))
                self._used -= _size(self._entries.pop(oldest))

    def drop(self, slot: int) -> None:
        with self._lock:
            entry = self._entries.pop(slot, None)
            if entry is not None:
                self._used -= _size(entry)


def _size(entry: Entry) -> int:
    id, text, meta = entry
    return _OVERHEAD + (len(id) if isinstance(id, str) else 0) + len(text or "") + len(meta or "")
