"""What may go wrong around a collection is told by an error of its own, with its fields filled."""

import errno
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing

import pytest
from collection_tools import DIM, ids_of, vectors_of

import nearfield as nf
from nearfield.errors import StorageError


@pytest.fixture
def folder(tmp_path):
    """A closed collection of 50 rows."""
    with nf.Collection(tmp_path / "docs", dim=DIM) as docs:
        docs.add(vectors=vectors_of(50), texts=[f"text {i}" for i in range(50)],
                 metadata=[{"i": i} for i in range(50)])  # fmt: skip
    return tmp_path / "docs"


def tamper(folder, *statements):
    with closing(sqlite3.connect(folder / "rows.db")) as database:
        for statement in statements:
            database.execute(statement)
        database.commit()


def run_python(code, *arguments):
    return subprocess.Popen(
        [sys.executable, "-c", code, *map(str, arguments)], stdout=subprocess.PIPE, text=True
    )


# One process at a time


def test_a_lock_held_elsewhere_is_refused_at_once_and_names_the_process(folder):
    holder = run_python(
        "import nearfield as nf, sys, time; docs = nf.Collection(sys.argv[1]);"
        "print('open', flush=True); time.sleep(60)",
        folder,
    )
    try:
        assert holder.stdout.readline() == "open\n"
        started = time.monotonic()
        with pytest.raises(nf.LockedError, match=f"held by process {holder.pid} on") as caught:
            nf.Collection(folder)
        assert time.monotonic() - started < 1
        assert caught.value.pid == holder.pid
        assert caught.value.path == folder
        assert caught.value.host
        assert caught.value.since.startswith("20")
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        holder.stdout.close()
    with nf.Collection(folder) as docs:  # the system let go of it
        assert len(docs) == 50


def test_a_second_object_in_the_same_process_is_refused(folder):
    with nf.Collection(folder) as docs:
        with pytest.raises(nf.LockedError, match=f"process {os.getpid()}"):
            nf.Collection(folder)
        assert len(docs) == 50


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_is_refused_and_leaves_the_parent_whole(folder):
    code = """
import os, sys, nearfield as nf, numpy as np
docs = nf.Collection(sys.argv[1])
docs.add(ids=[100], vectors=np.ones((1, 16)))
child = os.fork()
if child == 0:
    for call in (lambda: len(docs), lambda: docs.search(np.ones(16)), lambda: docs.delete([1])):
        try:
            call()
        except nf.ForkError as error:
            assert (error.owner, error.child) == (os.getppid(), os.getpid())
            assert str(error.path) == sys.argv[1]
        else:
            os._exit(3)
    docs.close()
    sys.exit(0)  # with the interpreter's whole end, which must not tidy the parent's log away
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
docs.add(ids=[101], vectors=np.ones((1, 16)))
os.kill(os.getpid(), 9)
"""
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, folder], capture_output=True, text=True,
        timeout=60, check=False,
    )  # fmt: skip
    assert ran.returncode == -9, ran.stderr
    with nf.Collection(folder) as docs:
        assert 100 in docs
        assert 101 in docs
        assert docs.check(deep=True).ok


# The disk


def fail_next_commit(docs, monkeypatch, number):
    database = docs._open.store.rows.database
    real = database.run

    def run(sql, values=()):
        if sql == "COMMIT" or sql.startswith("INSERT INTO change"):  # which commits itself
            raise StorageError(number, "disk I/O error (made up)", str(database.path))
        real(sql, values)

    monkeypatch.setattr(database, "run", run)


def test_after_an_io_error_a_handle_takes_no_writes_but_still_answers(folder, monkeypatch):
    with nf.Collection(folder) as docs:
        with monkeypatch.context() as patched:
            fail_next_commit(docs, patched, errno.EIO)
            with pytest.raises(nf.StorageError, match="disk I/O error") as caught:
                docs.add(ids=[60], vectors=vectors_of(1))
        assert caught.value.errno == errno.EIO
        assert caught.value.filename == str(folder / "rows.db")
        assert caught.value.last_seq == 50
        for write in (
            lambda: docs.add(ids=[61], vectors=vectors_of(1)),
            lambda: docs.delete([1]),
            docs.snapshot,
            docs.compact,
        ):
            with pytest.raises(nf.PoisonedError, match="must be opened again") as poisoned:
                write()
        assert poisoned.value.path == folder
        assert poisoned.value.last_seq == 50
        assert poisoned.value.cause is caught.value
        assert ids_of(docs.search(vectors_of(1)[0], k=1)) == [0]
        assert len(docs) == 50
    with nf.Collection(folder) as docs:
        assert 60 not in docs
        docs.add(ids=[61], vectors=vectors_of(1))


def test_a_full_disk_refuses_one_batch_and_takes_the_next(folder, monkeypatch):
    with nf.Collection(folder) as docs:
        with monkeypatch.context() as patched:
            fail_next_commit(docs, patched, errno.ENOSPC)
            with pytest.raises(nf.StorageError) as caught:
                docs.add(ids=[60], vectors=vectors_of(1))
        assert caught.value.errno == errno.ENOSPC
        assert 60 not in docs
        docs.add(ids=[60], vectors=vectors_of(1))
        assert docs.check(deep=True).ok


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 2 MB."""
    place = tmp_path / "small"
    place.mkdir()
    if sys.platform != "linux" or os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("mounting needs root")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "none", place], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"mount: {mounted.stderr.decode()}")
    yield place
    subprocess.run(["umount", place], check=True)


def test_a_disk_that_fills_up_loses_nothing(small_disk):
    vectors = vectors_of(20)
    added, refused = [], 0
    with nf.Collection(small_disk / "docs", dim=DIM) as docs:
        for batch in range(100):
            ids = list(range(20 * batch, 20 * batch + 20))
            try:
                docs.add(ids=ids, vectors=vectors, texts=["x" * 2000] * 20)
                added += ids
            except nf.StorageError as error:
                assert error.errno == errno.ENOSPC, error
                refused += 1
        assert refused > 0
        assert len(added) >= 200
        assert len(docs) == len(added)
        with pytest.raises(nf.StorageError):
            for _ in range(3):
                docs.snapshot()
        assert not list((small_disk / "docs").glob("*.tmp-*"))
        assert len(docs.search(vectors[0], k=5)) == 5
    with nf.Collection(small_disk / "docs") as docs:
        assert [item.id for item in docs] == added
        assert docs.check(deep=True).ok


def test_read_only_media_are_told_and_read(small_disk):
    with nf.Collection(small_disk / "docs", dim=DIM) as docs:
        docs.add(vectors=vectors_of(20))
        docs.snapshot()
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with pytest.raises(nf.StorageError) as caught:
        nf.Collection(small_disk / "docs")
    assert caught.value.errno == errno.EROFS
    with nf.Collection(small_disk / "docs", read_only=True) as docs:
        assert ids_of(docs.search(vectors_of(20)[3], k=1)) == [3]


# Files that are not what they should be


def test_a_path_that_is_no_folder_or_not_ours_is_refused(tmp_path):
    (tmp_path / "file").write_text("text")
    with pytest.raises(ValueError, match="path must be a folder, got the file"):
        nf.Collection(tmp_path / "file", dim=DIM)
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(ValueError, match="path must be a folder, got the file"):
        nf.Collection(tmp_path / "fifo", dim=DIM)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_bytes(b"")
    with pytest.raises(ValueError, match="path must be a collection or an empty folder.*cat.jpg"):
        nf.Collection(tmp_path / "photos", dim=DIM)
    assert [path.name for path in (tmp_path / "photos").iterdir()] == ["cat.jpg"]


@pytest.mark.parametrize("name", ["rows.db", "rows.db-wal", "LOCK"])
@pytest.mark.parametrize("kind", ["folder", "fifo", "link"])
def test_what_is_no_plain_file_is_refused_in_the_place_of_one(name, kind, folder):
    path = folder / name
    path.unlink(missing_ok=True)
    if kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    with pytest.raises((nf.CorruptCollection, nf.StorageError)) as caught:
        nf.Collection(folder)
    assert str(path) in str(caught.value)


PLANTED = [
    "CREATE TRIGGER t AFTER DELETE ON item BEGIN DELETE FROM content; END",
    "CREATE VIEW v AS SELECT * FROM item",
    "CREATE TABLE extra(x)",
    "CREATE INDEX planted ON item(h)",
]


@pytest.mark.parametrize("statement", PLANTED, ids=[words.split()[1] for words in PLANTED])
def test_anything_planted_in_the_schema_is_refused(statement, folder):
    tamper(folder, statement)
    with pytest.raises(nf.CorruptCollection, match="holds what we never made") as caught:
        nf.Collection(folder)
    assert caught.value.path == str(folder / "rows.db")
    assert statement[:30] in caught.value.reason


@pytest.mark.parametrize(
    "whole,damaged",
    [(b"viewchangechange", b"viewchan\xe7echange"), (b"TABLE state(", b"TABL\xc5 state(")],
    ids=["a name", "a word"],
)  # fmt: skip
def test_a_schema_that_is_no_text_any_more_is_told_as_damage(whole, damaged, folder):
    """SQLite quotes it in its message, which Python cannot read then."""
    path = folder / "rows.db"
    content = path.read_bytes()
    assert content.count(whole) == 1
    path.write_bytes(content.replace(whole, damaged))
    with pytest.raises(nf.CorruptCollection, match=r"rows\.db is damaged: .*decode") as caught:
        nf.Collection(folder)
    assert caught.value.path == str(path)


@pytest.mark.parametrize(
    "statements,message",
    [
        (["PRAGMA application_id=7"], "has the application id 0x7"),
        (["PRAGMA user_version=99"], r"has format 99, this version reads 2"),
        (["DROP TABLE segment"], "lacks 'CREATE TABLE segment"),
        (["DELETE FROM item WHERE id = 3"], "must hold 50 rows of set hash .* got 49"),
        (["UPDATE item SET h = h + 1 WHERE id = 3"], "must hold 50 rows of set hash"),
        (["UPDATE state SET n = 'many'"], "has a state of"),
        (["DELETE FROM state"], "must hold 0 rows"),
        (["UPDATE config SET value = '{' WHERE name = 'dim'"], "has a broken config"),
        (["UPDATE content SET vec = x'00' WHERE slot = 3"], "holds a damaged row in slot 3, id 2"),
        (["UPDATE content SET text = 'other' WHERE slot = 3"], "holds a damaged row in slot 3"),
    ],
)  # fmt: skip
def test_tampering_that_can_be_told_at_opening_is_refused(statements, message, folder):
    tamper(folder, *statements)
    with pytest.raises(nf.CorruptCollection, match=message):
        nf.Collection(folder)
    with pytest.raises(nf.CorruptCollection, match=message):  # and its lock was let go
        nf.Collection(folder)


@pytest.mark.parametrize("name", ["text", "zeros", "empty", "cut", "gzip"])
def test_foreign_and_damaged_databases_are_refused(name, folder):
    path = folder / "rows.db"
    whole = path.read_bytes()
    content = {
        "text": b"hello world " * 900, "zeros": bytes(65536), "empty": b"",
        "cut": whole[: len(whole) // 2 // 512 * 512], "gzip": b"\x1f\x8b" + bytes(4094),
    }[name]  # fmt: skip
    path.write_bytes(content)
    if name == "empty":  # what an interrupted making leaves
        with pytest.raises(ValueError, match="dim or an encoder must be given"):
            nf.Collection(folder)
    else:
        with pytest.raises(nf.CorruptCollection) as caught:
            nf.Collection(folder)
        assert caught.value.path == str(path)


def test_a_row_changed_on_the_disk_is_told_when_read_and_by_a_deep_check(folder):
    with nf.Collection(folder) as docs:
        docs.compact()  # or opening would read it
    tamper(folder, "UPDATE content SET text = 'other' WHERE slot = 8")
    with nf.Collection(folder) as docs:
        for read in (
            lambda: docs.get(7),
            lambda: docs.search(vectors_of(50)[7], k=1),
            lambda: list(docs),
        ):
            with pytest.raises(nf.CorruptCollection, match="a damaged row in slot 8, id 7"):
                read()
        assert docs.get(8).text == "text 8"
        assert docs.check().ok
        check = docs.check(deep=True)
        assert not check.ok
        assert any("slot 8" in finding for finding in check.findings)


def test_salvage_saves_what_is_whole(folder, tmp_path):
    tamper(folder, "UPDATE content SET text = 'other' WHERE slot = 8")
    saved = nf.Collection.salvage(folder, tmp_path / "saved")
    assert saved == (49, 0, 1)
    with nf.Collection(tmp_path / "saved") as docs:
        assert len(docs) == 49
        assert 7 not in docs
        assert docs.get(9).text == "text 9"
        assert docs.get(9).metadata == {"i": 9}
        assert docs.check(deep=True).ok


def test_salvage_refuses_a_folder_with_something_in_it_and_one_without_a_collection(
    folder, tmp_path
):
    other = tmp_path / "other"
    with nf.Collection(other, dim=16) as docs:
        docs.add(ids=[1], vectors=vectors_of(1))
    with pytest.raises(ValueError, match="into must be an empty folder or none yet, got .*other"):
        nf.Collection.salvage(folder, other)
    with nf.Collection(other) as docs:
        assert len(docs) == 1
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "empty", tmp_path / "missing"):
        with pytest.raises(nf.StorageError, match="no collection to salvage"):
            nf.Collection.salvage(path, tmp_path / "saved")
    assert not list((tmp_path / "empty").iterdir())


def test_rows_gone_back_in_time_are_detected_and_salvaged_from_the_snapshot(folder, tmp_path):
    old = tmp_path / "old.db"
    shutil.copy(folder / "rows.db", old)
    vectors = vectors_of(60)
    with nf.Collection(folder) as docs:
        docs.add(ids=list(range(50, 60)), vectors=vectors[50:], texts=["new"] * 10)
        docs.delete([0])
        docs.snapshot()
    shutil.copy(old, folder / "rows.db")
    with pytest.raises(nf.DataLossDetected, match="must hold every change up to 61") as caught:
        nf.Collection(folder)
    assert (caught.value.first_lost, caught.value.last_lost) == (51, 61)
    assert caught.value.path == folder
    saved = nf.Collection.salvage(folder, tmp_path / "saved")
    assert saved == (50, 10, 0)
    with nf.Collection(tmp_path / "saved") as docs:
        assert docs.get(55).text == "new"
        assert ids_of(docs.search(vectors[55], k=1)) == [55]


def test_rows_that_vanished_whole_are_detected_before_new_ones_are_made(folder):
    with nf.Collection(folder) as docs:
        docs.snapshot()
    (folder / "rows.db").unlink()
    with pytest.raises(nf.DataLossDetected) as caught:
        nf.Collection(folder, dim=DIM)
    assert (caught.value.first_lost, caught.value.last_lost) == (1, 50)
    assert not (folder / "rows.db").exists()


# Reading in other processes


def test_read_only_sees_the_last_snapshot_while_a_writer_goes_on(folder):
    vectors = vectors_of(60)
    with pytest.raises(FileNotFoundError, match="read_only needs a snapshot"):
        nf.Collection(folder, read_only=True)
    with nf.Collection(folder, seal_rows=64) as docs:
        docs.compact()
        docs.add(ids=[50], vectors=vectors[50:51], texts=["tail"])
        docs.delete([1])
        docs.snapshot()
        docs.add(ids=[51], vectors=vectors[51:52])
        reader = run_python(
            "import nearfield as nf, sys, numpy as np\n"
            "with nf.Collection(sys.argv[1], read_only=True) as docs:\n"
            "    v = np.random.default_rng(0).standard_normal((60, 16), dtype=np.float32)\n"
            "    hits = [docs.search(v[i], k=1)[0] for i in (3, 50, 51)]\n"
            "    n = docs.count({'i': {'<': 5}})\n"
            "    print(len(docs), [h.id for h in hits], hits[1].text, n)\n"
            "    print(docs.check(deep=True).ok)\n",
            folder,
        )
        out, _ = reader.communicate(timeout=60)
        first, second = out.splitlines()
        assert first.startswith("50 [3, 50, ")
        assert "51" not in first
        assert first.endswith(" tail 4")
        assert second == "True"
        with nf.Collection(folder, read_only=True) as view:
            for write in (lambda: view.add(vectors=vectors[:1]), view.snapshot, view.compact):
                with pytest.raises(nf.StorageError, match="open read-only") as caught:
                    write()
                assert caught.value.errno == errno.EROFS
        docs.snapshot()
        docs.snapshot()
        assert len(list(folder.glob("view-*.db"))) == 2
    with nf.Collection(folder, read_only=True) as view:
        assert 51 in view
