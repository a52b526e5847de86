"""Where walks go astray, wide searches begin at more places."""

import numpy as np
import pytest
from oracle import exact_distances

import nearfield as nf

WIDE = 200


@pytest.fixture(scope="module")
def vectors():
    """Without structure and with few links: no entry point helps for long."""
    return np.random.default_rng(3).standard_normal((6000, 32), dtype=np.float32)


@pytest.fixture(scope="module")
def queries():
    return np.random.default_rng(4).standard_normal((2000, 32), dtype=np.float32)


def build(vectors, **options):
    index = nf.HNSW(vectors.shape[1], "l2", M=6, ef_construction=100)
    index.add(vectors, **options)
    return index


@pytest.fixture(scope="module")
def index(vectors):
    return build(vectors)


def recall(index, vectors, queries, ids=None, ef_search=WIDE):
    truth = np.argsort(exact_distances(vectors, queries, "l2"), axis=1)[:, :10]
    if ids is not None:
        truth = np.asarray(ids)[truth]
    found = index.search(queries, k=10, ef_search=ef_search).ids
    return np.mean([np.isin(a, b).mean() for a, b in zip(found, truth, strict=True)])


def test_they_are_made_where_walks_go_astray_and_only_there(index, queries):
    assert index.stats()["wide_entry_points"] == 6000 // 32
    rng = np.random.default_rng(5)
    near = np.repeat(rng.standard_normal((60, 32), dtype=np.float32) * 10, 100, axis=0)
    clusters = build(near + rng.standard_normal(near.shape, dtype=np.float32))
    assert clusters.stats()["wide_entry_points"] == 0


def test_wide_searches_find_what_they_should(index, vectors, queries):
    assert recall(index, vectors, queries) > 0.93
    narrower = recall(index, vectors, queries, ef_search=127)
    assert recall(index, vectors, queries, ef_search=128) > narrower + 0.002
    alone = np.stack([index.search(q, k=10, ef_search=WIDE).ids for q in queries])
    together = index.search(queries, k=10, ef_search=WIDE).ids
    assert (alone == together).mean() > 0.9  # several heads at a time may go another way


def test_no_vector_is_found_twice(index, vectors):
    """Some nodes are entries of both kinds, and what lies at them is near them."""
    assert index.stats()["entry_points"] > 0
    found = index.search(vectors, k=10, ef_search=WIDE).ids
    assert (np.diff(np.sort(found, axis=1), axis=1) > 0).all()


def test_any_number_of_threads_builds_the_same(vectors, index, tmp_path):
    index.save(tmp_path / "two.nf")
    build(vectors, threads=1).save(tmp_path / "one.nf")
    assert (tmp_path / "one.nf").read_bytes() == (tmp_path / "two.nf").read_bytes()


@pytest.mark.parametrize("mmap", [False, True, "rows"])
def test_a_file_keeps_them(index, queries, tmp_path, mmap):
    index.save(tmp_path / "index.nf")
    loaded = nf.load(tmp_path / "index.nf", mmap=mmap)
    assert loaded.stats()["wide_entry_points"] == index.stats()["wide_entry_points"]
    expected = index.search(queries, k=10, ef_search=WIDE)
    found = loaded.search(queries, k=10, ef_search=WIDE)
    np.testing.assert_array_equal(found.ids, expected.ids)
    np.testing.assert_array_equal(found.distances, expected.distances)


def test_they_stay_where_every_vector_is_replaced(vectors, queries):
    index = build(vectors)
    for i in range(0, 6000, 500):
        index.update(np.arange(i, i + 500), vectors[i : i + 500])
    index.optimize()
    index.validate()
    assert index.stats()["wide_entry_points"] > 0.8 * (6000 // 32)
    narrower = recall(index, vectors, queries, ef_search=127)
    assert recall(index, vectors, queries, ef_search=128) > narrower + 0.002


def test_removed_vectors_are_left_and_all_else_stays_in_reach(vectors, queries):
    index = build(vectors)
    gone = np.random.default_rng(6).permutation(6000)[:4000]
    index.remove(gone)
    index.optimize()
    index.validate()
    left = np.setdiff1d(np.arange(6000), gone)
    assert 0 < index.stats()["wide_entry_points"] < 6000 // 32
    assert recall(index, vectors[left], queries, left) > 0.9
    index.add(vectors[gone])
    index.compact()
    index.validate()
    found = index.search(vectors[gone[:100]], k=1, ef_search=WIDE)
    assert (found.distances[:, 0] < 0.01).mean() > 0.9
