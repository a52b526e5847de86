"""Flat answers as a full scan in float64 would, whatever the route it takes."""

import numpy as np
import pytest
from oracle import METRICS, assert_nearest, exact_distances

import nearfield as nf

N_LARGE = 6000  # enough for codes to be made when forced, and for several pieces of work


def made(rng, n, dim):
    return rng.standard_normal((n, dim), dtype=np.float32)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("prefilter", [False, True])
@pytest.mark.parametrize("dim", [1, 3, 50, 64, 129, 384])
def test_search_agrees_with_float64(metric, prefilter, dim, rng):
    vectors, queries = made(rng, 3000, dim), made(rng, 12, dim)
    index = nf.Flat(dim, metric, prefilter=prefilter)
    index.add(vectors)
    assert_nearest(index.search(queries, k=10), vectors, queries, metric, 10)
    for query in queries[:3]:
        assert_nearest(index.search(query, k=10), vectors, query, metric, 10)


@pytest.mark.parametrize("metric", METRICS)
def test_prefilter_and_full_scan_give_the_same_bits(metric, rng):
    vectors, queries = made(rng, N_LARGE, 96), made(rng, 40, 96)
    vectors[::7] *= 30  # skewed norms make bounds work
    vectors[100:140] = vectors[99]  # ties
    indexes = [nf.Flat(96, metric, prefilter=prefilter) for prefilter in (True, False)]
    for index in indexes:
        index.add(vectors)
    for k in (1, 10, 300):
        one, other = (index.search(queries, k=k) for index in indexes)
        np.testing.assert_array_equal(one.ids, other.ids)
        np.testing.assert_array_equal(one.distances, other.distances)
        for query in queries[:4]:
            one, other = (index.search(query, k=k) for index in indexes)
            np.testing.assert_array_equal(one.ids, other.ids)


@pytest.mark.parametrize("metric", METRICS)
def test_prefilter_survives_one_dimension_that_dwarfs_the_others(metric, rng):
    vectors, queries = made(rng, N_LARGE, 100), made(rng, 10, 100)
    vectors[:, 3] = vectors[:, 3] * 5 + 60
    queries[:, 3] += 55
    index = nf.Flat(100, metric, prefilter=True)
    index.add(vectors)
    plain = nf.Flat(100, metric, prefilter=False)
    plain.add(vectors)
    np.testing.assert_array_equal(index.search(queries).ids, plain.search(queries).ids)


def test_prefilter_reads_few_vectors(rng):
    vectors = made(rng, 50_000, 128)
    index = nf.Flat(128, "l2")
    index.add(vectors)
    assert index.stats()["prefilter"] == "int8"
    work = index.count_work(made(rng, 5, 128))
    assert work["exact_distances"] < 2500
    assert work["distances"] >= 50_000


@pytest.mark.parametrize("dtype,rtol", [("float16", 2e-3), ("bfloat16", 2e-2), ("int8", 2e-2)])
@pytest.mark.parametrize("metric", METRICS)
def test_search_is_exact_for_what_a_small_dtype_stores(dtype, rtol, metric, rng):
    vectors, queries = made(rng, 2000, 70), made(rng, 10, 70)
    index = nf.Flat(70, metric, dtype)
    ids = index.add(vectors)
    stored = index.get(ids)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    expected = unit if metric == "cosine" else vectors
    np.testing.assert_allclose(stored, expected, atol=rtol * np.abs(expected).max())
    metric_of_stored = "dot" if metric == "cosine" else metric  # stored rows are not re-normalised
    truth = exact_distances(stored, queries, metric_of_stored)
    if metric == "cosine":
        truth = 1 + truth / np.linalg.norm(queries, axis=1, keepdims=True)
    hits = index.search(queries, k=10)
    chosen = np.take_along_axis(truth, hits.ids, axis=1)
    np.testing.assert_allclose(chosen, np.sort(truth, axis=1)[:, :10], rtol=1e-4, atol=1e-3)


def test_int8_keeps_small_integers_exactly(rng):
    vectors = rng.integers(-127, 128, (500, 32)).astype(np.float32)
    index = nf.Flat(32, "l2", "int8")
    ids = index.add(vectors)
    np.testing.assert_array_equal(index.get(ids), vectors)
    hits = index.search(vectors[:20], k=1)
    np.testing.assert_array_equal(hits.ids[:, 0], np.arange(20))
    np.testing.assert_array_equal(hits.distances, 0)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_answers_do_not_depend_on_threads(threads, rng):
    vectors, queries = made(rng, N_LARGE, 64), made(rng, 50, 64)
    vectors[1000:3000] = vectors[:2000]  # every nearest one has a twin
    index = nf.Flat(64, "l2", prefilter=True)
    index.add(vectors, threads=threads)
    expected = np.argsort(exact_distances(vectors, queries, "l2"), axis=1, kind="stable")
    alone = index.search(queries, k=9, threads=1)
    together = index.search(queries, k=9, threads=threads)
    np.testing.assert_array_equal(alone.ids, together.ids)
    np.testing.assert_array_equal(alone.distances, together.distances)
    assert (alone.ids == expected[:, :9]).mean() > 0.99


def test_equal_distances_go_to_the_vector_added_first():
    index = nf.Flat(2, "l2")
    index.add(np.ones((500, 2), np.float32))
    assert index.search([0.0, 0.0], k=5).ids.tolist() == [0, 1, 2, 3, 4]
    assert index.search(np.zeros((20, 2)), k=3).ids.tolist() == [[0, 1, 2]] * 20


@pytest.mark.parametrize("nq", [1, 30])
def test_search_pads_when_k_exceeds_size(nq, rng):
    index = nf.Flat(8, "l2")
    index.add(made(rng, 3, 8))
    hits = index.search(made(rng, nq, 8), k=7)
    assert hits.ids.shape == hits.distances.shape == (nq, 7)
    assert (hits.ids[:, 3:] == -1).all()
    assert np.isinf(hits.distances[:, 3:]).all()
    assert (np.sort(hits.ids[:, :3]) == [0, 1, 2]).all()


def test_string_ids_come_back_and_pad_with_none(rng):
    index = nf.Flat(4, "dot")
    names = index.add(made(rng, 2, 4), ids=["가", "b"])
    assert names.tolist() == ["가", "b"]
    hits = index.search(made(rng, 1, 4)[0], k=3)
    assert hits.ids.dtype == object
    assert set(hits.ids[:2]) == {"가", "b"}
    assert hits.ids[2] is None
    assert "가" in index
    assert "c" not in index
    assert 0 not in index


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("share", [0.0, 0.001, 0.02, 0.3, 1.0])
def test_filters_give_the_nearest_of_those_they_let_in(metric, share, rng):
    vectors, queries = made(rng, 5000, 64), made(rng, 10, 64)
    index = nf.Flat(64, metric, prefilter=True)
    index.add(vectors)
    mask = rng.random(5000) < share
    allowed = np.flatnonzero(mask)
    truth = exact_distances(vectors, queries, metric)
    truth[:, ~mask] = np.inf
    expected = np.sort(truth, axis=1)[:, :10]
    for filter in (
        mask,
        allowed,
        list(allowed),
        set(allowed.tolist()),
        nf.exclude(np.flatnonzero(~mask)),
    ):
        hits = index.search(queries, k=10, filter=filter)
        np.testing.assert_allclose(hits.distances, expected, rtol=1e-4, atol=1e-4)
        assert np.isin(hits.ids[hits.ids >= 0], allowed).all()
        one = index.search(queries[0], k=10, filter=filter)
        np.testing.assert_array_equal(one.ids, hits.ids[0])


@pytest.mark.parametrize("prefilter", [False, True])
@pytest.mark.parametrize("metric", METRICS)
def test_range_search_finds_everything_within_the_radius(metric, prefilter, rng):
    vectors, queries = made(rng, 4000, 60), made(rng, 5, 60)
    index = nf.Flat(60, metric, prefilter=prefilter)
    index.add(vectors)
    truth = exact_distances(vectors, queries, metric)
    radius = float(np.sort(truth, axis=1)[:, 30].mean())
    found = index.range_search(queries, radius)
    assert found.lims[0] == 0
    for i in range(5):
        part = slice(found.lims[i], found.lims[i + 1])
        expected = np.flatnonzero(truth[i] <= radius)
        assert set(found.ids[part].tolist()) == set(expected.tolist())
        assert (np.diff(found.distances[part]) >= 0).all()
    nothing = index.range_search(queries, float(truth.min()) - 1)
    assert nothing.lims.tolist() == [0] * 6


def test_any_mixture_of_changes_equals_a_scan_of_what_is_left(rng):
    index = nf.Flat(48, "l2", prefilter=True)
    held: dict[int, np.ndarray] = {}
    next_id = 0
    for step in range(60):
        action = rng.integers(0, 5)
        if action <= 1 or len(held) < 20:
            n = int(rng.integers(1, 80))
            vectors = made(rng, n, 48)
            ids = rng.permutation(np.arange(next_id, next_id + n)) * 3 - 50
            next_id += n
            index.add(vectors, ids=ids)
            held.update(zip(ids.tolist(), vectors, strict=True))
        elif action == 2:
            gone = rng.choice(list(held), size=int(rng.integers(1, len(held) // 2)), replace=False)
            assert index.remove(gone) == len(gone)
            for id in gone:
                del held[int(id)]
        elif action == 3:
            some = rng.choice(list(held), size=int(rng.integers(1, len(held))), replace=False)
            vectors = made(rng, len(some), 48)
            index.update(some, vectors)
            held.update(zip(some.tolist(), vectors, strict=True))
        else:
            before = index.ids
            index.compact()
            np.testing.assert_array_equal(index.ids, before)
            assert index.stats()["deleted_share"] == 0
        index.validate()
        assert len(index) == len(held)
        assert set(index.ids.tolist()) == set(held)
        query = made(rng, 1, 48)[0]
        ids = np.array(list(held))
        distances = ((np.array(list(held.values()), np.float64) - query) ** 2).sum(axis=1)
        hits = index.search(query, k=5)
        nearest = np.argsort(distances)[: min(5, len(ids))]
        np.testing.assert_array_equal(
            hits.ids[: len(nearest)], ids[nearest], err_msg=f"step {step}"
        )
    some = list(held)[:7]
    np.testing.assert_array_equal(index.get(some), np.array([held[id] for id in some]))


def test_removed_slots_are_used_again(rng):
    index = nf.Flat(16, "l2")
    ids = index.add(made(rng, 100, 16))
    size = index.stats()["bytes"]["vectors"]
    for _ in range(30):
        index.remove(ids)
        ids = index.add(made(rng, 100, 16))
    assert index.stats()["bytes"]["vectors"] == size
    assert ids.min() == 3000  # and ids are never given twice


def test_ids_may_be_any_int64():
    index = nf.Flat(1, "l2")
    ids = [-(2**63), 2**63 - 1, 0, -1]
    index.add([[0.0], [1.0], [2.0], [3.0]], ids=ids)
    assert index.search([[0.1]], k=4).ids.tolist() == [ids]
    assert all(id in index for id in ids)
    with pytest.raises(ValueError, match="ids must be given once the largest id is"):
        index.add([[5.0]])
    with pytest.raises(ValueError, match="ids must fit int64, got 9223372036854775808"):
        index.add([[5.0]], ids=[2**63])


def test_an_empty_index_answers_with_padding():
    index = nf.Flat(3, "cosine")
    hits = index.search([1.0, 2.0, 3.0], k=2)
    assert hits.ids.tolist() == [-1, -1]
    assert index.search(np.empty((0, 3)), k=2).ids.shape == (0, 2)
    assert index.range_search([1.0, 2.0, 3.0], 1.0).lims.tolist() == [0, 0]
    assert index.add(np.empty((0, 3))).shape == (0,)
    index.compact()
    index.validate()
    assert len(index) == 0
    assert index.remove([], missing="ignore") == 0


@pytest.mark.parametrize("scale", [1e-30, 1e-18, 1e15])
def test_cosine_does_not_depend_on_length(scale, rng):
    vectors, queries = made(rng, 400, 33), made(rng, 9, 33)
    plain, scaled = nf.Flat(33), nf.Flat(33)
    plain.add(vectors)
    scaled.add(vectors * np.float32(scale))
    one, other = plain.search(queries), scaled.search(queries * np.float32(scale))
    np.testing.assert_allclose(one.distances, other.distances, atol=1e-6)
    assert (other.distances >= 0).all()
    assert (other.distances <= 2).all()


def test_a_vector_is_at_distance_zero_from_itself(rng):
    vectors = made(rng, 3000, 200)
    for metric in ("cosine", "l2"):
        index = nf.Flat(200, metric, prefilter=True)
        index.add(vectors)
        hits = index.search(vectors[:50], k=1)
        np.testing.assert_array_equal(hits.ids[:, 0], np.arange(50))
        np.testing.assert_allclose(hits.distances, 0, atol=1e-6)
