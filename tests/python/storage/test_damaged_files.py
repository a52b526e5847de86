"""What is no index, or no longer one, and disks that fail: refused by name."""

import errno
import gzip
import os
import subprocess
import sys
import threading

import numpy as np
import planted
import pytest

import nearfield as nf

DIM = 8


@pytest.fixture
def saved(rng, tmp_path):
    index = nf.HNSW(DIM, "l2", M=4)
    index.add(rng.standard_normal((300, DIM), dtype=np.float32), ids=[f"d{i}" for i in range(300)])
    index.save(tmp_path / "a.nf")
    return tmp_path / "a.nf"


OTHER_FILES = {
    "empty": b"", "one byte": b"x", "zeros": bytes(10_000), "text": b"hello world\n" * 1000,
    "gzip": gzip.compress(os.urandom(9000)), "npy": b"\x93NUMPY\x01\0" + bytes(9000),
    "mark alone": b"\x89NFI\r\n\x1a\n", "mark and zeros": b"\x89NFI\r\n\x1a\n" + bytes(9000),
    "mark as a text file": b"\x89NFI\n\x1a\n" + bytes(9000),
}  # fmt: skip


@pytest.mark.parametrize("what", OTHER_FILES)
def test_a_file_that_is_no_index_is_refused(what, tmp_path):
    (tmp_path / "a.nf").write_bytes(OTHER_FILES[what])
    for read in (nf.load, nf.verify, lambda path: nf.load(path, mmap=True)):
        with pytest.raises(nf.CorruptIndex, match="a.nf: ") as caught:
            read(tmp_path / "a.nf")
        assert caught.value.path == str(tmp_path / "a.nf")
        assert caught.value.section == "header"
        assert isinstance(caught.value, ValueError)


def test_what_is_no_file_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(FileNotFoundError) as missing:
        nf.load(tmp_path / "none.nf")
    assert missing.value.filename == str(tmp_path / "none.nf")
    with pytest.raises(IsADirectoryError):
        nf.load(tmp_path)
    for path in (tmp_path / "fifo", "/dev/zero", "/dev/null"):
        with pytest.raises(nf.StorageError, match="not a regular file") as caught:
            nf.load(path)
        assert caught.value.errno == errno.EINVAL
        assert caught.value.filename == str(path)
        assert caught.value.operation == "read"
    with pytest.raises(OSError, match="symbolic links"):
        nf.load(tmp_path / "loop")
    for path in ("", "a\0b"):
        with pytest.raises(ValueError, match="path must name a file, got"):
            nf.load(path)


def test_save_names_a_missing_folder_and_a_folder_in_the_way(saved, tmp_path):
    index = nf.load(saved)
    with pytest.raises(FileNotFoundError):
        index.save(tmp_path / "none" / "a.nf")
    (tmp_path / "folder").mkdir()
    with pytest.raises(IsADirectoryError):
        index.save(tmp_path / "folder")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.nf", "folder"]


def test_save_leaves_what_is_no_file_as_it_is(saved, tmp_path):
    index = nf.load(saved)
    fifo, link = tmp_path / "fifo", tmp_path / "link"
    os.mkfifo(fifo)
    link.symlink_to(fifo)
    for path in (fifo, link):
        with pytest.raises(nf.StorageError, match="not a regular file") as caught:
            index.save(path)
        assert caught.value.filename == str(path)
        assert caught.value.operation == "create"
    assert fifo.is_fifo()
    assert link.is_symlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.nf", "fifo", "link"]


def test_wrong_options_are_refused(saved):
    with pytest.raises(ValueError, match="verify must be 'full', 'lazy' or None, got 'no'"):
        nf.load(saved, verify="no")
    with pytest.raises(ValueError, match="max_memory must be at least 0, got -1"):
        nf.load(saved, max_memory=-1)
    with pytest.raises(nf.ResourceLimit, match="max_memory must be at least") as caught:
        nf.load(saved, max_memory=10_000)
    assert caught.value.limit == 10_000 < caught.value.needed
    assert isinstance(caught.value, MemoryError)
    assert len(nf.load(saved, max_memory=saved.stat().st_size)) == 300


def test_verify_finds_a_fault_planted_in_any_section(saved):
    info = nf.verify(saved)
    assert (info.kind, info.fields["vectors"], info.fields["M"]) == ("hnsw", 300, 4)
    good = saved.read_bytes()
    for section in [section for section in info.sections if section.bytes]:
        for at in {section.offset, section.offset + section.bytes // 2,
                   section.offset + section.bytes - 1}:  # fmt: skip
            bad = bytearray(good)
            bad[at] ^= 0x10
            saved.write_bytes(bad)
            with pytest.raises(nf.CorruptIndex) as caught:
                nf.verify(saved)
            assert caught.value.section in (section.name, "checksums")
            assert caught.value.offset <= at
    for at in [*range(0, 4096, 37), *range(len(good) - 400, len(good), 3)]:
        bad = bytearray(good)
        bad[at] ^= 0x01
        saved.write_bytes(bad)
        with pytest.raises((nf.CorruptIndex, nf.IncompatibleVersion)):
            nf.verify(saved)


def test_verify_counts_all_damaged_sections(saved):
    info = nf.verify(saved)
    bad = bytearray(saved.read_bytes())
    places = {s.name: s.offset for s in info.sections}
    for name in ("graph.links", "graph.codes"):
        bad[places[name]] ^= 0xFF
    saved.write_bytes(bad)
    with pytest.raises(nf.CorruptIndex, match="graph.links.*|graph.codes.*") as caught:
        nf.verify(saved)
    assert "graph.links" in str(caught.value)
    assert "graph.codes" in str(caught.value)


def test_a_later_version_is_refused_by_name(saved):
    data = bytearray(saved.read_bytes())
    data[8] = 7
    data[4088:4096] = nf._core.xxh3(bytes(data[:4088])).to_bytes(8, "little")
    saved.write_bytes(data)
    with pytest.raises(nf.IncompatibleVersion, match="file has format 7.0") as caught:
        nf.load(saved)
    assert (caught.value.found, caught.value.path) == ("7.0", str(saved))
    assert caught.value.writer.startswith("nearfield ")
    assert caught.value.supported


def test_searches_go_on_while_the_file_is_replaced(saved, rng):
    mapped = nf.load(saved, mmap=True)
    queries = rng.standard_normal((20, DIM), dtype=np.float32)
    expected = mapped.search(queries).ids
    stop = threading.Event()
    wrong = []

    def search():
        while not stop.is_set():
            if (mapped.search(queries).ids != expected).any():
                wrong.append(1)

    thread = threading.Thread(target=search)
    thread.start()
    other = nf.Flat(DIM)
    other.add(queries)
    for _ in range(20):
        other.save(saved)
    stop.set()
    thread.join()
    assert not wrong
    assert type(nf.load(saved)) is nf.Flat


def test_a_mapped_file_that_is_written_to_gives_answers_or_refusals_and_no_crash(saved):
    code = f"""
import numpy as np, nearfield as nf, os
path = {str(saved)!r}
mapped = nf.load(path, mmap=True)
rng = np.random.default_rng(0)
size = os.path.getsize(path)
queries = rng.standard_normal((4, {DIM}), dtype=np.float32)
with open(path, "r+b") as file:
    for _ in range(300):
        file.seek(int(rng.integers(4096, size - 4096)))
        file.write(rng.integers(0, 256, 64, dtype=np.uint8).tobytes())
        file.flush()
        try:
            mapped.search(queries)
            mapped.search(queries[0], k=300)
            mapped.range_search(queries[0], 1.0)
            mapped.get("d7")
        except nf.CorruptIndex:
            pass
print("alive")
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.stdout == "alive\n", ran.stderr


def test_names_that_do_not_fit_are_refused(saved):
    offsets = planted.read(saved, "names.offsets")
    offsets[8:16] = (1 << 40).to_bytes(8, "little")
    planted.plant(saved, "names.offsets", offsets)
    for mmap in (False, True):
        with pytest.raises(nf.CorruptIndex, match="names.offsets") as caught:
            nf.load(saved, mmap=mmap).search(np.ones(DIM, np.float32), k=300)
        assert caught.value.section == "names.offsets"


@pytest.fixture
def small_disk(tmp_path):
    """A tmpfs of 2 MB; only root may make one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)],
        capture_output=True, check=False,
    )  # fmt: skip
    if made.returncode != 0:
        pytest.skip("a small disk cannot be mounted here")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_refuses_the_new_file_and_keeps_the_old(small_disk, rng):
    small = nf.Flat(64)
    small.add(rng.standard_normal((1000, 64), dtype=np.float32))
    small.save(small_disk / "a.nf")
    before = (small_disk / "a.nf").read_bytes()
    large = nf.Flat(64)
    large.add(rng.standard_normal((9000, 64), dtype=np.float32))
    with pytest.raises(nf.StorageError) as caught:
        large.save(small_disk / "a.nf")
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.operation in ("allocate", "write")
    assert [path.name for path in small_disk.iterdir()] == ["a.nf"]
    assert (small_disk / "a.nf").read_bytes() == before
    assert len(nf.load(small_disk / "a.nf")) == 1000
