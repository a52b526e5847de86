"""Two threads build: one makes room for writers, one merges, and neither is in the other's way."""

import random
import threading
import time

import numpy as np
import pytest
from collection_tools import DIM, ids_of, vectors_of

import nearfield as nf
from nearfield.collection import store as storing
from nearfield.collection.catch_up import CatchUp

SEAL, ROOM = 64, 256
N = 6 * ROOM


class Gate:
    """Holds whoever builds in a thread of this name, as a long build would, until it is let go."""

    def __init__(self, monkeypatch, name):
        self.name, self.reached, self.opened = name, threading.Event(), threading.Event()
        real = nf.HNSW.add

        def add(index, vectors, *args, progress, **options):
            if threading.current_thread().name == self.name:
                self.reached.set()
                while not self.opened.wait(0.005):
                    progress(0, len(vectors))
            return real(index, vectors, *args, progress=progress, **options)

        monkeypatch.setattr(nf.HNSW, "add", add)


@pytest.fixture
def merging(tmp_path, monkeypatch):
    """A collection in the midst of a merge, which holds until its gate is opened."""
    gate = Gate(monkeypatch, "nearfield-merge")
    with nf.Collection(tmp_path / "docs", dim=DIM, metric="l2", seal_rows=SEAL) as docs:
        written = 0
        while not gate.reached.wait(0.01):
            ids = list(range(written, written + 16))
            docs.add(ids, vectors=vectors_of(N)[ids], metadata=[{"i": i} for i in ids])
            written += 16
            assert written < N
        yield docs, gate, written
        gate.opened.set()


def check_rows(docs, ids):
    vectors = vectors_of(N)
    assert {item.id for item in docs} == set(ids)
    assert np.mean([ids_of(docs.search(vectors[id], k=1)) == [id] for id in ids]) > 0.97
    assert {hit.id for hit in docs.search(vectors[0], k=N)} == set(ids)
    report = docs.check(deep=True)
    assert report.ok, report.findings


def test_writers_do_not_wait_for_a_merge(merging):
    docs, gate, written = merging
    vectors = vectors_of(N)
    for start in range(written, N, 16):  # many times what may wait for the index
        docs.add(list(range(start, start + 16)), vectors=vectors[start : start + 16])
    assert not gate.opened.is_set()
    assert docs.stats()["waiting"] <= ROOM + 16
    assert len(docs.stats()["segments"]) > 2
    assert not docs.catch_up(0.05)
    gate.opened.set()
    assert docs.catch_up(30)
    sizes = sorted(docs.stats()["segments"])
    assert all(size > sum(sizes[:i]) for i, size in enumerate(sizes))
    check_rows(docs, range(N))


def test_writers_go_slower_the_more_segments_there_are(merging, monkeypatch):
    docs, _, written = merging
    monkeypatch.setattr(storing, "_MANY_SEGMENTS", 1)
    monkeypatch.setattr(storing, "_PAUSE_S", 0.01)
    vectors, beyond = vectors_of(N), len(docs.stats()["segments"]) - 1
    assert beyond >= 1
    began = time.monotonic()
    docs.add(list(range(written, written + 9)), vectors=vectors[:9])
    assert time.monotonic() - began > 0.9 * beyond * 9 * 0.01


def test_rows_numbered_by_writers_that_wait_get_numbers_of_their_own(merging):
    docs, _, written = merging
    vectors, given, lock = vectors_of(N), [], threading.Lock()

    def write():
        for start in range(written, N // 2, 32):
            ids = docs.add(vectors=vectors[start : start + 32])
            with lock:
                given.extend(ids)

    threads = [threading.Thread(target=write) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(given) == list(range(written, written + len(given)))
    assert len(docs) == written + len(given) > N


def test_rows_deleted_or_replaced_in_the_midst_of_a_merge_stay_so(merging):
    docs, gate, written = merging
    docs.delete(list(range(0, written, 3)))
    docs.upsert([1], vectors=vectors_of(N)[1:2] + 50, metadata={"i": -1})
    assert docs.count({"i": {">": -9}}) == written - len(range(0, written, 3))  # makes a column
    gate.opened.set()
    assert docs.catch_up(30)
    held = [id for id in range(written) if id % 3]
    assert {hit.id for hit in docs.search(vectors_of(N)[0], k=N)} == set(held)
    assert ids_of(docs.search(vectors_of(N)[1] + 50, k=1)) == [1]
    assert docs.count({"i": -1}) == 1
    assert docs.count({"i": 1}) == 0
    assert docs.check(deep=True).ok


def test_a_snapshot_in_the_midst_of_a_merge_is_whole_then_and_after_it(merging):
    docs, gate, written = merging
    docs.snapshot()
    for after in (False, True):
        if after:
            gate.opened.set()
            assert docs.catch_up(30)
        with nf.Collection(docs.path, read_only=True) as reader:
            check_rows(reader, range(written))


def test_compact_takes_over_what_is_merged(merging):
    docs, _, written = merging
    steps = []
    docs.compact(progress=lambda *step: steps.append(step))  # the gate stays closed
    assert steps
    assert docs.stats()["segments"] == [written]
    assert docs.stats()["waiting"] == 0
    check_rows(docs, range(written))


def test_closing_stops_a_merge_and_loses_nothing(merging):
    docs, _, written = merging
    folder = docs.path
    docs.close()  # the gate stays closed
    assert not any(thread.name.startswith("nearfield-") for thread in threading.enumerate())
    with nf.Collection(folder, seal_rows=SEAL) as again:
        check_rows(again, range(written))


def test_a_copy_of_the_files_in_the_midst_of_a_merge_has_all_rows(merging, tmp_path):
    docs, _, written = merging
    copy = tmp_path / "copy"
    copy.mkdir()
    with docs._open.store.writing:  # what a killed process leaves is as it is at one moment
        for path in docs.path.iterdir():
            if path.name != "LOCK":
                (copy / path.name).write_bytes(path.read_bytes())
    with nf.Collection(copy, seal_rows=SEAL) as again:
        check_rows(again, range(written))


def test_a_merge_that_fails_stops_building_is_told_and_holds_no_writer(tmp_path, monkeypatch):
    vectors, real = vectors_of(N), nf.HNSW.add

    def add(*args, **options):
        if threading.current_thread().name == "nearfield-merge":
            raise MemoryError("no room (made up)")
        return real(*args, **options)

    monkeypatch.setattr(nf.HNSW, "add", add)
    with nf.Collection(tmp_path / "docs", dim=DIM, metric="l2", seal_rows=SEAL) as docs:
        for start in range(0, N, 16):
            docs.add(list(range(start, start + 16)), vectors=vectors[start : start + 16])
        assert not docs.catch_up(30)
        assert docs.stats()["catch_up_error"] == "no room (made up)"
        for worker in docs._open.catch_up._workers:
            worker.join(10)
            assert not worker.is_alive()
        check_rows(docs, range(N))
        docs.compact()
        assert docs.stats()["segments"] == [N]


def test_compact_stops_where_the_collection_is_closed_meanwhile(tmp_path, monkeypatch):
    gate, told = Gate(monkeypatch, "compacting"), []
    docs = nf.Collection(tmp_path / "docs", dim=DIM)
    docs.add(vectors=vectors_of(100))

    def compact():
        with pytest.raises(ValueError, match="must be open, got close"):
            docs.compact()
        told.append(True)

    thread = threading.Thread(target=compact, name="compacting")
    thread.start()
    assert gate.reached.wait(10)
    docs.close()
    thread.join(10)
    assert told


def test_compact_stops_where_its_own_callback_closes_the_collection(tmp_path, monkeypatch):
    real = nf.HNSW.add

    def add(index, vectors, *args, progress, **options):
        progress(0, len(vectors))
        return real(index, vectors, *args, progress=progress, **options)

    monkeypatch.setattr(nf.HNSW, "add", add)
    docs = nf.Collection(tmp_path / "docs", dim=DIM)
    docs.add(vectors=vectors_of(100))
    with pytest.raises(ValueError, match="must be open, got close"):
        docs.compact(progress=lambda *_: docs.close())
    with pytest.raises(ValueError, match="must be open, got a call after close"):
        docs.stats()
    with nf.Collection(tmp_path / "docs") as docs:
        assert docs.check(deep=True).ok
        docs.compact()
        check_rows(docs, range(100))


def test_merging_takes_a_few_small_segments_where_there_are_too_many(merging, monkeypatch):
    docs, gate, written = merging
    monkeypatch.setattr(storing, "_FEW_SEGMENTS", 3)
    monkeypatch.setattr(storing, "_MANY_SEGMENTS", 100)
    vectors, merged, real = vectors_of(N), [], CatchUp._build

    def build(self, part, sources, *args):
        merged.append((store.is_behind(part), sources))
        return real(self, part, sources, *args)

    store = docs._open.store
    monkeypatch.setattr(CatchUp, "_build", build)
    for start in range(written, N, 16):
        docs.add(list(range(start, start + 16)), vectors=vectors[start : start + 16])
    gate.opened.set()
    assert docs.catch_up(30)
    behind = [sources for late, sources in merged if late and sources[0].segment.sealed]
    assert behind
    for sources in behind:
        assert len(sources) == 2 or sum(view.live for view in sources) <= 5 * SEAL
    check_rows(docs, range(N))


def test_no_segment_is_built_from_twice_at_once_and_all_rows_are_there(tmp_path, monkeypatch):
    """Writers, compacting and both threads at once; who takes what another has is told."""
    real = CatchUp._take

    def take(self, part, sources):
        assert sources
        assert not any(view.segment in self._taken for view in sources)
        real(self, part, sources)

    monkeypatch.setattr(CatchUp, "_take", take)
    held, failed, lock = set(), [], threading.Lock()
    vectors = vectors_of(N)

    def guarded(work):
        try:
            work()
        except BaseException as error:
            failed.append(error)

    with nf.Collection(tmp_path / "docs", dim=DIM, metric="l2", seal_rows=SEAL,
                       partition_by="part", durability="os") as docs:  # fmt: skip

        def write(seed):
            rng = random.Random(seed)
            for start in range(seed * N // 2, (seed + 1) * N // 2, 16):
                ids = list(range(start, start + 16))
                metadata = [{"part": i % 2, "i": i} for i in ids]
                docs.add(ids, vectors=vectors[ids], metadata=metadata)
                gone = rng.sample(ids, 3)
                docs.delete(gone)
                with lock:
                    held.update(set(ids) - set(gone))

        def compact():
            for _ in range(5):
                docs.compact()
                docs.count({"i": {"<": 9}})
                time.sleep(0.05)

        works = [lambda: write(0), lambda: write(1), compact]
        threads = [threading.Thread(target=guarded, args=(work,)) for work in works]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert failed == []
        assert docs.catch_up(60)
        assert docs.stats()["catch_up_error"] is None
        check_rows(docs, held)
        docs.compact()
        assert sorted(docs.stats()["segments"]) == sorted(
            sum(id % 2 == part for id in held) for part in (0, 1)
        )


def test_a_checkpoint_for_a_segment_waits_for_a_transaction(tmp_path, monkeypatch):
    """Under durability="os" files wait for the log, which cannot be cut in a transaction."""
    vectors, held = vectors_of(400), []
    with nf.Collection(tmp_path / "docs", dim=DIM, seal_rows=SEAL, durability="os") as docs:
        database = docs._open.store.rows.database
        real, asked = database.run, threading.Event()

        def make_durable():
            asked.set()
            database.checkpoint()

        def run(sql, values=()):
            if sql == "COMMIT" and threading.current_thread() is threading.main_thread():
                held.append(asked.wait(0.3))
                time.sleep(0.1)
            real(sql, values)

        monkeypatch.setattr(database, "make_durable", make_durable)
        monkeypatch.setattr(database, "run", run)
        docs.add(vectors=vectors[:200])  # so many that a write is several statements
        docs.add(vectors=vectors[200:])
        assert docs.catch_up(30)
        assert docs.stats()["catch_up_error"] is None
        assert len(held) == 2
        assert asked.is_set()
