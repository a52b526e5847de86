"""The tail of a collection: a Flat that looks at signs first and grows beside searches."""

import threading

import numpy as np
import pytest
from oracle import METRICS, exact_distances

import nearfield as nf
from nearfield import _core


def skimming(dim, metric="cosine"):
    index = nf.Flat(dim, metric, prefilter=True)
    index._core.skim()
    return index


def append(index, vectors, first=0, batch=100):
    for start in range(0, len(vectors), batch):
        some = vectors[start : start + batch]
        ids = np.arange(first + start, first + start + len(some))
        index._core.append(some, ids)


def made(rng, n, dim):
    """Some rows near one another, most not."""
    centres = rng.standard_normal((n // 20, dim), dtype=np.float32)
    rows = centres[rng.integers(0, len(centres), n)]
    return rows + rng.standard_normal((n, dim), dtype=np.float32) / 2


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dim", [48, 100, 384])
def test_rows_passed_over_by_signs_are_no_answers(metric, dim, rng):
    vectors, queries = made(rng, 7011, dim), made(rng, 40, dim)
    vectors[::7] *= 30
    vectors[100:140] = vectors[99]  # ties
    plain, index = nf.Flat(dim, metric, prefilter=False), skimming(dim, metric)
    plain.add(vectors)
    append(index, vectors)
    assert index.stats()["prefilter"] == "signs, int8"
    mask = rng.random(len(vectors)) < 0.3
    for query in queries:
        for k, filter in ((1, None), (10, None), (300, None), (10, mask)):
            one = index.search(query, k=k, filter=filter)
            other = plain.search(query, k=k, filter=filter)
            np.testing.assert_array_equal(one.ids, other.ids)
            np.testing.assert_array_equal(one.distances, other.distances)


@pytest.mark.parametrize("metric", METRICS)
def test_a_row_is_its_own_nearest_once_it_is_appended(metric, rng):
    vectors = made(rng, 700, 64)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    index = skimming(64, metric)
    for n, vector in enumerate(vectors):  # blocks of every length
        index._core.append(vector[None], np.array([n]))
        ids, _ = _core.search_together([index._core], [None], vector[None], 1, 1)
        assert ids[0, 0] == n


@pytest.mark.parametrize("metric", METRICS)
def test_indexes_asked_together_give_the_nearest_of_all(metric, rng):
    vectors, queries = made(rng, 6000, 64), made(rng, 30, 64)
    vectors[4000:4050] = vectors[:50]  # ties between indexes
    parts = [nf.Flat(64, metric, prefilter=False), skimming(64, metric), skimming(64, metric)]
    parts[0].add(vectors[:3000])
    append(parts[1], vectors[3000:5990], 3000)
    append(parts[2], vectors[5990:], 5990)
    cores = [part._core for part in parts]
    everything = nf.Flat(64, metric, prefilter=False)
    everything.add(vectors)
    for query in (*queries, *vectors[:10]):
        for k in (1, 10, 50):
            ids, distances = _core.search_together(cores, [None] * 3, query[None], k, 1)
            right = everything.search(query, k=k)
            np.testing.assert_array_equal(ids[0], right.ids)
            np.testing.assert_array_equal(distances[0], right.distances)


def test_what_changes_rows_keeps_their_signs(rng):
    vectors = made(rng, 3000, 96)
    index, plain = skimming(96, "l2"), nf.Flat(96, "l2", prefilter=False)
    append(index, vectors)
    plain.add(vectors)
    fresh = made(rng, 200, 96)
    for one in (index, plain):
        one.remove(np.arange(0, 3000, 3))
        one.update(np.arange(1, 600, 3), fresh)
        one.compact()
    append(index, vectors[:500], 10_000)
    plain.add(vectors[:500], ids=np.arange(10_000, 10_500))
    for query in made(rng, 40, 96):
        np.testing.assert_array_equal(index.search(query).ids, plain.search(query).ids)


def test_skim_is_refused_once_there_are_rows(rng):
    index = nf.Flat(64, prefilter=True)
    index.add(made(rng, 100, 64))
    with pytest.raises(ValueError, match="skim needs an empty index with the prefilter"):
        index._core.skim()
    with pytest.raises(ValueError, match="skim needs an empty index with the prefilter"):
        nf.Flat(64)._core.skim()


@pytest.mark.parametrize("dim", [8, 64])
def test_append_refuses_what_add_refuses_and_changes_nothing(dim, rng):
    index = nf.Flat(dim, prefilter=True if dim == 64 else None)
    append(index, made(rng, 300, dim))
    bad = made(rng, 100, dim)
    bad[70, 3] = np.nan
    with pytest.raises(ValueError, match="vectors"):
        index._core.append(bad, np.arange(300, 400))
    with pytest.raises(ValueError, match="ids must be new, got 5"):
        index._core.append(bad[:1], np.array([5]))
    assert len(index) == 300
    index._core.validate()


def test_searches_beside_an_append_see_whole_rows_alone(rng):
    vectors = made(rng, 20_000, 64)
    index = skimming(64, "l2")
    append(index, vectors[:1000])
    done = threading.Event()

    def write():
        append(index, vectors[1000:], 1000, batch=77)
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    searches = 0
    while not done.is_set() or searches < 50:
        query = vectors[searches * 37 % len(vectors)]
        before = len(index)
        ids, distances = _core.search_together([index._core], [None], query[None], 10, 1)
        assert (ids >= 0).all()
        right = exact_distances(vectors[ids[0]], query[None], "l2")[0]
        np.testing.assert_allclose(distances[0], right, rtol=1e-3, atol=1e-3)
        known = np.sort(exact_distances(vectors[:before], query[None], "l2")[0])[:10]
        assert (distances[0] <= known + 1e-3).all()
        searches += 1
    writer.join()
    assert len(index) == 20_000
