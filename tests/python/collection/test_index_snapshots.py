"""The index on disk is a copy: used when whole, left aside when not, never believed over rows."""

import json
import shutil
import threading
import time
import warnings

import numpy as np
import pytest
from collection_tools import DIM, ids_of, vectors_of

import nearfield as nf
from nearfield.errors import StorageError

N = 900


@pytest.fixture
def folder(tmp_path):
    """A collection with two generations of index files and some rows beyond them."""
    vectors = vectors_of(N)
    with nf.Collection(tmp_path / "docs", dim=DIM, metric="l2", seal_rows=256) as docs:
        for start in range(0, N, 50):
            ids = list(range(start, start + 50))
            docs.add(ids, vectors=vectors[start : start + 50], metadata=[{"i": i} for i in ids])
            assert docs.catch_up(30)
        docs.delete([1, 2])
        docs.upsert([3], vectors=vectors[3:4] + 50, metadata=[{"i": 3}])
    return tmp_path / "docs"


def check_whole(folder, *, built_anew):
    vectors = vectors_of(N)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        with nf.Collection(folder, seal_rows=256) as docs:
            assert docs.catch_up(30)
            hits = docs.search(vectors[5:N:7], k=1)
            assert np.mean([got[0].id == 5 + 7 * i for i, got in enumerate(hits)]) > 0.97
            assert not {1, 2} & {hit.id for hit in docs.search(vectors[1], k=900)}
            assert ids_of(docs.search(vectors[3] + 50, k=1)) == [3]
            assert docs.count({"i": {"<": 10}}) == 8
            assert docs.check(deep=True).ok
    assert [str(w.message) for w in told if "snapshot" in str(w.message)] or not built_anew
    return [str(w.message) for w in told]


def index_files(folder):
    return sorted(folder.glob("index-*.nf"))


def test_segments_are_read_not_built_when_opened_again(folder, monkeypatch):
    with nf.Collection(folder, seal_rows=256) as docs:
        before = docs.stats()
    with monkeypatch.context() as patched:
        patched.setattr(nf.HNSW, "add", lambda *_, **__: pytest.fail("built an index"))
        with nf.Collection(folder, seal_rows=256) as docs:
            assert docs.stats() == before
    assert len(before["segments"]) >= 1
    assert check_whole(folder, built_anew=False) == []


def test_files_beyond_the_kept_generations_are_removed(folder):
    assert 1 <= len(index_files(folder)) <= 6
    with nf.Collection(folder, seal_rows=256) as docs:
        docs.compact()
        docs.upsert([5], vectors=vectors_of(1), metadata={"i": 5})
        docs.compact()
        docs.compact()  # nothing to do: no new generation
    assert len(index_files(folder)) == 2


@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "missing", "garbage", "swapped"])
def test_a_damaged_index_file_costs_time_not_rows(damage, folder):
    for path in index_files(folder):
        whole = path.read_bytes()
        if damage == "flip":
            middle = len(whole) // 2
            whole = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
        elif damage == "cut":
            whole = whole[:-100]
        elif damage == "empty":
            whole = b""
        elif damage == "garbage":
            whole = b"garbage" * (len(whole) // 7)
        elif damage == "swapped":  # a whole file of another index
            other = nf.HNSW(DIM, "l2")
            other.add(vectors_of(30, seed=9))
            path.unlink()
            other.save(path)
            continue
        path.unlink()
        if damage != "missing":
            path.write_bytes(whole)
    check_whole(folder, built_anew=True)
    assert check_whole(folder, built_anew=False) == []  # mended


def test_damage_to_the_newest_generation_is_answered_by_the_older(folder):
    vectors = vectors_of(N)
    with nf.Collection(folder, seal_rows=256) as docs:
        docs.compact()
        docs.add(ids=list(range(2000, 2256)), vectors=vectors[:256] + 9)
        assert docs.catch_up(30)
        docs.compact()
    newest = max(index_files(folder), key=lambda path: int(path.name.split("-")[1]))
    newest.write_bytes(b"x" * newest.stat().st_size)
    with pytest.warns(RuntimeWarning, match="snapshot .* is not usable and is left aside"):
        docs = nf.Collection(folder, seal_rows=256)
    with docs:
        facts = docs.stats()
        assert max(facts["segments"]) >= 800  # the older generation's
        assert facts["n"] == N - 2 + 256
        hits = docs.search(vectors[:50] + 9, k=1)
        assert [got[0].id for got in hits] == list(range(2000, 2050))
        assert docs.check(deep=True).ok


def test_a_segment_of_rows_long_gone_hides_them(folder):
    """Index files of an older state beside newer rows, as a restored backup may leave them."""
    old = folder.with_name("old")
    shutil.copytree(folder, old)
    with nf.Collection(folder, seal_rows=256) as docs:
        docs.delete(list(range(100, 400)))
        docs.compact()
    for path in index_files(old):
        shutil.copy(path, folder)
    with nf.Collection(folder, seal_rows=256) as docs:
        assert len(docs) == N - 2 - 300
        assert {hit.id for hit in docs.search(vectors_of(N)[150], k=900)} == {
            item.id for item in docs
        }


def test_left_over_files_are_removed_and_others_stay(folder):
    (folder / "index-3-5.nf.tmp-77-0-123").write_bytes(b"half")
    (folder / "view-9-9.db.tmp-12").write_bytes(b"half")
    (folder / "notes.txt").write_text("mine")
    nf.Collection(folder).close()
    assert not list(folder.glob("*.tmp-*"))
    assert (folder / "notes.txt").read_text() == "mine"


def test_rows_too_many_for_the_tail_are_built_at_opening_with_progress(folder):
    for path in index_files(folder):
        path.unlink()
    seen = []
    with (
        pytest.warns(RuntimeWarning, match="left aside"),
        nf.Collection(folder, seal_rows=64, progress=lambda *step: seen.append(step)) as docs,
    ):
        assert docs.stats()["segments"] == [N - 2]
        assert docs.check(deep=True).ok
    assert seen
    assert seen[-1][0] <= seen[-1][1]


def test_a_build_that_fails_leaves_rows_where_searches_find_them(tmp_path, monkeypatch):
    vectors = vectors_of(400)

    def fail(*_, **__):
        raise MemoryError("no room (made up)")

    with (
        monkeypatch.context() as patched,
        nf.Collection(tmp_path / "docs", dim=DIM, seal_rows=64) as docs,
    ):
        patched.setattr(nf.HNSW, "add", fail)
        docs.add(vectors=vectors)
        assert not docs.catch_up(30)
        assert docs.stats()["catch_up_error"] == "no room (made up)"
        docs.add(vectors=vectors)  # writers do not wait for room that nobody makes
        assert [got[0].id for got in docs.search(vectors[:50], k=1)] == list(range(50))
    with nf.Collection(tmp_path / "docs", seal_rows=64) as docs:
        assert docs.catch_up(30)
        assert docs.stats()["waiting"] < 64
        assert docs.check(deep=True).ok


def test_a_segment_that_cannot_be_saved_is_found_and_built_again_later(tmp_path, monkeypatch):
    vectors = vectors_of(400)

    def fail(*_, **__):
        raise OSError(28, "no space (made up)")

    with (
        monkeypatch.context() as patched,
        nf.Collection(tmp_path / "docs", dim=DIM, seal_rows=64) as docs,
    ):
        patched.setattr(nf.HNSW, "save", fail)
        docs.add(vectors=vectors)
        assert docs.catch_up(30)
        assert docs.stats()["segments"] == [400]
        assert "no space" in docs.stats()["catch_up_error"]
        assert docs.check(deep=True).ok
    with nf.Collection(tmp_path / "docs", seal_rows=64) as docs:
        assert docs.catch_up(30)
        assert docs.stats()["waiting"] == 0
        assert docs.stats()["catch_up_error"] is None
        assert len(index_files(tmp_path / "docs")) == 1


def test_a_deletion_rolled_back_beside_a_build_hides_nothing(tmp_path, monkeypatch):
    vectors = vectors_of(200)
    with nf.Collection(tmp_path / "docs", dim=DIM, seal_rows=1000) as docs:
        docs.add(vectors=vectors[:150])
        docs.compact()
        docs.add(vectors=vectors[150:])
        rows, catch_up = docs._open.store.rows, docs._open.catch_up
        real, asked = rows.rows, []

        def half_deleted(slots):
            asked.append(len(slots))
            found = real(slots)
            return found if len(asked) > 1 else [None, *found[1:]]

        with monkeypatch.context() as patched:
            patched.setattr(rows, "rows", half_deleted)
            catch_up.seal_everything()
            assert max(docs.stats()["segments"]) == 150  # left as it was
            assert ids_of(docs.search(vectors[0], k=1)) == [0]
        catch_up.seal_everything()
        assert docs.stats()["segments"] == [200]
        assert ids_of(docs.search(vectors[0], k=1)) == [0]
        assert docs.check(deep=True).ok


def test_reading_by_id_waits_for_a_transaction_that_is_half_done(tmp_path, monkeypatch):
    vectors = vectors_of(2)
    with nf.Collection(tmp_path / "docs", dim=DIM) as docs:
        docs.add(ids=[0], vectors=vectors[:1])
        database, seen = docs._open.store.rows.database, []
        real = database.run

        def run(sql, values=()):
            if sql == "COMMIT":
                reader = threading.Thread(target=lambda: seen.append((0 in docs, 1 in docs)))
                reader.start()
                reader.join(0.2)
                seen.append(reader.is_alive())
                monkeypatch.undo()
                raise StorageError(28, "no space (made up)", str(database.path))
            real(sql, values)

        monkeypatch.setattr("nearfield.collection.rows.ROWS_A_STATEMENT", 1)
        monkeypatch.setattr(database, "run", run)
        with pytest.raises(nf.StorageError):
            docs.upsert([0, 1], vectors=vectors)
        while len(seen) < 2:
            time.sleep(0.01)
        assert seen == [True, (True, False)]


def test_searches_do_not_wait_for_a_commit(tmp_path, monkeypatch):
    vectors = vectors_of(100)
    with nf.Collection(tmp_path / "docs", dim=DIM) as docs:
        docs.add(vectors=vectors)
        database, took = docs._open.store.rows.database, []
        real = database.run

        def run(sql, values=()):
            if sql == "COMMIT":
                started = time.monotonic()
                reader = threading.Thread(target=lambda: docs.search(vectors[:20], k=5))
                reader.start()
                reader.join(10)
                took.append(time.monotonic() - started)
            real(sql, values)

        monkeypatch.setattr("nearfield.collection.rows.ROWS_A_STATEMENT", 1)
        monkeypatch.setattr(database, "run", run)
        docs.upsert([5], vectors=vectors[:1])
        assert len(took) == 1
        assert took[0] < 5


def test_a_write_interrupted_after_its_commit_is_taken_up_by_the_next(tmp_path, monkeypatch):
    vectors = vectors_of(30)
    with nf.Collection(tmp_path / "docs", dim=DIM) as docs:
        docs.add(vectors=vectors[:10])
        store = docs._open.store
        with monkeypatch.context() as patched:

            def interrupt(*_):
                raise KeyboardInterrupt

            patched.setattr(store, "_apply", interrupt)
            with pytest.raises(KeyboardInterrupt):
                docs.upsert([3, 10], vectors=vectors[[20, 21]])
        docs.add(ids=[11], vectors=vectors[22:23])
        assert len(docs) == 12
        assert ids_of(docs.search(vectors[20], k=1)) == [3]
        assert ids_of(docs.search(vectors[21], k=1)) == [10]
        assert docs.search(vectors[3], k=1)[0].distance > 1e-3
        assert docs.check(deep=True).ok


def test_the_log_and_the_files_do_not_grow_with_rewriting(tmp_path):
    vectors = vectors_of(200)
    sizes = []
    with nf.Collection(tmp_path / "docs", dim=DIM, seal_rows=64, durability="os") as docs:
        for turn in range(60):
            docs.upsert(list(range(200)), vectors=vectors, texts=[f"{turn} " * 50] * 200)
            docs.catch_up(30)
            if turn in (19, 59):
                docs._open.store.rows.database.checkpoint()
                sizes.append(sum(path.stat().st_size for path in docs.path.iterdir()))
        assert docs.stats()["dead"] < 200
        json.dumps(docs.stats())
    assert sizes[1] < 1.5 * sizes[0]
