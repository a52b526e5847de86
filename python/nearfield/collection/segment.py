"""A part of the index and what of it can be seen: rows that are there, less those that are dead."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nearfield.collection.fields import Field, GrowingArray
from nearfield.collection.where import Mask, Test, Where
from nearfield.index import Index, Neighbors

__all__ = ["Segment", "SegmentView"]

Fields = Mapping[str, Field]
_KEPT_MASKS = 64


class Segment:
    """An index over rows named by their slots, and the codes of their metadata, in the same order.

    Rows are appended, to a `Flat`, and never taken out, so the i-th row stays the i-th. A sealed
    segment does not grow; its answers to a condition are kept.
    """

    def __init__(self, index: Index, part: Any = None, *, sealed: bool = False) -> None:
        self.index = index
        self.part = part
        self.sealed = sealed
        self.plain = not hasattr(index, "nprobe")  # those widen some searches on their own
        self.file: str | None = None
        self.slots = GrowingArray(np.int64)
        self.codes: dict[str, GrowingArray] = {}
        self._masks: dict[str, Mask] = {}

    @property
    def n(self) -> int:
        return self.slots.size

    def append(
        self, slots: NDArray[np.int64], vectors: ArrayLike, codes: Mapping[str, NDArray[np.int32]]
    ) -> None:
        """Add rows with ascending slots. They can be seen once a view counts them."""
        core: Any = self.index._core
        core.append(vectors, slots)
        for name, column in self.codes.items():
            column.append(codes[name])
        self.slots.append(slots)

    def set_codes(self, name: str, codes: NDArray[np.int32]) -> None:
        """Give all rows a column that they had not."""
        column = GrowingArray(np.int32)
        column.append(codes)
        self.codes[name] = column

    def positions(self, slots: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where those of the slots are that this segment has."""
        own = self.slots.view()
        at = np.searchsorted(own, slots)
        inside = at < len(own)
        at = at[inside]
        held: NDArray[np.bool_] = own[at] == slots[inside]
        return np.compress(held, at)

    def matches(self, where: Where, n: int, fields: Fields) -> Mask:
        """Which of the first n rows meet the condition, dead ones included."""
        if self.sealed:
            known = self._masks.get(where.key)
            if known is not None:
                return known

        def test(test: Test) -> Mask:
            if not test.field:  # of a condition without any comparison
                return np.ones(n, np.bool_)
            return fields[test.field].matches(test, self.codes[test.field].view(n))

        mask = where.mask(test)
        if self.sealed:
            if len(self._masks) >= _KEPT_MASKS:
                self._masks.clear()
            self._masks[where.key] = mask
        return mask


class SegmentView:
    """The rows of a segment that could be seen at one moment. Never changes."""

    def __init__(self, segment: Segment, n: int, dead: Mask | None = None) -> None:
        self.segment = segment
        self.n = n
        self._dead = dead if dead is not None and dead.any() else None
        self.n_dead = 0 if self._dead is None else int(self._dead.sum())
        self._prepared: dict[str, Any] = {}

    @property
    def live(self) -> int:
        return self.n - self.n_dead

    def live_slots(self) -> NDArray[np.int64]:
        slots = self.segment.slots.view(self.n)
        return slots if self._dead is None else slots[~self._dead]

    def live_mask(self) -> Mask:
        return np.ones(self.n, np.bool_) if self._dead is None else ~self._dead

    def without(self, slots: NDArray[np.int64]) -> SegmentView:
        """The same, with more rows dead; itself where it has none of the slots."""
        at = self.segment.positions(slots)
        at = at[at < self.n]
        if not len(at):
            return self
        dead = np.zeros(self.n, np.bool_) if self._dead is None else self._dead.copy()
        dead[at] = True
        return SegmentView(self.segment, self.n, dead)

    def grown(self) -> SegmentView:
        """The same, with all rows that were appended since."""
        n, dead = self.segment.n, self._dead
        if dead is not None:
            dead = np.concatenate([dead, np.zeros(n - self.n, np.bool_)])
        return SegmentView(self.segment, n, dead)

    def matching(self, where: Where | None, fields: Fields) -> Mask:
        """Which of the n rows are live and meet the condition."""
        if where is None:
            return self.live_mask()
        mask = self.segment.matches(where, self.n, fields)
        return mask if self._dead is None else mask & ~self._dead

    def count(self, where: Where | None, fields: Fields) -> int:
        if where is None:
            return self.live
        return len(self._filter(where, fields))

    def search(
        self,
        queries: NDArray[np.float32],
        k: int,
        where: Where | None,
        fields: Fields,
        options: Mapping[str, Any],
    ) -> Neighbors | None:
        """The nearest rows that can be seen, by slot; None where there is none."""
        index: Any = self.segment.index
        if where is None and self._dead is None:
            found: Neighbors = index.search(queries, k, **options)
            # Rows that a writer has appended and not shown yet come in the way seldom.
            if self.segment.sealed or not (found.ids > self.segment.slots.view(self.n)[-1]).any():
                return found
        allowed = self._filter(where, fields)
        if not len(allowed):
            return None
        answer: Neighbors = index.search(queries, k, filter=allowed, **options)
        return answer

    def filter(self, where: Where | None, fields: Fields) -> Any:
        """For the index: which rows may be results, by `len` so many; None for all it holds."""
        return None if where is None and self._dead is None else self._filter(where, fields)

    def _filter(self, where: Where | None, fields: Fields) -> Any:
        key = "" if where is None else where.key
        prepared = self._prepared.get(key)
        if prepared is None:
            mask = self.matching(where, fields)
            # A growing index may hold more rows than we show: there they go by slot.
            allowed = mask if self.segment.sealed else self.segment.slots.view(self.n)[mask]
            prepared = self._prepared[key] = self.segment.index.prepare(allowed)
        return prepared
