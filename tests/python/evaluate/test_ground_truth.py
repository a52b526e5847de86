"""Exact neighbours by chunks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import METRICS, assert_nearest, exact_distances

import nearfield as nf
from nearfield.evaluate import ground_truth


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(
    ("n", "nq", "dim", "k"),
    [(900, 30, 20, 10), (1, 1, 1, 3), (700, 600, 64, 7), (520, 512, 50, 600), (300, 3, 130, 1)],
)
def test_ground_truth_agrees_with_float64_whatever_the_chunk(metric, n, nq, dim, k, rng):
    vectors = rng.standard_normal((n, dim), dtype=np.float32) + 0.5
    queries = rng.standard_normal((nq, dim), dtype=np.float32)
    found = ground_truth(vectors, queries, k, metric, chunk=257)
    assert found.ids.shape == found.distances.shape == (nq, k)
    assert_nearest(found, vectors, queries, metric, k)
    assert (found.ids[:, n:] == -1).all()
    assert np.isinf(found.distances[:, n:]).all()


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("nq", [20, 600])  # float products; codes
def test_chunks_threads_and_batches_change_no_bit(metric, nq, rng):
    vectors = rng.standard_normal((1500, 48), dtype=np.float32)
    queries = rng.standard_normal((nq, 48), dtype=np.float32)
    whole = ground_truth(vectors, queries, 5, metric)
    uneven = [vectors[:1], vectors[1:700], vectors[700:700], vectors[700:]]
    for other in (
        ground_truth(vectors, queries, 5, metric, chunk=100, threads=1),
        ground_truth(iter(uneven), queries, 5, metric, chunk=333),
        ground_truth(vectors.tolist()[:0] or uneven, queries, 5, metric),
    ):
        np.testing.assert_array_equal(other.ids, whole.ids)
        np.testing.assert_array_equal(other.distances, whole.distances)


@pytest.mark.parametrize("nq", [4, 520])
def test_ties_go_to_the_earlier_row_across_chunks(nq, rng):
    vectors = np.tile(rng.standard_normal((50, 64), dtype=np.float32), (4, 1))
    queries = rng.standard_normal((nq, 64), dtype=np.float32)
    found = ground_truth(vectors, queries, 4, "l2", chunk=60)
    assert (np.diff(found.ids, axis=1) == 50).all()
    assert (found.ids[:, 0] < 50).all()


def test_a_memmap_larger_than_a_chunk_gives_the_same_as_an_array(tmp_path, rng):
    vectors = rng.standard_normal((2000, 16), dtype=np.float32)
    np.save(tmp_path / "vectors.npy", vectors.astype(np.float16))
    mapped = np.load(tmp_path / "vectors.npy", mmap_mode="r")
    told = []
    found = ground_truth(
        mapped, vectors[:9], 3, "cosine", chunk=128, progress=lambda *x: told.append(x)
    )
    expected = ground_truth(np.asarray(mapped), vectors[:9], 3, "cosine")
    np.testing.assert_array_equal(found.ids, expected.ids)
    assert told[0] == (128, 2000)
    assert told[-1] == (2000, 2000)


def test_one_query_gives_one_row(rng):
    vectors = rng.standard_normal((40, 6), dtype=np.float32)
    found = ground_truth(vectors, vectors[7], k=1, metric="l2")
    assert found.ids.tolist() == [7]


def test_no_vectors_and_no_queries_give_padding_and_nothing():
    nothing = np.empty((0, 4), np.float32)
    assert ground_truth(nothing, np.ones((2, 4)), 3).ids.tolist() == [[-1] * 3] * 2
    assert ground_truth(iter([]), np.ones((2, 4)), 3).ids.tolist() == [[-1] * 3] * 2
    assert ground_truth(np.ones((5, 4)), nothing, 3).ids.shape == (0, 3)


@pytest.mark.parametrize("metric", ["dot", "l2"])
def test_huge_and_tiny_values_lose_no_neighbor(metric, rng):
    vectors = rng.standard_normal((300, 8)).astype(np.float32)
    vectors *= 10.0 ** rng.uniform(-18, 18, (300, 1)).astype(np.float32)
    queries = vectors[:20]
    found = ground_truth(vectors, queries, 5, metric)
    truth = np.sort(exact_distances(vectors, queries, metric), axis=1)[:, :5]
    np.testing.assert_allclose(found.distances, truth, rtol=1e-4, atol=1e-30)


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(1, 120), nq=st.integers(1, 6), dim=st.integers(1, 70), k=st.integers(1, 12),
    chunk=st.integers(1, 130), metric=st.sampled_from(METRICS), seed=st.integers(0, 2**16),
)  # fmt: skip
def test_ground_truth_is_what_flat_finds(n, nq, dim, k, chunk, metric, seed):
    rng = np.random.default_rng(seed)
    # Small integers: plenty of ties.
    vectors = rng.integers(-2, 3, (n, dim)).astype(np.float32)
    vectors[:, 0] = 3  # no zero norms
    queries = vectors[rng.integers(0, n, nq)]
    index = nf.Flat(dim, metric)
    index.add(vectors)
    found = ground_truth(vectors, queries, k, metric, chunk=chunk)
    np.testing.assert_array_equal(found.distances, index.search(queries, k).distances)
    if metric != "cosine":  # sums of small integers are exact, whatever their order
        np.testing.assert_array_equal(found.ids, index.search(queries, k).ids)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"k": 0}, "k must be at least 1, got 0"),
        ({"chunk": 0}, "chunk must be at least 1, got 0"),
        ({"metric": "l3"}, "metric must be one of .* got 'l3'"),
        ({"queries": np.ones((2, 5))}, r"vectors must have shape \(n, 5\), got \(2048, 4\)"),
        ({"queries": np.zeros((1, 4))}, "queries must not have norm 0 under cosine"),
        ({"vectors": np.ones(4)}, r"vectors must be a \(n, dim\) array, got shape \(4,\)"),
    ],
)
def test_ground_truth_refuses_what_makes_no_sense(change, says):
    given = {"vectors": np.ones((3000, 4)), "queries": np.ones((2, 4)), "chunk": 2048, **change}
    with pytest.raises(ValueError, match=says):
        ground_truth(**given)


def test_a_bad_row_is_named_by_its_number_in_the_whole():
    vectors = np.ones((500, 4), np.float32)
    vectors[321, 2] = np.nan
    with pytest.raises(ValueError, match="must be finite, got nan at row 321, column 2"):
        ground_truth(vectors, np.ones((1, 4)), chunk=100)


def test_what_is_no_array_is_refused():
    with pytest.raises(TypeError, match="vectors must be an array or an iterable"):
        ground_truth(7, np.ones((1, 4)))
