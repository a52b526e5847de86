"""Tuning, estimating and choosing with a graph."""

import sys

import numpy as np
import pytest

import nearfield as nf
from nearfield.evaluate import ground_truth, recall_at_k

DIM = 24


def clustered(n, seed):
    """Vectors round 40 centres that all seeds share."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(0).standard_normal((40, DIM))
    spread = 0.6 * rng.standard_normal((n, DIM))
    return (centres[rng.integers(0, 40, n)] + spread).astype(np.float32)


@pytest.fixture(scope="module")
def vectors():
    return clustered(8000, 1)


@pytest.fixture(scope="module")
def index(vectors):
    index = nf.HNSW(DIM, M=6, ef_construction=40, bits=2)
    index.add(vectors)
    return index


@pytest.mark.parametrize("seed", range(20))
def test_fresh_queries_reach_the_tuned_recall_on_a_graph(seed, index, vectors):
    target = [0.8, 0.9, 0.95, 0.98][seed % 4]
    found = index.tune(clustered(500, 100 + seed), recall=target, seconds=0)
    assert found.reached
    fresh = clustered(1000, 200 + seed)
    assert recall_at_k(index.search(fresh), ground_truth(vectors, fresh)) >= target - 0.01


@pytest.mark.parametrize("seed", range(3))
def test_fresh_queries_reach_the_recall_that_held_out_vectors_promise(seed, index, vectors):
    index.tune(recall=0.9, seed=seed, n_queries=500, seconds=0)
    fresh = clustered(1000, 300 + seed)
    assert recall_at_k(index.search(fresh), ground_truth(vectors, fresh)) >= 0.89
    assert len(index) == len(vectors)


def test_the_report_of_a_graph_has_a_curve_and_hops(index):
    report = index.evaluate(clustered(300, 7), seconds=0.05)
    assert report.kind == "hnsw"
    assert report.work["hops"] > 0
    recalls = [row.recall for row in report.sweep]
    assert recalls[0] < recalls[-1]
    assert "ef_search" in str(report)


def test_the_search_setting_of_a_graph_may_be_set(index):
    index.ef_search = 33
    assert index.ef_search == index.stats()["ef_search"] == 33
    with pytest.raises(ValueError, match="ef_search must be at least 1, got 0"):
        index.ef_search = 0


@pytest.mark.parametrize("params", [{}, {"M": 32, "bits": 8, "rerank": "float32"}])
@pytest.mark.parametrize(("n", "dim"), [(9000, 48), (300, 20)])
def test_a_graph_takes_what_was_estimated(n, dim, params):
    index = nf.HNSW(dim, **params)
    index.add(np.random.default_rng(0).standard_normal((n, dim), dtype=np.float32))
    told = nf.estimate(n, dim, **params).bytes
    measured = index.stats()["bytes"]
    assert told["total"] == pytest.approx(measured["total"], rel=0.1)
    for part in ("vectors", "codes", "links"):
        assert told[part] == pytest.approx(measured[part], rel=0.1)


def test_build_chooses_a_graph_that_reaches_the_recall(vectors):
    names = [f"v{i}" for i in range(len(vectors))]
    index = nf.build(vectors, recall=0.9, kind="hnsw", ids=names)
    assert isinstance(index, nf.HNSW)
    assert index.choice.startswith(f"HNSW(ef_search={index.ef_search}): recall@10 0.9")
    assert index.ids.tolist() == names  # so that a mask over the rows means what it says
    fresh = clustered(1000, 400)
    found = np.char.lstrip(index.search(fresh).ids.astype(str), "v").astype(int)
    assert recall_at_k(found, ground_truth(vectors, fresh)) >= 0.89


def test_build_falls_back_to_a_scan_when_graphs_do_not_reach(vectors, monkeypatch):
    nf.evaluate  # noqa: B018 - imports the modules, which share their names with functions
    modules = {name: sys.modules[f"nearfield.evaluate.{name}"] for name in ("build", "tune")}
    monkeypatch.setattr(modules["build"], "CHOICES", {"hnsw": [{"M": 4, "ef_construction": 4}]})
    monkeypatch.setattr(modules["tune"], "setting_range", lambda index, k: (k, k))
    index = nf.build(vectors, recall=0.999, queries=clustered(200, 5))
    assert isinstance(index, nf.Flat)
    assert "exact, as hnsw gave recall@10" in index.choice
