"""Recall, interpolation and timing of the comparison."""

import numpy as np
import pytest

import datasets
import measure
import report


@pytest.fixture
def line():
    """Points 0, 1, 2 ... on a line, with a copy of point 3 at the end, and a query at 0."""
    vectors = np.array([[0], [1], [2], [3], [4], [5], [3]], np.float32)
    return vectors, np.zeros((1, 1), np.float32)


def recall_of(found, line, k):
    vectors, query = line
    data = datasets.Dataset("line", "l2", vectors, query, query)
    kth = datasets.ground_truth(data, query, k)[1][:, -1]
    return measure.recall_at_k(np.array([found]), query, vectors, kth, "l2")[0]


def test_recall_counts_a_tie_with_the_kth_distance_as_a_hit(line):
    assert recall_of([0, 1, 2, 6], line, 4) == 1.0


def test_recall_counts_a_repeated_id_once(line):
    assert recall_of([0, 0, 1, 1], line, 4) == 0.5


def test_recall_counts_padding_and_impossible_ids_as_misses(line):
    assert recall_of([0, 1, -1, 99], line, 4) == 0.5


def test_recall_counts_a_farther_row_as_a_miss(line):
    assert recall_of([0, 1, 2, 5], line, 4) == 0.75


def test_short_answers_become_rows_padded_with_minus_one():
    rows = measure.as_rows([[4, 2], np.array([7], np.uint32), []], 3, 2)
    np.testing.assert_array_equal(rows, [[4, 2], [7, -1], [-1, -1]])


def test_qps_between_two_points_is_linear_in_its_logarithm():
    assert report.qps_at([(0.9, 1000.0), (1.0, 10.0)], 0.95) == pytest.approx(100.0)


def test_qps_below_the_lowest_recall_is_the_speed_measured_there():
    assert report.qps_at([(0.97, 500.0), (0.99, 100.0)], 0.9) == 500.0


def test_qps_at_a_recall_that_was_not_reached_is_none():
    assert report.qps_at([(0.8, 500.0), (0.89, 100.0)], 0.9) is None


def test_a_point_beaten_in_both_recall_and_speed_decides_nothing():
    points = [(0.9, 100.0), (0.92, 50.0), (0.95, 80.0)]
    assert report.pareto(points) == [(0.9, 100.0), (0.95, 80.0)]


class Slow:
    """An index that sleeps; its answers are right."""

    def search(self, queries, k):
        return [self.search_one(query, k) for query in queries]

    def search_one(self, query, k):
        import time

        time.sleep(0.0005)
        return np.arange(k)


@pytest.mark.parametrize("mode", measure.MODES)
def test_a_slow_index_is_asked_fewer_queries_rather_than_for_longer(mode):
    figures = measure.run(Slow(), np.zeros((2000, 4), np.float32), 3, mode, 0.05)
    assert figures["nq"] < 200
    assert figures["found"].shape == (figures["nq"], 3)
    assert 500 < figures["qps"] < 2000


def test_single_calls_report_their_percentiles():
    figures = measure.run(Slow(), np.zeros((60, 4), np.float32), 3, "single", 0.05)
    assert 0.4 < figures["p50_ms"] <= figures["p99_ms"]
