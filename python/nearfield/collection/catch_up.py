"""Moving rows from the tail, which is scanned, into segments, which are searched by an index.

Two threads do it. One builds an index over a full tail, with small segments beside it where there
is time: writers wait where it falls behind, so it takes no more than seconds at a time. The
other merges segments until each is larger than all smaller ones together, so there are few of
them; however long that takes, nobody waits for it, though the more segments are left to it, the
slower writers go. Searches see the old segments until the new one takes their place.

What a thread builds from it has taken, under the store's lock, and no other builds from that.
Writers may delete rows of it meanwhile, but add none; dead rows are told by the view, once the
new segment is to be shown, again under the lock. All else is done without it.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearfield.collection.generations import Generations
from nearfield.collection.segment import Segment, SegmentView
from nearfield.collection.store import Store, is_in
from nearfield.collection.view import Part
from nearfield.errors import StorageError
from nearfield.turn import Turn

__all__ = ["CatchUp"]

_DEAD_SHARE = 0.2
_MOST_SEALED = 3  # times seal_rows: what is built while writers may wait for it
_MOST_MERGED = 5  # times seal_rows, while there are too many segments
_SEALING_NICENESS, _MERGING_NICENESS = 5, 10
_PAGE_ROWS = 4096

_Choose = Callable[[Part], Sequence[SegmentView]]
_Progress = Callable[[int, int], Any]


class CatchUp:
    """Two threads, from `start` to `close`, that build what the store's tails have gathered."""

    def __init__(self, store: Store, generations: Generations, threads: int) -> None:
        self._store = store
        self._generations = generations
        self._stopping = False
        self._taken: dict[Segment, int] = {}  # what is built from, and by which thread
        self._compacting = Turn("a collection must not be changed or compacted")
        self._wanted: tuple[Part, ...] = ()  # of this, what is taken is to be let go
        self.error: BaseException | None = None
        """Why building ended; the rows stay in the tail, where searches find them."""
        self.save_error: OSError | None = None
        """Why the last segment has no file; it is built again at the next opening."""
        self._calm = threading.Event()  # set while no tail is built
        self._calm.set()
        sealing, merging = threads - threads // 2, max(1, threads // 2)
        in_turn = threads == 1
        self._workers = [
            threading.Thread(target=self._run, args=work, name=name, daemon=True)
            for name, *work in (
                ("nearfield-seal", self._to_seal, _SEALING_NICENESS, sealing, False),
                ("nearfield-merge", self._to_merge, _MERGING_NICENESS, merging, in_turn),
            )
        ]

    def start(self) -> None:
        self._store.catching_up = True
        for worker in self._workers:
            worker.start()

    def check_not_inside(self) -> None:
        """Raise RuntimeError on the thread that compacts: it would wait for itself."""
        self._compacting.check()

    def close(self) -> None:
        """Stop, in the midst of a build if need be."""
        store = self._store
        with store.writing:
            self._stopping = True
            store.catching_up = False
            store.writing.notify_all()
        for worker in self._workers:
            if worker.is_alive() and worker is not threading.current_thread():
                worker.join()
        with store.writing:  # somebody else may be compacting
            while any(thread != threading.get_ident() for thread in self._taken.values()):
                store.writing.wait()

    def finish(self, deadline: float | None) -> bool:
        """Wait until nothing is left to build; False when time is over first."""
        store = self._store
        with store.writing:
            while self._taken or self._find(self._to_seal) or self._find(self._to_merge):
                if self.error is not None or not all(map(threading.Thread.is_alive, self._workers)):
                    return False
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    return False
                store.writing.wait(0.2 if left is None else min(left, 0.2))
        return True

    def seal_everything(self, progress: _Progress | None = None) -> None:
        """Build one segment of each part, now and on all threads."""
        with self._compacting:
            for part in list(self._store.view.parts):
                try:
                    sources = self._take_everything(part)
                    if sources:
                        self._build(part, sources, 0, progress)
                except _Stopped:
                    self._store.check_writable()
                    raise ValueError(
                        "the collection must be open, got close() in the midst"
                    ) from None

    def build(
        self,
        part: Part,
        slots: NDArray[np.int64],
        progress: _Progress | None = None,
    ) -> None:
        """Index stored rows that no segment has; for opening, before anybody searches."""
        segment = self._index(part, slots, [], 0, progress)
        with self._store.writing:
            self._replace(part, [], segment)

    def _run(self, choose: _Choose, niceness: int, threads: int, in_turn: bool) -> None:
        if sys.platform == "linux":  # there a thread has a niceness of its own
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), niceness)
        store = self._store
        try:
            store.ensure_fields(store.settings.fields)
            while self._build_next(choose, threads, in_turn):
                pass
        except Exception as error:
            with store.writing:
                self.error = error
                # Nobody makes room any more: writers must not wait for it.
                store.catching_up = False
                store.writing.notify_all()

    def _build_next(self, choose: _Choose, threads: int, in_turn: bool) -> bool:
        """Wait for work and do it; False when the thread is to end."""
        store = self._store
        with store.writing:
            found = self._find(choose)
            while found is None and not self._ended():
                store.writing.wait()
                found = self._find(choose)
            if found is None or self._ended():
                return False
            part, sources = found
            self._take(part, sources)
        makes_room = not sources[0].segment.sealed
        if makes_room:
            self._calm.clear()
        progress = functools.partial(self._give_way, part) if in_turn else None
        try:
            with contextlib.suppress(_Stopped):
                self._build(part, sources, threads, progress)
        finally:
            if makes_room:
                self._calm.set()
        return True

    def _give_way(self, part: Part, *_: int) -> None:
        """Merging waits while a tail is built, as both at once leave searches and writers no core
        of two, unless it is behind.
        """
        if not self._store.is_behind(part):
            self._calm.wait()

    def _ended(self) -> bool:
        return self._stopping or self.error is not None

    def _find(self, choose: _Choose) -> tuple[Part, Sequence[SegmentView]] | None:
        """A part with work to do, and what of it to build one segment from."""
        store = self._store
        if store.poison is not None:
            return None
        for part in list(store.touched):
            if part in self._wanted:
                continue
            sources = choose(part)
            if sources:
                return part, sources
            if not self._to_seal(part) and not self._to_merge(part):
                store.touched.discard(part)
        return None

    def _free(self, part: Part, *, sealed: bool) -> list[SegmentView]:
        """Segments that nobody builds from, in the order in which they came to be."""
        views = self._store.view.parts.get(part, ())
        return [v for v in views if v.segment.sealed == sealed and v.segment not in self._taken]

    def _to_seal(self, part: Part) -> Sequence[SegmentView]:
        """The tail that was full first, and segments that take little longer beside it."""
        store = self._store
        growing = store.tails.get(part)
        chosen: list[SegmentView] = []
        gathered = 0
        for view in self._free(part, sealed=False):
            if view.segment is growing and not store.is_full(growing):
                continue
            if gathered >= store.seal_rows:
                return chosen  # another waits
            chosen.append(view)
            gathered += view.live
        if not chosen or store.is_behind(part):
            return chosen
        for view in sorted(self._free(part, sealed=True), key=_live):
            if view.live > min(gathered, _MOST_SEALED * store.seal_rows - gathered):
                break
            chosen.append(view)
            gathered += view.live
        return chosen

    def _to_merge(self, part: Part) -> Sequence[SegmentView]:
        """Segments up to the last that is no larger than those before it, and stale ones. Where
        merging is behind a few small ones: they are fewer soon, as more come meanwhile.
        """
        free = sorted(self._free(part, sealed=True), key=_live)
        count = below = 0
        for i, view in enumerate(free):
            if i and view.live <= below:
                count = i + 1
            below += view.live
        if self._store.is_behind(part):
            most = _MOST_MERGED * self._store.seal_rows
            while count > 2 and sum(map(_live, free[:count])) > most:
                count -= 1
        return free[:count] + [view for view in free[count:] if _is_stale(view)]

    def _take_everything(self, part: Part) -> Sequence[SegmentView]:
        """All segments of a part, unless it is one without dead rows. Others let go of theirs."""
        store = self._store
        with store.writing:
            self._wanted = (part,)
            try:
                while not self._stopping and any(
                    view.segment in self._taken for view in store.view.parts[part]
                ):
                    store.writing.wait()
            finally:
                self._wanted = ()
                store.writing.notify_all()
            if self._stopping:
                raise _Stopped
            views = store.view.parts[part]
            if len(views) == 1 and views[0].segment.sealed and not views[0].n_dead:
                return ()
            self._take(part, views)
            return views

    def _take(self, part: Part, sources: Sequence[SegmentView]) -> None:
        """Keep others from building from these. Called by who may write."""
        self._taken.update((view.segment, threading.get_ident()) for view in sources)
        if self._store.tails.get(part) in self._taken:
            del self._store.tails[part]  # what is written from now on goes to another

    def _build(
        self,
        part: Part,
        sources: Sequence[SegmentView],
        threads: int,
        progress: _Progress | None = None,
    ) -> None:
        """Put one segment in the place of those that were taken, and let go of them."""
        store = self._store
        try:
            slots = np.sort(np.concatenate([view.live_slots() for view in sources]))
            tails = [view for view in sources if not view.segment.sealed]
            segment = self._index(part, slots, tails, threads, progress)
            with store.writing:
                if store.poison is not None:
                    self._generations.forget(segment)
                    raise _Stopped
                self._replace(part, [view.segment for view in sources], segment)
        finally:
            with store.writing:
                for view in sources:
                    del self._taken[view.segment]
                store.touched.add(part)
                store.writing.notify_all()

    def _index(
        self,
        part: Part,
        slots: NDArray[np.int64],
        tails: list[SegmentView],
        threads: int,
        progress: _Progress | None,
    ) -> Segment | None:
        """A sealed segment of those of the slots that still hold a row, in a file of its own."""
        store = self._store

        def tick(done: int, total: int) -> None:
            if progress is not None:
                progress(done, total)
            if self._stopping or part in self._wanted:
                raise _Stopped

        with store.writing:
            seq = store.rows.state.last_seq
        kept, vectors = self._vectors(slots, tails, tick)
        if not len(kept):
            return None
        index = store.settings.make_index()
        if hasattr(index, "train"):
            index.train(vectors)
        index.add(vectors, ids=kept, threads=threads, progress=tick)
        segment = Segment(index, part, sealed=True)
        segment.slots.append(kept)
        if hasattr(index, "save"):
            with store.writing:  # not in the midst of a transaction
                store.rows.database.make_durable()
            try:
                self._generations.save(segment, seq, threads)
                self.save_error = None
            except OSError as error:
                self.save_error = error
        return segment

    def _vectors(
        self, slots: NDArray[np.int64], tails: list[SegmentView], tick: _Progress
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The slots that still hold a row, ascending, and their vectors.

        A tail has its own in memory; the others are read, and checked, from the rows.
        """
        rows, dim = self._store.rows, self._store.settings.dim
        in_tails = [view.live_slots() for view in tails]
        others = slots[~is_in(slots, np.sort(np.concatenate([slots[:0], *in_tails])))]
        found = [(slots[:0], np.empty((0, dim), np.float32))]
        for start in range(0, len(others), _PAGE_ROWS):
            tick(0, len(slots))
            kept, vectors = rows.vectors(others[start : start + _PAGE_ROWS].tolist(), dim)
            found.append((np.array(kept, np.int64), vectors))
        for view, own in zip(tails, in_tails, strict=True):
            found.append((own, view.segment.index.get(own)))
        every = np.concatenate([own for own, _ in found])
        vectors = np.concatenate([got for _, got in found])
        if (np.diff(every) > 0).all():  # as a rule: what waits was written last
            return every, vectors
        order = np.argsort(every)
        return every[order], vectors[order]

    def _replace(self, part: Part, old: list[Segment], segment: Segment | None) -> None:
        """Show the new segment in the place of the old ones. Called by who may write."""
        store = self._store
        views = store.view.parts.get(part, ())
        replaced = [view for view in views if view.segment in old]
        rest = [view for view in views if view.segment not in old]
        own = np.empty(0, np.int64) if segment is None else segment.slots.view()
        live = np.sort(np.concatenate([own[:0], *(view.live_slots() for view in replaced)]))
        if not is_in(live, own).all():
            # A row's deletion was under way when it was read, and came to nothing: once more.
            self._generations.forget(segment)
            return
        if segment is not None:
            dead = ~is_in(own, live) if replaced else np.zeros(segment.n, np.bool_)
            self._gather_codes(segment, replaced)
            rest.append(SegmentView(segment, segment.n, dead))
        store.view = store.view.with_part(part, rest, store.view.seq)
        store.touched.add(part)
        if segment is None or segment.file is not None:
            sealed = [view.segment for view in store.view.segments() if view.segment.sealed]
            try:
                self._generations.publish(sealed, store.view.seq)
            except StorageError as error:
                store.failed(error)
                raise

    def _gather_codes(self, segment: Segment, sources: list[SegmentView]) -> None:
        store = self._store
        own = segment.slots.view()
        if not sources and store.fields:
            metadata = store.rows.metadata(own.tolist())
            for name, field in store.fields.items():
                segment.set_codes(name, field.encode(metadata))
            return
        for name in store.fields:
            codes = np.zeros(segment.n, np.int32)
            for view in sources:
                slots = view.segment.slots.view(view.n)
                mine = is_in(slots, own)
                at = np.searchsorted(own, slots[mine])
                codes[at] = view.segment.codes[name].view(view.n)[mine]
            segment.set_codes(name, codes)


def _live(view: SegmentView) -> int:
    return view.live


def _is_stale(view: SegmentView) -> bool:
    """Whether so many of its rows are dead that it should be built anew."""
    return view.n_dead > max(_DEAD_SHARE * view.n, 64)


class _Stopped(Exception):
    """Building is in vain: the collection is closed, compacted, or takes no more writes."""
