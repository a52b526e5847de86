"""Files that are viewed, wholly or in part; files whose fingerprint is known."""

import hashlib
import subprocess
import sys

import numpy as np
import pytest

import nearfield as nf

DIM = 32
KINDS = {
    "flat": lambda: nf.Flat(DIM),
    "flat-int8": lambda: nf.Flat(DIM, dtype="int8"),
    "hnsw": lambda: nf.HNSW(DIM),
    "hnsw-rows": lambda: nf.HNSW(DIM, bits=16),
    "ivfpq": lambda: nf.IVFPQ(DIM, nlist=8),
}


def saved(rng, path, kind="hnsw", n=600, names=False):
    index = KINDS[kind]()
    rows = rng.standard_normal((n, DIM), dtype=np.float32)
    if hasattr(index, "train"):
        index.train(rows)
    index.add(rows, ids=[f"id {i}" for i in range(n)] if names else None)
    index.save(path)
    return index, rows


@pytest.mark.parametrize("names", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_a_file_answers_the_same_however_it_is_mapped(rng, tmp_path, kind, names):
    index, rows = saved(rng, tmp_path / "a.nf", kind, names=names)
    expected = index.search(rows[:20], k=5)
    for mmap in (True, "rows"):
        for verify in (None, "full", "lazy"):
            loaded = nf.load(tmp_path / "a.nf", mmap=mmap, verify=verify)
            found = loaded.search(rows[:20], k=5)
            assert found.ids.tolist() == expected.ids.tolist()
            np.testing.assert_array_equal(found.distances, expected.distances)
            with pytest.raises(nf.ReadOnlyIndex, match="load it with mmap=False"):
                loaded.remove(loaded.ids[:1])
            loaded.validate()


def test_mapping_rows_alone_copies_the_rest_and_counts_it(rng, tmp_path):
    saved(rng, tmp_path / "a.nf", "hnsw", n=3000)
    nf.load(tmp_path / "a.nf", mmap=True, max_memory=100_000)
    with pytest.raises(nf.ResourceLimit):
        nf.load(tmp_path / "a.nf", mmap="rows", max_memory=100_000)
    size = (tmp_path / "a.nf").stat().st_size
    nf.load(tmp_path / "a.nf", mmap="rows", max_memory=size - 3000 * DIM * 2 + 50_000)


def test_damaged_links_are_told_when_only_rows_are_mapped(rng, tmp_path):
    saved(rng, tmp_path / "a.nf", "hnsw", n=3000)
    links = next(s for s in nf.persistence.file_info(tmp_path / "a.nf").sections
                 if s.name == "graph.links")  # fmt: skip
    data = bytearray((tmp_path / "a.nf").read_bytes())
    data[links.offset + 4] ^= 1
    (tmp_path / "a.nf").write_bytes(data)
    with pytest.raises(nf.CorruptIndex, match=r"graph\.links"):
        nf.load(tmp_path / "a.nf", mmap="rows")


@pytest.mark.parametrize("mmap", ["all", 2, None])
def test_an_unknown_way_of_mapping_is_refused(tmp_path, mmap):
    with pytest.raises(ValueError, match="mmap must be True, False or 'rows', got"):
        nf.load(tmp_path / "a.nf", mmap=mmap)


def test_a_file_of_another_fingerprint_is_refused(rng, tmp_path):
    path = tmp_path / "a.nf"
    saved(rng, path)
    good = hashlib.sha256(path.read_bytes()).hexdigest()
    for mmap in (False, True, "rows"):
        assert len(nf.load(path, mmap=mmap, expected_sha256=good.upper())) == 600
    bad = "0" * 64
    with pytest.raises(nf.CorruptIndex, match=f"must have the SHA-256 {bad}, got {good}"):
        nf.load(path, expected_sha256=bad)
    with pytest.raises(ValueError, match="expected_sha256 must be 64 hexadecimal digits, got 'ab'"):
        nf.load(path, expected_sha256="ab")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc/self/smaps")
def test_processes_that_map_a_file_share_its_pages(rng, tmp_path):
    path = tmp_path / "a.nf"
    saved(rng, path, "flat", n=20_000)
    code = (
        "import sys, numpy as np, nearfield as nf\n"
        "index = nf.load(sys.argv[1], mmap=True)\n"
        "index.search(np.ones(32, 'f4'))\n"
        "print('ready', flush=True); sys.stdin.readline()\n"
        "found, own = {}, False\n"
        "for line in open('/proc/self/smaps'):\n"
        "    words = line.split()\n"
        "    if '-' in words[0]: own = sys.argv[1] in line\n"
        "    elif own and words[1].isdigit():\n"
        "        found[words[0]] = found.get(words[0], 0) + int(words[1])\n"
        "shared = found['Shared_Clean:'] + found['Shared_Dirty:']\n"
        "print(found['Rss:'], shared, found['Anonymous:'], flush=True)\n"
        "sys.stdin.readline()\n"
    )
    both = [
        subprocess.Popen([sys.executable, "-c", code, str(path)], stdin=subprocess.PIPE,
                         stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]  # fmt: skip
    for process in both:
        assert process.stdout.readline() == "ready\n"
    for process in both:
        process.stdin.write("\n")
        process.stdin.flush()
        held, shared, own = map(int, process.stdout.readline().split())
        assert held > 2000  # KiB: most of a file of 2.6 MB was read
        assert shared >= 0.99 * held
        assert own == 0
    for process in both:
        process.communicate("\n", timeout=30)
