"""What searches see: every segment at one moment. Writers make a new view, searches keep theirs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearfield import _core
from nearfield.collection.segment import Fields, Segment, SegmentView
from nearfield.collection.where import Where
from nearfield.index import Neighbors

__all__ = ["Chosen", "View"]

Part = int | str | None
# So many rows of tails are scanned in a fraction of a millisecond: no need to give the interpreter
# lock away and wait for it.
_QUICK_ROWS = 1 << 17


class View:
    """Segments by part, as they were after change number `seq`. Never changes."""

    def __init__(self, parts: Mapping[Part, tuple[SegmentView, ...]], seq: int) -> None:
        self.parts = parts
        self.seq = seq
        self._all: Chosen | None = None  # once asked for

    def segments(self, part: Part = None, every: bool = True) -> Iterator[SegmentView]:
        """Those of one part, or all."""
        if not every:
            yield from self.parts.get(part, ())
            return
        for views in self.parts.values():
            yield from views

    def with_part(self, part: Part, views: Sequence[SegmentView], seq: int) -> View:
        parts = dict(self.parts)
        parts[part] = tuple(views)
        return self._next(parts, seq)

    def changed(
        self, removed: Mapping[Part, NDArray[np.int64]], grown: Sequence[Segment], seq: int
    ) -> View:
        """The same after a write: some slots dead, some segments longer (or new)."""
        parts = dict(self.parts)
        for segment in grown:
            views = parts.get(segment.part, ())
            known = any(view.segment is segment for view in views)
            fresh = () if known else (SegmentView(segment, 0),)
            parts[segment.part] = tuple(
                view.grown() if view.segment is segment else view for view in (*views, *fresh)
            )
        for part, slots in removed.items():
            parts[part] = tuple(view.without(slots) for view in parts[part])
        return self._next(parts, seq)

    def _next(self, parts: Mapping[Part, tuple[SegmentView, ...]], seq: int) -> View:
        """Made ready for searches by who writes, where this one was searched."""
        view = View(parts, seq)
        if self._all is not None and self._all.searched:
            view.chosen()
        return view

    def chosen(self, part: Part = None, every: bool = True) -> Chosen:
        """Those of one part, or all, to be searched."""
        if not every:
            return Chosen(self.parts.get(part, ()), self.seq)
        if self._all is None:
            self._all = Chosen(self.segments(), self.seq)
        return self._all


class Chosen:
    """Segments that are searched together, as a view shows them. Never changes."""

    def __init__(self, segments: Iterable[SegmentView], seq: int) -> None:
        # The index first: it is quick to tell how near rows of the tail must be.
        self._views = sorted(
            (view for view in segments if view.live), key=lambda view: not view.segment.sealed
        )
        self._cores: list[Any] = [view.segment.index._core for view in self._views]
        self._plain = all(view.segment.plain for view in self._views)
        tails = (view.n for view in self._views if not view.segment.sealed)
        self._quick = sum(tails) <= _QUICK_ROWS
        self._live = sum(view.live for view in self._views)
        self._shares = [view.live / self._live for view in self._views]
        self._seq = seq
        self._all_rows: list[Any] | None = None  # the filters of a search without a condition
        self.searched = False

    def search(
        self,
        queries: NDArray[np.float32],
        k: int,
        where: Where | None,
        fields: Fields,
        options: Mapping[str, Any],
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Slots and distances of the k nearest, padded with -1 and +inf; at most as many columns
        as there are rows.
        """
        k = min(k, max(1, self._live))
        self.searched = True
        if self._plain and options.keys() == {"threads"}:
            rows = self._rows(where, fields)
            quick = self._quick and where is None and len(queries) == 1
            found = _core.search_together(
                self._cores, rows, queries, k, options["threads"], quick, self._seq, self._shares
            )
            # Rows that a writer has appended and not shown yet come in the way seldom.
            if found is not None:
                return found
        return self._one_by_one(queries, k, where, fields, options)

    def _rows(self, where: Where | None, fields: Fields) -> list[Any]:
        if where is not None:
            return [view.filter(where, fields) for view in self._views]
        if self._all_rows is None:
            self._all_rows = [view.filter(None, fields) for view in self._views]
        return self._all_rows

    def _one_by_one(
        self,
        queries: NDArray[np.float32],
        k: int,
        where: Where | None,
        fields: Fields,
        options: Mapping[str, Any],
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        found = []
        for view in self._views:
            own = {
                name: value
                for name, value in options.items()
                if name == "threads" or hasattr(view.segment.index, name)
            }
            answer = view.search(queries, k, where, fields, own)
            if answer is not None:
                found.append(answer)
        return _merge(found, len(queries), k)


def _merge(
    found: Sequence[Neighbors], nq: int, k: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The k nearest of several answers; ties go to the smaller slot."""
    if not found:
        return np.full((nq, k), -1, np.int64), np.full((nq, k), np.inf, np.float32)
    if len(found) == 1:
        return found[0].ids, found[0].distances
    ids = np.concatenate([answer.ids for answer in found], axis=1)
    distances = np.concatenate([answer.distances for answer in found], axis=1)
    order = np.lexsort((ids, distances), axis=1)[:, :k]
    return np.take_along_axis(ids, order, 1), np.take_along_axis(distances, order, 1)
