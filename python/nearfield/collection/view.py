"""What searches see: every segment at one moment. Writers make a new view, searches keep theirs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearfield import _core
from nearfield.collection.segment import Fields, Segment, SegmentView
from nearfield.collection.where import Where
from nearfield.index import Neighbors

__all__ = ["View"]

Part = int | str | None


class View:
    """Segments by part, as they were after change number `seq`. Never changes."""

    def __init__(self, parts: Mapping[Part, tuple[SegmentView, ...]], seq: int) -> None:
        self.parts = parts
        self.seq = seq

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
        return View(parts, seq)

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
        return View(parts, seq)

    def search(
        self,
        queries: NDArray[np.float32],
        k: int,
        where: Where | None,
        segments: Sequence[SegmentView],
        fields: Fields,
        options: Mapping[str, Any],
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """Slots and distances of the k nearest, (nq, k), padded with -1 and +inf."""
        segments = [view for view in segments if view.live]
        if options.keys() == {"threads"} and all(view.segment.plain for view in segments):
            # The index first: it is quick to tell how near rows of the tail must be.
            ordered = sorted(segments, key=lambda view: not view.segment.sealed)
            asked = [(view.segment.index._core, view.filter(where, fields)) for view in ordered]
            kept = [(core, rows) for core, rows in asked if rows is None or len(rows)]
            ids, distances = _core.search_together(
                [core for core, _ in kept], [rows for _, rows in kept], queries, k, **options
            )
            # Rows that a writer has appended and not shown yet come in the way seldom.
            if not (ids > self.seq).any():
                return ids, distances
        found = []
        for view in segments:
            if view.live:
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
