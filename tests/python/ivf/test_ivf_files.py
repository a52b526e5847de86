"""A saved IVFPQ comes back as it was, copied or mapped, and a damaged one is refused."""

import numpy as np
import pytest
from clusters import clustered

import nearfield as nf

DIM, N = 24, 900
KINDS = {
    "rabitq-4": {},
    "rabitq-1": {"bits": 1, "rerank": None},
    "rabitq-3": {"bits": 3, "rerank": None},
    "rabitq-5": {"bits": 5},
    "rabitq-8-int8": {"bits": 8, "rerank": "int8", "nlist": None, "candidates": 40},
    "rabitq-4-soar": {"soar": True},
    "rabitq-5-soar": {"soar": True, "bits": 5, "rerank": None},
    "pq-4-opq": {"codes": "pq", "opq": True, "rerank": None},
    "pq-8": {"codes": "pq", "bits": 8, "pq_m": 6, "rerank": "float32", "seed": 5},
}


@pytest.fixture(scope="module")
def vectors():
    return clustered(np.random.default_rng(8), N, DIM)


def made(vectors, kind, metric="l2", ids=None):
    index = nf.IVFPQ(DIM, metric, **{"nlist": 12, "nprobe": 5, **KINDS[kind]})
    index.train(vectors)
    index.add(vectors, ids=ids)
    return index


def assert_same(a, b, queries):
    hits, again = a.search(queries, k=7), b.search(queries, k=7)
    np.testing.assert_array_equal(hits.ids, again.ids)
    np.testing.assert_array_equal(hits.distances, again.distances)
    np.testing.assert_array_equal(a.get(a.ids), b.get(b.ids))
    facts, same = a.stats(), b.stats()
    for of in (facts, same):  # tables of ids keep room for more
        of["bytes"] = {part: n for part, n in of["bytes"].items() if part not in ("ids", "total")}
    assert facts == same
    assert a._params == b._params
    assert a.ids.tolist() == b.ids.tolist()


@pytest.mark.parametrize("metric", ["l2", "dot", "cosine"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_saved_index_comes_back_byte_for_byte(kind, metric, vectors, tmp_path):
    ids = [f"v{i}" for i in range(N)] if metric == "dot" else None
    index = made(vectors, kind, metric, ids)
    for step in ("whole", "with holes", "compacted"):
        if step == "with holes":
            index.remove(index.ids[20:60])
        if step == "compacted":
            index.compact()
        index.save(tmp_path / "a.nf")
        first = (tmp_path / "a.nf").read_bytes()
        for options in ({}, {"mmap": True}):
            loaded = nf.load(tmp_path / "a.nf", **options)
            assert_same(index, loaded, vectors[:20] + 0.01)
            loaded.validate()
            loaded.save(tmp_path / "b.nf")
            assert (tmp_path / "b.nf").read_bytes() == first, (step, options)


@pytest.mark.parametrize("trained", [False, True])
@pytest.mark.parametrize("soar", [False, True])
def test_an_empty_index_comes_back(soar, trained, vectors, tmp_path):
    index = nf.IVFPQ(DIM, "l2", 6, soar=soar)
    if trained:
        index.train(vectors)
    index.save(tmp_path / "a.nf")
    for mmap in (False, True):
        loaded = nf.load(tmp_path / "a.nf", mmap=mmap)
        assert loaded.trained == trained
        assert loaded._params == index._params
        assert len(loaded) == 0
    if trained:
        loaded = nf.load(tmp_path / "a.nf")
        loaded.add(vectors)
        loaded.validate()


def test_a_loaded_index_may_be_changed_and_equals_one_that_never_left(vectors, tmp_path):
    index = made(vectors, "rabitq-4")
    index.save(tmp_path / "a.nf")
    loaded = nf.load(tmp_path / "a.nf")
    for one in (index, loaded):
        one.remove(np.arange(0, N, 3))
        one.add(vectors[:200] + 1)
        one.update([1, 2], vectors[5:7])
        one.validate()
    assert_same(index, loaded, vectors[:20])
    index.save(tmp_path / "a.nf")
    loaded.save(tmp_path / "b.nf")
    assert (tmp_path / "a.nf").read_bytes() == (tmp_path / "b.nf").read_bytes()


def test_a_mapped_index_is_read_only(vectors, tmp_path):
    made(vectors, "rabitq-4").save(tmp_path / "a.nf")
    mapped = nf.load(tmp_path / "a.nf", mmap=True)
    for change in (
        lambda: mapped.add(vectors),
        lambda: mapped.remove([1]),
        lambda: mapped.train(vectors),
    ):
        with pytest.raises(nf.ReadOnlyIndex):
            change()
    mapped.nprobe = 3
    assert mapped.nprobe == 3


def test_adding_goes_on_from_a_saved_state(vectors, tmp_path):
    whole = made(vectors, "rabitq-4")
    half = nf.IVFPQ(DIM, "l2", 12, nprobe=5)
    half.train(vectors)
    half.add(vectors[:500])
    half.save(tmp_path / "half.nf")
    going_on = nf.load(tmp_path / "half.nf")
    going_on.add(iter([vectors[len(going_on) : 700], vectors[700:]]))
    assert_same(whole, going_on, vectors[:20])


def test_rows_kept_elsewhere_are_given_again_after_loading(vectors, tmp_path):
    index = nf.IVFPQ(DIM, "l2", 12, rerank_from=vectors)
    index.train(vectors)
    index.add(vectors)
    index.save(tmp_path / "a.nf")
    loaded = nf.load(tmp_path / "a.nf", mmap=True)
    assert loaded.rerank_from is None
    loaded.rerank_from = vectors
    hits, again = index.search(vectors[:9]), loaded.search(vectors[:9])
    np.testing.assert_array_equal(hits.ids, again.ids)
    np.testing.assert_array_equal(hits.distances, again.distances)
    with pytest.raises(ValueError, match="rerank_from must come with rerank=None, got rerank="):
        made(vectors, "rabitq-4").rerank_from = vectors


@pytest.mark.parametrize("mmap", [False, True])
@pytest.mark.parametrize("kind", ["pq-8", "rabitq-4-soar"])
def test_damaged_bytes_never_crash(kind, mmap, vectors, tmp_path, rng):
    made(vectors, kind).save(tmp_path / "a.nf")
    whole = bytearray((tmp_path / "a.nf").read_bytes())
    refused = 0
    for place in rng.integers(0, len(whole), 60).tolist():
        broken = whole.copy()
        broken[place] ^= 0xFF
        (tmp_path / "b.nf").write_bytes(broken)
        try:
            loaded = nf.load(tmp_path / "b.nf", mmap=mmap)
            loaded.search(vectors[:5], k=3, nprobe=12)
        except (nf.CorruptIndex, nf.errors.IncompatibleVersion):
            refused += 1
    assert refused > (30 if not mmap else 0)
