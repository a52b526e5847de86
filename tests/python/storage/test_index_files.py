"""Saving and loading: every kind, parameter and id type comes back, byte for byte."""

import copy
import pickle

import numpy as np
import pytest

import nearfield as nf
from nearfield import _core

DIM = 24
KINDS = {
    "flat": lambda metric: nf.Flat(DIM, metric),
    "flat-int8": lambda metric: nf.Flat(DIM, metric, "int8"),
    "flat-bfloat16": lambda metric: nf.Flat(DIM, metric, "bfloat16"),
    "flat-prefilter": lambda metric: nf.Flat(DIM, metric, prefilter=True),
    "hnsw": lambda metric: nf.HNSW(DIM, metric, seed=7),
    "hnsw-1-bit": lambda metric: nf.HNSW(DIM, metric, M=8, bits=1, rerank="int8"),
    "hnsw-2-bit": lambda metric: nf.HNSW(DIM, metric, bits=2, rerank="float32", ef_search=99),
    "hnsw-8-bit": lambda metric: nf.HNSW(DIM, metric, bits=8, rerank="bfloat16"),
}
ID_TYPES = {
    "numbered": lambda n: None,
    "sparse": lambda n: (np.arange(n, dtype=np.int64) * 2654435761) % (2**62) - 2**61,
    "text": lambda n: [f"문서 {i}" if i % 3 else f"doc-{i}" for i in range(n)],
}


def filled(rng, kind, metric="l2", n=300, ids="numbered"):
    index = KINDS[kind](metric)
    index.add(rng.standard_normal((n, DIM), dtype=np.float32), ids=ID_TYPES[ids](n))
    return index


def assert_same(a, b, queries):
    hits, again = a.search(queries, k=7), b.search(queries, k=7)
    np.testing.assert_array_equal(hits.ids, again.ids)
    np.testing.assert_array_equal(hits.distances, again.distances)
    assert type(a) is type(b)
    facts, same = a.stats(), b.stats()
    for of in (facts, same):  # tables of ids keep room for more
        of["bytes"] = {part: n for part, n in of["bytes"].items() if part not in ("ids", "total")}
    assert facts == same
    assert a._params == b._params
    assert a.ids.tolist() == b.ids.tolist()


@pytest.mark.parametrize("ids", ID_TYPES)
@pytest.mark.parametrize("metric", ["l2", "dot", "cosine"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_index_comes_back_byte_for_byte(rng, tmp_path, kind, metric, ids):
    index = filled(rng, kind, metric, ids=ids)
    queries = rng.standard_normal((5, DIM), dtype=np.float32)
    for step in ("whole", "with holes", "compacted"):
        if step == "with holes":
            index.remove(index.ids[20:60])
        if step == "compacted":
            index.compact()
        index.save(tmp_path / "a.nf")
        first = (tmp_path / "a.nf").read_bytes()
        for options in ({}, {"mmap": True}, {"mmap": True, "verify": "full"}, {"verify": "lazy"}):
            loaded = nf.load(tmp_path / "a.nf", **options)
            assert_same(index, loaded, queries)
            loaded.validate()
            loaded.save(tmp_path / "b.nf")
            assert (tmp_path / "b.nf").read_bytes() == first, (step, options)
        assert nf.verify(tmp_path / "a.nf").file_bytes == len(first)


@pytest.mark.parametrize("n", [0, 1, 255, 256])
@pytest.mark.parametrize("kind", KINDS)
def test_small_and_empty_indexes_come_back(rng, tmp_path, kind, n):
    index = filled(rng, kind, n=n)
    index.save(tmp_path / "a.nf")
    for mmap in (False, True):
        loaded = nf.load(tmp_path / "a.nf", mmap=mmap)
        assert len(loaded) == n
        assert_same(index, loaded, rng.standard_normal((2, DIM), dtype=np.float32))


@pytest.mark.parametrize("ids", ID_TYPES)
@pytest.mark.parametrize("kind", ["flat", "hnsw"])
def test_an_index_goes_on_as_if_it_had_never_been_saved(rng, tmp_path, kind, ids):
    index = filled(rng, kind, ids=ids)
    index.remove(index.ids[10:40])
    index.save(tmp_path / "a.nf")
    loaded = nf.load(tmp_path / "a.nf")
    more = rng.standard_normal((50, DIM), dtype=np.float32)
    names = [f"new {i}" for i in range(50)] if ids == "text" else None
    for one in (index, loaded):
        one.add(more, ids=names)
        one.update(one.ids[:5], more[:5])
        one.remove(one.ids[20:25])
        one.save(tmp_path / f"{one is index}.nf")
    assert_same(index, loaded, more)
    assert (tmp_path / "True.nf").read_bytes() == (tmp_path / "False.nf").read_bytes()


@pytest.mark.parametrize("kind", ["flat", "hnsw"])
def test_pickle_and_copy_go_through_the_same_bytes(rng, kind):
    index = filled(rng, kind, ids="text")
    queries = rng.standard_normal((5, DIM), dtype=np.float32)
    function, (data,) = index.__reduce__()
    assert function.__module__ == "nearfield.persistence"
    assert data.startswith(b"\x89NFI")
    for again in (pickle.loads(pickle.dumps(index)), copy.copy(index), copy.deepcopy(index)):
        assert_same(index, again, queries)
        again.remove(again.ids[:3])
    assert len(index) == 300


def test_damaged_pickled_bytes_are_refused(rng):
    function, (data,) = filled(rng, "hnsw").__reduce__()
    for cut in (b"", data[:100], data[:-1], data + b"\0"):
        with pytest.raises(nf.CorruptIndex):
            function(cut)


@pytest.mark.parametrize(
    "name", ["a.nf", "색인 파일.nf", "ünïcødé-🙂", "with space", "-dash", "x" * 200]
)
def test_any_file_name_will_do(rng, tmp_path, name):
    filled(rng, "flat", n=3).save(tmp_path / name)
    assert len(nf.load(str(tmp_path / name), mmap=True)) == 3
    assert [found.name for found in tmp_path.iterdir()] == [name]


def test_save_writes_through_a_link_and_keeps_it(rng, tmp_path):
    index = filled(rng, "flat", n=3)
    (tmp_path / "real").mkdir()
    (tmp_path / "link.nf").symlink_to(tmp_path / "real" / "a.nf")
    index.save(tmp_path / "link.nf")
    assert (tmp_path / "link.nf").is_symlink()
    assert len(nf.load(tmp_path / "link.nf")) == 3
    assert [found.name for found in (tmp_path / "real").iterdir()] == ["a.nf"]


@pytest.mark.parametrize("kind", ["flat", "hnsw"])
def test_a_mapped_index_refuses_every_change(rng, tmp_path, kind):
    index = filled(rng, kind)
    index.save(tmp_path / "a.nf")
    before = (tmp_path / "a.nf").read_bytes()
    mapped = nf.load(tmp_path / "a.nf", mmap=True)
    row = np.ones((1, DIM), np.float32)
    for name, arguments in (
        ("add", (row,)), ("update", ([3], row)), ("remove", ([3],)), ("compact", ()),
    ):  # fmt: skip
        with pytest.raises(nf.ReadOnlyIndex, match="mmap=False"):
            getattr(mapped, name)(*arguments)
    assert_same(index, mapped, row)
    assert (tmp_path / "a.nf").read_bytes() == before


def test_saving_over_a_mapped_file_leaves_the_mapping_as_it_was(rng, tmp_path):
    index = filled(rng, "hnsw")
    index.save(tmp_path / "a.nf")
    mapped = nf.load(tmp_path / "a.nf", mmap=True)
    queries = rng.standard_normal((5, DIM), dtype=np.float32)
    before = mapped.search(queries)
    filled(rng, "flat", n=10).save(tmp_path / "a.nf")
    np.testing.assert_array_equal(mapped.search(queries).ids, before.ids)
    assert len(nf.load(tmp_path / "a.nf")) == 10


def test_what_build_chose_is_kept(rng, tmp_path):
    index = filled(rng, "flat")
    index.choice = "flat, because 선택"
    index.save(tmp_path / "a.nf")
    assert nf.load(tmp_path / "a.nf").choice == index.choice


def test_xxh3_agrees_with_the_reference():
    # Values of the xxhash package 4.1 for bytes i * 7 + 3 mod 256, at every branch by length.
    reference = {
        0: 0x2D06800538D394C2, 1: 0x13E608BC156DEFED, 3: 0xA9088DDA485B481C,
        4: 0x6D9253B16C8B1ED3, 8: 0x60539DB630471163, 9: 0xFEFF668361D723A8,
        16: 0xB8C859B0F030B585, 17: 0x714A04408E79B80F, 32: 0x19FF4EE1D6BA1A55,
        128: 0x67425A03650261BF, 129: 0xC664BF3311C6ABC4, 240: 0x64556DC6B462A6CF,
        241: 0x8BEADD3A8874FE17, 1024: 0x9B81661C641C72B1, 1025: 0x806C2072ED713576,
        4097: 0xA51EAD018CADB378, 100000: 0x0C056F6FCC340974,
    }  # fmt: skip
    for n, expected in reference.items():
        assert _core.xxh3(bytes((i * 7 + 3) % 256 for i in range(n))) == expected, n
