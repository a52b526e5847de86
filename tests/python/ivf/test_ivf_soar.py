"""Vectors in two lists: each is found once, and everything that changes an index keeps both."""

import warnings

import numpy as np
import pytest
from clusters import assert_same, clustered, recall
from oracle import exact_distances

import nearfield as nf

N, DIM = 3000, 32


@pytest.fixture(scope="module")
def vectors():
    return clustered(np.random.default_rng(6), N, DIM)


def made(vectors, metric="l2", threads=0, **options):
    index = nf.IVFPQ(DIM, metric, 40, soar=True, **options)
    index.train(vectors, threads=threads)
    index.add(vectors, threads=threads)
    return index


@pytest.mark.parametrize("metric", ["l2", "cosine", "dot"])
@pytest.mark.parametrize(("bits", "rerank"), [(4, "float16"), (5, "float16"), (8, None)])
def test_every_vector_is_found_once(metric, bits, rerank, vectors):
    index = made(vectors, metric, bits=bits, rerank=rerank)
    for k, nprobe in ((10, 40), (10, 3), (700, 2), (N + 5, 40)):
        hits = index.search(vectors[:30] + 0.01, k=k, nprobe=nprobe)
        for row in hits.ids:
            found = row[row >= 0]
            assert len(set(found.tolist())) == len(found) == min(k, N)
        assert (hits.distances[:, 1 : min(k, N)] >= hits.distances[:, : min(k, N) - 1]).all()
    few = index.search(vectors[:30], k=10, nprobe=40)
    assert recall(few, vectors, vectors[:30], metric) > (0.99 if rerank else 0.93)


def test_one_query_finds_what_many_find(vectors):
    index = made(vectors)
    hits = index.search(vectors[:20] + 0.01, nprobe=6)
    for row, query in enumerate(vectors[:20] + np.float32(0.01)):
        alone = index.search(query, nprobe=6)
        np.testing.assert_array_equal(alone.ids, hits.ids[row])


def test_a_second_list_finds_more_at_the_same_number_of_lists(rng):
    vectors = rng.standard_normal((8000, 24), dtype=np.float32)
    queries = rng.standard_normal((200, 24), dtype=np.float32)
    found = []
    for soar in (False, True):
        index = nf.IVFPQ(24, "cosine", 80, soar=soar)
        index.train(vectors)
        index.add(vectors)
        found.append(recall(index.search(queries, nprobe=8), vectors, queries, "cosine"))
    assert found[1] > found[0] + 0.05


def test_neither_threads_nor_pieces_change_anything(vectors, tmp_path):
    whole, one = made(vectors), made(vectors, threads=1)
    parts = nf.IVFPQ(DIM, "l2", 40, soar=True)
    parts.train(vectors)
    for begin in range(0, N, 701):
        parts.add(vectors[begin : begin + 701])
    for index in (one, parts):
        index.validate()
        assert_same(whole, index, vectors[:50])
    whole.save(tmp_path / "a.nf")
    parts.save(tmp_path / "b.nf")
    assert (tmp_path / "a.nf").read_bytes() == (tmp_path / "b.nf").read_bytes()


def test_changes_reach_both_lists(vectors, rng):
    index = made(vectors)
    gone = rng.choice(N, N // 3, replace=False)
    index.remove(gone)
    index.validate()
    kept = np.setdiff1d(np.arange(N), gone)
    index.update(kept[:200], vectors[gone[:200]])
    index.validate()
    index.compact()
    index.validate()
    current = vectors[kept].copy()
    current[:200] = vectors[gone[:200]]
    hits = index.search(current[:300], k=5, nprobe=40)
    assert set(hits.ids.ravel().tolist()) <= set(kept.tolist())
    chosen = np.take_along_axis(
        exact_distances(current, current[:300], "l2"), np.searchsorted(kept, hits.ids), axis=1
    )
    np.testing.assert_allclose(chosen, hits.distances, rtol=1e-2, atol=1e-2)
    index.add(vectors[gone], ids=gone)
    index.validate()
    assert len(index) == N


def test_an_interrupted_addition_leaves_neither(vectors):
    index = made(vectors)

    def stop(done, total):
        if done > 0:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        index.add(np.repeat(vectors, 200, axis=0), progress=stop)
    index.validate()
    assert_same(index, made(vectors), vectors[:50])


@pytest.mark.parametrize("share", [0.002, 0.3])
@pytest.mark.parametrize("rerank", ["float16", None])
def test_filters_are_kept(share, rerank, vectors, rng):
    index = made(vectors, bits=8, rerank=rerank)
    allowed = rng.random(N) < share
    allowed[:4] = True
    hits = index.search(vectors[:20], k=10, nprobe=4, filter=allowed)
    count = min(10, int(allowed.sum()))
    for row in hits.ids[:, :count]:
        assert len(set(row.tolist())) == count
        assert allowed[row].all()


@pytest.mark.parametrize("rerank", ["float16", None])
def test_range_search_gives_each_vector_once(rerank, vectors):
    index = made(vectors, bits=8, rerank=rerank)
    truth = exact_distances(vectors, vectors[:20], "l2")
    radius = float(np.quantile(truth, 0.02))
    found = index.range_search(vectors[:20], radius, nprobe=20)
    right = 0
    for i in range(20):
        ids = found.ids[found.lims[i] : found.lims[i + 1]].tolist()
        assert len(set(ids)) == len(ids)
        right += len(np.intersect1d(ids, np.flatnonzero(truth[i] <= radius)))
    assert right / (truth <= radius).sum() > (0.97 if rerank else 0.9)


def test_stats_and_estimates_count_both_lists(vectors):
    one = nf.IVFPQ(DIM, "l2", 40)
    one.train(vectors)
    one.add(vectors)
    two = made(vectors)
    assert (one.stats()["lists_a_vector"], two.stats()["lists_a_vector"]) == (1, 2)
    assert two.stats()["bytes"]["codes"] > 1.7 * one.stats()["bytes"]["codes"]
    told = nf.estimate(40_000, 32, kind="ivfpq", soar=True)
    index = nf.IVFPQ(32, soar=True)
    rows = np.random.default_rng(0).standard_normal((40_000, 32), dtype=np.float32)
    index.train(rows)
    index.add(rows)
    assert told.bytes["total"] == pytest.approx(index.stats()["bytes"]["total"], rel=0.1)


def test_a_second_list_needs_two():
    with pytest.raises(ValueError, match="nlist must be at least 2 with soar, got 1"):
        nf.IVFPQ(8, nlist=1, soar=True)
    index = nf.IVFPQ(8, soar=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ValueError, match="nlist must be at least 2 with soar, got 1"):
            index.train(np.eye(8, dtype=np.float32))
