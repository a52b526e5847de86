"""Moving rows from the tail, which is scanned, into segments, which are searched by an index.

When a tail is long enough it is sealed and a thread builds an index over it, together with the
segments that are not larger than what it has gathered so far: sizes at least double from one
segment to the next, so there are few of them, and a row is built into log2(n / seal_rows) indexes
in its life. Searches see the old segments until the new one takes their place.
"""

from __future__ import annotations

import os
import sys
import threading
import time
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
_NICENESS = 5


class CatchUp:
    """A thread, from `start` to `close`, that builds what the store's tails have gathered."""

    def __init__(self, store: Store, generations: Generations, threads: int) -> None:
        self._store = store
        self._generations = generations
        self._threads = threads
        self._stopping = False
        self._building = Turn("a collection must not be changed or compacted")
        self.error: BaseException | None = None
        """Why building ended; the rows stay in the tail, where searches find them."""
        self.save_error: OSError | None = None
        """Why the last segment has no file; it is built again at the next opening."""
        self._thread = threading.Thread(target=self._run, name="nearfield-catch-up", daemon=True)

    def start(self) -> None:
        self._store.catching_up = True
        self._thread.start()

    def check_not_inside(self) -> None:
        """Raise RuntimeError on the thread that builds: it would wait for itself."""
        self._building.check()

    def close(self) -> None:
        """Stop, in the midst of a build if need be."""
        with self._store.writing:
            self._stopping = True
            self._store.catching_up = False
            self._store.writing.notify_all()
        if self._thread.is_alive():
            self._thread.join()

    def finish(self, deadline: float | None) -> bool:
        """Wait until nothing is left to build; False when time is over first."""
        store = self._store
        with store.writing:
            while self._find() is not None or self._building.taken():
                if self.error is not None or not self._thread.is_alive():
                    return False
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    return False
                store.writing.wait(0.2 if left is None else min(left, 0.2))
        return True

    def seal_everything(self, progress: Any = None) -> None:
        """Build one segment of each part, now and on all threads."""
        for part in list(self._store.view.parts):
            with self._building:
                views = self._store.view.parts[part]
                if len(views) > 1 or any(view.n_dead or not view.segment.sealed for view in views):
                    self._build(part, everything=True, threads=0, progress=progress)

    def build(self, part: Part, slots: NDArray[np.int64], progress: Any = None) -> None:
        """Index stored rows that no segment has; for opening, before anybody searches."""
        with self._building:
            segment = self._index(part, slots, [], 0, progress)
            with self._store.writing:
                self._replace(part, [], segment)

    def _run(self) -> None:
        if sys.platform == "linux":  # there a thread has a niceness of its own
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICENESS)
        store = self._store
        try:
            store.ensure_fields(store.settings.fields)
            while self._build_next():
                pass
        except _Stopped:
            pass
        except Exception as error:
            with store.writing:
                self.error = error
                # Nobody makes room any more: writers must not wait for it.
                store.catching_up = False
                store.writing.notify_all()

    def _build_next(self) -> bool:
        """Wait for work and do it; False when the thread is to end."""
        store = self._store
        with store.writing:
            part = self._find()
            while not self._stopping and part is None:
                store.writing.wait()
                part = self._find()
            if self._stopping or part is None:
                return False
        with self._building:
            self._build(part[0], threads=self._threads)
        with store.writing:
            store.writing.notify_all()
        return True

    def _find(self) -> tuple[Part] | None:
        """A part with work to do, in a tuple, as None is a part too."""
        store = self._store
        if store.poison is not None:
            return None
        for part in list(store.touched):
            if self._has_work(part):
                return (part,)
            store.touched.discard(part)
        return None

    def _has_work(self, part: Part) -> bool:
        stale = any(self._is_stale(view) for view in self._store.view.parts.get(part, ()))
        return stale or self._store.waiting(part) >= self._store.seal_rows

    def _is_stale(self, view: SegmentView) -> bool:
        """Whether so many of its rows are dead that it should be built anew."""
        return view.segment.sealed and view.n_dead > max(_DEAD_SHARE * view.n, 64)

    def _build(
        self, part: Part, *, everything: bool = False, threads: int, progress: Any = None
    ) -> None:
        store = self._store
        with store.writing:
            if not everything and not self._has_work(part):
                return  # somebody did it while we waited for our turn
            store.tails.pop(part, None)  # what is written from now on goes to another
            sources = self._choose(store.view.parts.get(part, ()), everything)
        slots = np.sort(np.concatenate([view.live_slots() for view in sources]))
        tails = [view for view in sources if not view.segment.sealed]
        segment = self._index(part, slots, tails, threads, progress)
        with store.writing:
            if self._stopping and not everything:
                raise _Stopped
            self._replace(part, [view.segment for view in sources], segment)

    def _choose(self, views: tuple[SegmentView, ...], everything: bool) -> list[SegmentView]:
        if everything:
            return list(views)
        chosen = [view for view in views if not view.segment.sealed or self._is_stale(view)]
        gathered = sum(view.live for view in chosen)
        rest = sorted((view for view in views if view not in chosen), key=lambda view: view.live)
        for view in rest:
            if view.live > gathered:
                break
            chosen.append(view)
            gathered += view.live
        return chosen

    def _index(
        self,
        part: Part,
        slots: NDArray[np.int64],
        tails: list[SegmentView],
        threads: int,
        progress: Any,
    ) -> Segment | None:
        """A sealed segment of those of the slots that still hold a row, in a file of its own."""
        store = self._store
        with store.writing:
            seq = store.rows.state.last_seq
        kept, vectors = self._vectors(slots, tails)
        if not len(kept):
            return None
        index = store.settings.make_index()
        if hasattr(index, "train"):
            index.train(vectors)

        def tick(done: int, total: int) -> None:
            if self._stopping:
                raise _Stopped
            if callable(progress):
                progress(done, total)

        index.add(vectors, ids=kept, threads=threads, progress=progress or tick)
        segment = Segment(index, part, sealed=True)
        segment.slots.append(kept)
        if hasattr(index, "save"):
            store.rows.database.make_durable()
            try:
                self._generations.save(segment, seq, threads)
                self.save_error = None
            except OSError as error:
                self.save_error = error
        return segment

    def _vectors(
        self, slots: NDArray[np.int64], tails: list[SegmentView]
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        """The slots that still hold a row, ascending, and their vectors.

        A tail has its own in memory; the others are read, and checked, from the rows.
        """
        store = self._store
        slots_of = [view.live_slots() for view in tails]
        held = np.sort(np.concatenate([slots[:0], *slots_of]))
        kept, vectors = store.rows.vectors(slots[~is_in(slots, held)].tolist(), store.settings.dim)
        every = np.concatenate([np.array(kept, np.int64), *slots_of])
        got = [view.segment.index.get(own) for view, own in zip(tails, slots_of, strict=True)]
        rows = np.concatenate([vectors, *got])
        if (np.diff(every) > 0).all():  # as a rule: what waits was written last
            return every, rows
        order = np.argsort(every)
        return every[order], rows[order]

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


class _Stopped(Exception):
    """The collection is being closed while an index is built."""
