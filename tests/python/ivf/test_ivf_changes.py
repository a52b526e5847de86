"""IVFPQ stays right through adding, removing, updating and compacting, and is deterministic."""

import numpy as np
import pytest
from clusters import assert_same, clustered, recall

import nearfield as nf

N, DIM = 3000, 32


@pytest.fixture(scope="module")
def vectors():
    return clustered(np.random.default_rng(6), N, DIM)


def made(vectors, threads=0, **options):
    index = nf.IVFPQ(DIM, "l2", 30, **options)
    index.train(vectors, threads=threads)
    index.add(vectors, threads=threads)
    return index


@pytest.mark.parametrize(("codes", "bits"), [("rabitq", 4), ("rabitq", 5), ("pq", 4)])
def test_the_number_of_threads_changes_nothing(codes, bits, vectors):
    options = {"codes": codes, "bits": bits, "rerank": None, "opq": codes == "pq"}
    one, many = made(vectors, 1, **options), made(vectors, 3, **options)
    assert_same(one, many, vectors[:50])
    np.testing.assert_array_equal(one.get(one.ids), many.get(many.ids))


def test_the_seed_decides(vectors):
    one, other = made(vectors, rerank=None, seed=1), made(vectors, rerank=None, seed=2)
    assert (one.get(one.ids) != other.get(other.ids)).any()


def test_adding_in_parts_finds_the_same(vectors):
    whole = made(vectors)
    parts = nf.IVFPQ(DIM, "l2", 30)
    parts.train(vectors)
    for begin in range(0, N, 700):
        parts.add(vectors[begin : begin + 700])
    parts.validate()
    assert_same(whole, parts, vectors[:50])


@pytest.mark.parametrize("rerank", ["float16", None])
def test_removed_vectors_are_gone_and_the_others_stay(rerank, vectors, rng):
    index = made(vectors, rerank=rerank, bits=8)
    gone = rng.choice(N, N // 3, replace=False)
    before = index.get(np.setdiff1d(np.arange(N), gone))
    assert index.remove(gone) == len(gone)
    index.validate()
    hits = index.search(vectors[:100], k=10, nprobe=30)
    assert not np.isin(hits.ids, gone).any()
    kept = np.setdiff1d(np.arange(N), gone)
    np.testing.assert_array_equal(index.get(kept), before)
    index.compact()
    index.validate()
    np.testing.assert_array_equal(index.get(kept), before)
    after = index.search(vectors[:100], k=10, nprobe=30)
    np.testing.assert_array_equal(after.ids, hits.ids)
    np.testing.assert_array_equal(after.distances, hits.distances)


def test_updated_vectors_are_found_at_their_new_place(vectors, rng):
    index = made(vectors)
    moved = rng.choice(N, 500, replace=False)
    fresh = clustered(rng, 500, DIM)
    index.update(moved, fresh)
    index.validate()
    current = vectors.copy()
    current[moved] = fresh
    assert recall(index.search(fresh, nprobe=30), current, fresh, "l2") > 0.99


def test_slots_are_used_again(vectors):
    index = made(vectors)
    index.remove(np.arange(1000))
    index.add(vectors[:1000], ids=np.arange(5000, 6000))
    index.validate()
    assert index.stats()["deleted_share"] == 0
    assert (index.search(vectors[:50], k=1, nprobe=30).ids.ravel() == np.arange(5000, 5050)).all()


def test_random_changes_keep_every_invariant(vectors, rng):
    index = nf.IVFPQ(DIM, "l2", 20, bits=4)
    index.train(vectors)
    held = {}
    for step in range(60):
        kind = rng.integers(4)
        if kind == 0 or len(held) < 20:
            ids = np.arange(1000 * step, 1000 * step + rng.integers(1, 80))
            rows = vectors[rng.integers(0, N, len(ids))]
            index.add(rows, ids=ids)
            held.update(zip(ids.tolist(), rows, strict=True))
        elif kind == 1:
            ids = rng.choice(list(held), len(held) // 3, replace=False)
            index.remove(ids)
            for id in ids.tolist():
                del held[id]
        elif kind == 2:
            ids = rng.choice(list(held), min(10, len(held)), replace=False)
            rows = vectors[rng.integers(0, N, len(ids))]
            index.update(ids, rows)
            held.update(zip(ids.tolist(), rows, strict=True))
        else:
            index.compact()
        index.validate()
    keys = np.array(list(held))
    stored = index.get(keys)
    np.testing.assert_allclose(stored, np.stack(list(held.values())), rtol=1e-3, atol=1e-3)
    hits = index.search(stored, k=1, nprobe=20)
    assert (hits.distances == 0).mean() > 0.99


def test_string_ids_work(vectors):
    index = nf.IVFPQ(DIM, "l2", 10)
    index.train(vectors)
    index.add(vectors[:100], ids=[f"v{i}" for i in range(100)])
    assert index.search(vectors[7], k=1, nprobe=10).ids[0] == "v7"
    index.remove(["v7"])
    assert "v7" not in index


def test_an_interrupted_addition_leaves_the_index_as_it_was(vectors):
    index = made(vectors)

    def stop(done, total):
        if done > 0:
            raise KeyboardInterrupt

    more = np.repeat(vectors, 200, axis=0)
    with pytest.raises(KeyboardInterrupt):
        index.add(more, progress=stop)
    index.validate()
    assert len(index) == N
    assert_same(index, made(vectors), vectors[:50])
    index.add(vectors[:10])
    index.validate()


def test_vectors_come_in_pieces_from_iterators_and_files(vectors, tmp_path):
    np.save(tmp_path / "rows.npy", vectors)
    whole = made(vectors)
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    seen = []
    for rows in (iter([mapped[:1000], mapped[1000:1001], mapped[1001:]]), mapped):
        index = nf.IVFPQ(DIM, "l2", 30)
        index.train(vectors)
        limit = None if rows is not mapped else 4 * DIM * 500
        ids = index.add(rows, max_memory=limit, progress=lambda done, total: seen.append(done))
        assert ids.tolist() == list(range(N))
        assert_same(index, whole, vectors[:50])
    assert seen[-6:] == [500, 1000, 1500, 2000, 2500, 3000]


def test_pieces_before_a_bad_one_stay(vectors):
    index = nf.IVFPQ(DIM, "l2", 30)
    index.train(vectors)
    bad = vectors[:10].copy()
    bad[3, 3] = np.nan
    with pytest.raises(ValueError, match="vectors must be finite, got nan at row 3, column 3"):
        index.add(iter([vectors[:100], bad]))
    assert len(index) == 100
    index.validate()


@pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
def test_rows_kept_elsewhere_rank_exactly(metric, vectors, tmp_path):
    np.save(tmp_path / "rows.npy", vectors)
    mapped = np.load(tmp_path / "rows.npy", mmap_mode="r")
    for source in (mapped, lambda ids: vectors[ids]):
        index = nf.IVFPQ(DIM, metric, 30, rerank_from=source)
        index.train(vectors)
        index.add(vectors)
        assert index.stats()["bytes"]["vectors"] == 0
        hits = index.search(vectors[:50] + 0.01, k=10, nprobe=30)
        assert recall(hits, vectors, vectors[:50] + 0.01, metric) > 0.99
        exact = made(vectors, rerank="float32") if metric == "l2" else None
        if exact is not None:
            other = exact.search(vectors[:50] + 0.01, k=10, nprobe=30)
            np.testing.assert_allclose(hits.distances, other.distances, rtol=1e-3, atol=1e-4)
        one = index.search(vectors[3], k=4, nprobe=30)
        assert one.ids.shape == (4,)
        index.remove([3])
        index.rerank_from = source if callable(source) else source.__getitem__
        assert 3 not in index.search(vectors[3], k=4, nprobe=30).ids
