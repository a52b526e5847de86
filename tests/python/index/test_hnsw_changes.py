"""An HNSW that changes stays whole: everything in it can be found, and what left cannot."""

import contextlib
import signal
import threading

import numpy as np
import pytest
from clusters import clustered, recall
from oracle import exact_distances

import nearfield as nf

DIM = 32


class Stop(Exception):
    pass


def made(rng, n):
    return clustered(rng, n, DIM, centres=25)


def small_index(metric="l2", **options):
    return nf.HNSW(DIM, metric, M=8, ef_construction=60, **options)


def test_churn_keeps_recall_and_reachability(rng):
    held = made(rng, 4000)
    queries = made(rng, 80)
    index = small_index()
    index.add(held)
    ids = np.arange(4000)
    for _ in range(10):
        gone = rng.choice(4000, 800, replace=False)
        index.remove(ids[gone])
        held[gone] = made(rng, 800)
        ids[gone] = index.add(held[gone])
        index.validate()
        assert len(index) == 4000
    fresh = small_index()
    fresh.add(held)
    place = np.full(ids.max() + 1, -1)
    place[ids] = np.arange(4000)
    for ef in (20, 60):
        hits = index.search(queries, ef_search=ef)
        churned = recall(nf.Neighbors(place[hits.ids], hits.distances), held, queries, "l2")
        assert churned > recall(fresh.search(queries, ef_search=ef), held, queries, "l2") - 0.01
    assert index.stats()["bytes"]["total"] < 1.4 * fresh.stats()["bytes"]["total"]


@pytest.mark.parametrize("metric", ["l2", "cosine", "dot"])
def test_vectors_added_one_by_one_are_found(metric, rng):
    vectors = made(rng, 900)
    index = small_index(metric)
    for vector in vectors:
        index.add(vector)
    index.validate()
    queries = made(rng, 40)
    assert recall(index.search(queries, ef_search=80), vectors, queries, metric) > 0.95
    if metric != "dot":
        hits = index.search(vectors, k=1)
        assert (hits.ids[:, 0] == np.arange(900)).mean() > 0.99


def test_a_new_vector_is_found_at_once(rng):
    index = small_index()
    index.add(made(rng, 3000))
    for scale in (1, 1, 30, 1000):  # also far from all that was there
        vector = made(rng, 1)[0] * scale
        id = index.add(vector)[0]
        assert index.search(vector, k=1).ids[0] == id
        index.validate()


def test_ten_thousand_copies_of_a_vector_do_no_harm(rng):
    vectors = made(rng, 12_000)
    vectors[1000:11_000] = vectors[1000]
    index = small_index()
    index.add(vectors)
    index.validate()
    others = np.r_[0:1000, 11_000:12_000]
    hits = index.search(vectors[others], k=1)
    assert (hits.ids[:, 0] == others).mean() > 0.97
    copies = index.search(vectors[1000], k=50)
    np.testing.assert_allclose(copies.distances, 0, atol=1e-3)
    index.add(np.repeat(vectors[1000:1001], 300, axis=0))
    index.validate()


def test_all_vectors_alike_are_all_found():
    index = small_index()
    index.add(np.ones((2000, DIM), np.float32))
    index.validate()
    assert len(set(index.search(np.ones(DIM), k=2000).ids.tolist())) == 2000


def test_any_mixture_of_changes_leaves_a_valid_index(rng):
    index = small_index()
    held: dict[int, np.ndarray] = {}
    next_id = 0
    for step in range(60):
        action = int(rng.integers(0, 6))
        if action <= 1 or len(held) < 50:
            n = int(rng.choice([1, 7, 150, 600]))
            vectors = made(rng, n)
            ids = np.arange(next_id, next_id + n) * 3
            next_id += n
            index.add(vectors, ids=ids)
            held.update(zip(ids.tolist(), vectors, strict=True))
        elif action == 2:
            gone = rng.choice(list(held), size=int(rng.integers(1, len(held))), replace=False)
            index.remove(gone)
            for id in gone:
                del held[int(id)]
        elif action == 3:
            some = rng.choice(list(held), size=min(len(held), 90), replace=False)
            vectors = made(rng, len(some))
            index.update(some, vectors)
            held.update(zip(some.tolist(), vectors, strict=True))
        elif action == 4:
            before = index.ids
            index.compact()
            np.testing.assert_array_equal(index.ids, before)
        index.validate()
        assert set(index.ids.tolist()) == set(held)
        ids = np.array(sorted(held))
        some = rng.choice(ids, size=min(30, len(ids)), replace=False)
        stored = np.array([held[int(id)] for id in some])
        np.testing.assert_allclose(index.get(some), stored, rtol=2e-3, atol=2e-3)
        hits = index.search(stored, k=1, ef_search=80)
        assert (hits.ids[:, 0] == some).mean() > 0.9, f"step {step}"


def test_removing_everything_leaves_an_index_that_works(rng):
    vectors = made(rng, 1000)
    index = small_index()
    ids = index.add(vectors)
    index.remove(ids)
    assert len(index) == 0
    assert (index.search(vectors[0]).ids == -1).all()
    index.validate()
    index.add(vectors)
    assert (index.search(vectors[:50], k=1).ids[:, 0] >= 1000).all()


def test_what_was_removed_is_never_a_result(rng):
    vectors = made(rng, 2000)
    index = small_index()
    ids = index.add(vectors)
    for gone in np.array_split(rng.permutation(ids), 20)[:15]:
        index.remove(gone)
        hits = index.search(vectors[gone[:20]], k=10)
        assert (hits.ids >= 0).all()
        assert all(id in index for id in hits.ids.ravel())


def test_searching_where_most_was_removed_is_not_a_scan(rng):
    vectors = made(rng, 6000)
    index = small_index()
    index.add(vectors)
    near = ((vectors - vectors[0]) ** 2).sum(axis=1).argsort()
    index.remove(near[:500])  # not yet a tenth
    hits = index.search(vectors[near[:40]], k=10, ef_search=10)
    assert (hits.ids >= 0).all()
    assert index.count_work(vectors[near[500:700]], k=10, ef_search=10)["distances"] < 2000


def test_an_interrupted_add_changes_nothing(rng):
    vectors = made(rng, 48_000)  # takes several ticks on a fast machine too
    index = small_index()
    index.add(vectors[:24_000])
    before = index.search(vectors[:50], k=5)

    calls = []

    def stop(done, total):
        calls.append(done)
        raise Stop

    with pytest.raises(Stop):
        index.add(vectors[24_000:], progress=stop)  # as a whole
    with pytest.raises(Stop):
        index.add(vectors[:11_200], progress=stop)  # one by one
    assert calls
    assert len(index) == 24_000
    index.validate()
    after = index.search(vectors[:50], k=5)
    assert (after.ids == before.ids).mean() > 0.98
    assert (after.ids < 24_000).all()
    index.add(vectors[24_000:])
    index.validate()


def test_optimize_makes_codes_anew_where_what_came_later_lies_far_off(rng):
    near = rng.standard_normal((6000, DIM), dtype=np.float32)
    far = rng.standard_normal((2800, DIM), dtype=np.float32) + 30
    queries = rng.standard_normal((100, DIM), dtype=np.float32) + 30
    index = nf.HNSW(DIM, "l2")
    index.add(near)
    index.add(far)
    held = np.concatenate([near, far])
    assert index.stats()["bits"] == 4
    assert recall(index.search(queries, k=10), held, queries, "l2") < 0.8
    index.optimize()
    index.validate()
    assert index.stats()["bits"] > 4
    assert recall(index.search(queries, k=10), held, queries, "l2") > 0.95
    settled = index.search(queries, k=10)
    index.optimize()  # which now leaves the codes
    again = index.search(queries, k=10)
    assert (again.ids == settled.ids).mean() > 0.99


@contextlib.contextmanager
def interrupted(seconds):
    """A signal's handler raises Stop, which what runs here must let out."""

    def stop(signum, frame):
        raise Stop

    old = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        with pytest.raises(Stop):
            yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)


def test_an_interrupted_remove_changes_nothing(rng):
    vectors = made(rng, 16_000)
    index = small_index()
    index.add(vectors)
    before = index.search(vectors[:50], k=5)
    with interrupted(0.02):  # the links round the dead take ten times as long
        index.remove(np.arange(0, 16_000, 3), threads=1)
    assert len(index) == 16_000
    index.validate()
    np.testing.assert_array_equal(index.search(vectors[:50], k=5).ids, before.ids)
    index.remove(np.arange(0, 16_000, 3))
    index.validate()
    assert (index.search(vectors[:50], k=5).ids % 3 > 0).all()


@pytest.mark.parametrize("call", ["optimize", "compact"])
def test_an_interrupted_optimize_or_compact_changes_no_answer(call, rng):
    vectors = made(rng, 60_000)
    for seconds in (0.01, 0.003, 0.001, 0.0003):  # signals are heard every 20 ms of some 250
        index = small_index()
        index.add(vectors)
        index.remove(np.arange(0, 60_000, 20))
        before, ready = index.search(vectors[:50], k=5), index.prepare(np.arange(1, 20))
        with interrupted(seconds):
            getattr(index, call)(threads=1)
        index.validate()
        np.testing.assert_array_equal(index.search(vectors[:50], k=5).ids, before.ids)
        try:
            found = index.search(vectors[:1], k=5, filter=ready)
        except ValueError:  # slots have moved: the signal came too late, and all was done
            continue
        assert (found.ids < 20).all()
        break
    else:
        pytest.fail("no signal came in time")
    getattr(index, call)()
    index.validate()
    assert len(index) == 57_000


def test_an_interrupted_search_leaves_no_traces(rng):
    vectors = made(rng, 4000)
    index = small_index()
    index.add(vectors)
    before = index.search(vectors, k=5, threads=1)
    many = np.tile(vectors, (200, 1))
    for seconds in (0.003, 0.01, 0.03):
        with interrupted(seconds):
            index.search(many, k=5, threads=1)
    again = index.search(vectors, k=5, threads=1)
    np.testing.assert_array_equal(again.ids, before.ids)
    np.testing.assert_array_equal(again.distances, before.distances)


def test_searches_run_beside_changes(rng):
    vectors = made(rng, 3000)
    index = small_index()
    index.add(vectors)
    faults: list[str] = []
    stop = threading.Event()

    def read():
        while not stop.is_set():
            hits = index.search(vectors[:20], k=5)
            if not np.isfinite(hits.distances).all():
                faults.append("a torn answer")

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for _ in range(6):
        ids = index.add(made(rng, 300))
        index.remove(ids)
    stop.set()
    for reader in readers:
        reader.join()
    assert faults == []
    index.validate()


def test_compact_gives_memory_back(rng):
    index = small_index()
    index.add(made(rng, 4000))
    index.remove(np.arange(3000))
    large = index.stats()["bytes"]["total"]
    index.compact()
    index.validate()
    assert index.stats()["bytes"]["total"] < 0.4 * large
    left = index.get(np.arange(3000, 4000))
    truth = exact_distances(left, left[:30], "l2").argsort(axis=1)[:, :5]
    hits = index.search(left[:30], k=5, ef_search=100)
    assert (hits.ids[:, 0] == truth[:, 0] + 3000).all()
