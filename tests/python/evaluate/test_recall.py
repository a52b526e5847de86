"""Recall: ties, padding, shapes, intervals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfield import Neighbors
from nearfield.evaluate import recall_at_k, recall_interval, recall_per_query


def test_recall_is_the_share_of_the_true_neighbors_found():
    truth = [[1, 2, 3, 4], [5, 6, 7, 8]]
    found = [[4, 3, 9, 9], [8, 7, 6, 5]]
    assert recall_per_query(found, truth).tolist() == [0.5, 1.0]
    assert recall_at_k(found, truth) == 0.75
    assert recall_at_k(found, truth, k=2) == 0.0


def test_an_id_at_the_kth_distance_is_a_hit():
    truth = Neighbors(np.array([[1, 2, 3, 4]]), np.array([[0.1, 0.2, 0.2, 0.3]], np.float32))
    assert recall_at_k([[1, 3]], truth, k=2) == 1.0
    assert recall_at_k([[1, 4]], truth, k=2) == 0.5
    assert recall_at_k([[1, 3]], truth.ids, k=2) == 0.5


def test_two_ties_do_not_count_for_a_nearer_neighbor_that_was_missed_beyond_one():
    truth = Neighbors(np.array([[1, 2, 3]]), np.array([[0.1, 0.2, 0.2]], np.float32))
    assert recall_at_k([[2, 3]], truth, k=2) == 1.0  # both are at the 2nd distance
    assert recall_at_k([[3, 3]], truth, k=2) == 0.5  # the same id twice is one hit


def test_found_distances_settle_ties_beyond_the_truth():
    truth, distances = [[1, 2]], [[0.0, 0.0]]
    assert recall_at_k([[8, 9]], truth, true_distances=distances) == 0.0
    both = recall_at_k([[8, 9]], truth, true_distances=distances, found_distances=[[0.0, 0.5]])
    assert both == 0.5


def test_padding_is_never_a_hit():
    assert recall_at_k([[1, -1, -1]], [[1, 2, 3]]) == pytest.approx(1 / 3)
    assert recall_at_k([[1, -1, -1]], [[1, -1, -1]]) == 1.0  # only one vector exists
    names = np.array([["a", None]], dtype=object)
    assert recall_at_k(names, np.array([["a", "b"]], dtype=object)) == 0.5


def test_a_query_without_neighbors_has_no_recall():
    assert np.isnan(recall_per_query([[-1]], [[-1]])).all()


def test_short_answers_miss_the_rest():
    assert recall_at_k([[1]], [[1, 2]]) == 0.5


@pytest.mark.parametrize(
    ("found", "truth", "options", "says"),
    [
        ([[1, 2]], [[1, 2]], {"k": 3}, r"k must be in 1\.\.2, the width of truth, got 3"),
        ([[1, 2]], [[1, 2]], {"k": 0}, r"k must be in 1\.\.2, the width of truth, got 0"),
        ([[1], [2]], [[1]], {}, r"found must have one row for each row of truth \(1\), got 2"),
        (
            [[1]],
            [[1]],
            {"true_distances": [[1, 2]]},
            r"distances of truth .* \(1, 1\), got \(1, 2\)",
        ),
        ([[[1]]], [[1]], {}, r"found must be a \(nq, k\) array of ids, got shape \(1, 1, 1\)"),
    ],
)
def test_recall_says_what_does_not_fit(found, truth, options, says):
    with pytest.raises(ValueError, match=says):
        recall_at_k(found, truth, **options)


@given(st.integers(1, 20), st.integers(1, 8), st.integers(0, 2**16))
def test_recall_is_the_overlap_of_sets_where_distances_differ(nq, k, seed):
    rng = np.random.default_rng(seed)
    truth = np.stack([rng.permutation(30)[:k] for _ in range(nq)])
    found = np.stack([rng.permutation(30)[:k] for _ in range(nq)])
    expected = [len(set(a) & set(b)) / k for a, b in zip(truth, found, strict=True)]
    np.testing.assert_allclose(recall_per_query(found, truth), expected)


def test_the_interval_covers_the_mean_of_further_queries_as_often_as_it_says():
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(400):
        easy = rng.beta(8, 0.5, 300)  # queries differ: some are hard
        recalls = rng.binomial(10, easy) / 10
        low, high = recall_interval(recalls)[1:]
        covered += low <= 8 / 8.5 <= high
    assert 0.92 <= covered / 400 <= 0.99


def test_the_interval_stays_below_one_where_all_were_found():
    mean, low, high = recall_interval(np.ones(500))
    assert mean == high == 1.0
    assert 0.99 < low < 1.0


@pytest.mark.parametrize(("values", "confidence"), [([], 0.95), ([1.0], 1.0), ([1.0], 0.0)])
def test_the_interval_refuses_nothing_and_certainty(values, confidence):
    with pytest.raises(ValueError, match="must"):
        recall_interval(values, confidence)
