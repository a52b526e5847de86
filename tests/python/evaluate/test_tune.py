"""Tuning and sweeping."""

from functools import wraps

import numpy as np
import pytest
from graded_index import Graded

import nearfield as nf
from nearfield.evaluate import SweepRow, ground_truth, pareto_front, recall_at_k, sweep
from nearfield.evaluate.report import table


@pytest.fixture(scope="module")
def vectors():
    return np.random.default_rng(1).standard_normal((3000, 12), dtype=np.float32)


@pytest.mark.parametrize("seed", range(20))
def test_fresh_queries_reach_the_recall_that_was_asked_for(seed, vectors):
    rng = np.random.default_rng(100 + seed)
    target = [0.8, 0.9, 0.95, 0.99][seed % 4]
    index = Graded(12, hardness=rng.uniform(2, 6))
    index.add(vectors)
    found = index.tune(rng.standard_normal((400, 12)), recall=target, seconds=0)
    assert found.reached
    assert index.ef_search == found.setting["ef_search"]
    fresh = rng.standard_normal((600, 12)).astype(np.float32)
    truth = ground_truth(vectors, fresh)
    assert recall_at_k(index.search(fresh), truth) >= target - 0.01
    # ... and no more is spent than the interval asks for: the expected miss is hardness / ef.
    assert index.ef_search <= max(10, 3 * index.hardness / (1 - target))


def test_vectors_that_are_asked_are_asked_of_an_index_without_them(vectors, monkeypatch):
    sizes = []
    searched = Graded.search

    @wraps(searched)
    def search(own, *arguments, **options):
        sizes.append(len(own))
        return searched(own, *arguments, **options)

    monkeypatch.setattr(Graded, "search", search)
    index = Graded(12)
    names = [f"v{i}" for i in range(len(vectors))]
    index.add(vectors, ids=names)
    found = index.tune(recall=0.9, n_queries=50, seconds=0)
    assert set(sizes) == {len(vectors) - 50}
    assert found.n_queries == 50
    assert index.ids.tolist() == names
    assert index.ef_search == found.setting["ef_search"]


def test_a_flat_index_has_nothing_to_tune(vectors):
    index = nf.Flat(12)
    index.add(vectors)
    found = index.tune(vectors[:100])
    assert found.setting == {}
    assert found.recall.mean == 1.0
    assert "exact, there is nothing to set" in str(found)


def test_tuning_warns_when_the_recall_is_out_of_reach(vectors):
    index = Graded(12, hardness=2000)
    index.add(vectors[:400])
    with pytest.warns(UserWarning, match="recall 0.95 was not reached"):
        found = index.tune(vectors[:50], recall=0.95)
    assert not found.reached
    assert index.ef_search == 400
    assert "short of the 0.95 asked for" in str(found)


def test_the_table_shows_every_setting_and_marks_the_chosen(vectors):
    index = Graded(12, hardness=3)
    index.add(vectors)
    found = index.tune(vectors[:200], recall=0.9, seconds=0)
    lines = str(found).splitlines()
    assert len(lines) == 2 + len(found.rows)
    chosen = [line for line in lines if line.startswith("*")]
    assert len(chosen) == 1
    assert chosen[0].split()[1] == str(index.ef_search)


def test_sweep_measures_the_settings_it_is_given(vectors):
    index = Graded(12, hardness=3)
    index.add(vectors)
    queries = vectors[:100] + 0.1
    rows = sweep(index, queries, ground_truth(vectors, queries, 10), [80, 20, 20])
    assert [row.setting for row in rows] == [{"ef_search": 20}, {"ef_search": 80}]
    assert rows[0].recall < rows[1].recall
    assert all(row.qps > 0 for row in rows)


def test_the_pareto_front_keeps_what_nothing_beats():
    rows = [
        SweepRow({"ef_search": i}, recall, qps, np.array([recall]))
        for i, (recall, qps) in enumerate([(0.8, 100), (0.7, 90), (0.9, 50), (0.9, 40), (1.0, 50)])
    ]
    assert [row.setting["ef_search"] for row in pareto_front(rows)] == [0, 4]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"recall": 0}, r"recall must be in \(0, 1\], got 0"),
        ({"recall": 95}, r"recall must be in \(0, 1\], got 95"),
        ({"k": 0}, r"k must be in 1\.\.3000.* got 0"),
        ({"k": 5000}, r"k must be in 1\.\.3000.* got 5000"),
        ({"queries": np.empty((0, 12))}, "queries must hold at least one row"),
        ({"queries": np.ones((3, 5))}, r"\(n, 5\), got \(3000, 12\)|\(n, 12\), got \(3, 5\)"),
        ({"queries": None, "truth": [[1]]}, "truth must come with its queries"),
        ({"truth": [[1], [2]], "k": 1}, "found must have one row for each row of truth"),
    ],
)
def test_tune_refuses_what_makes_no_sense(options, says, vectors):
    index = Graded(12)
    index.add(vectors)
    with pytest.raises(ValueError, match=says):
        index.tune(**{"queries": vectors[:5], **options})
    assert index.ef_search == 64


def test_a_table_says_what_its_marks_mean():
    rows = [
        SweepRow({"ef_search": i}, recall, qps, np.array([recall]))
        for i, (recall, qps) in enumerate([(0.5, 900), (0.8, 600), (0.7, 300), (0.9, 100)])
    ]
    head, *lines = table(rows, {"ef_search": 1}).splitlines()
    assert head.endswith("(* chosen, - another is as good and faster)")
    assert [line[0] for line in lines] == [" ", "*", "-", " "]
    assert "(" not in table(rows[:2])
