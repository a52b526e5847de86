"""nearfield.build and nearfield.estimate know inverted lists."""

import warnings

import numpy as np
import pytest
from clusters import clustered, recall

import nearfield as nf


@pytest.mark.parametrize("given", [False, True])
def test_build_makes_lists_that_reach_the_recall(given):
    vectors = clustered(np.random.default_rng(1), 6000, 24)
    queries = clustered(np.random.default_rng(2), 200, 24)
    index = nf.build(vectors, "l2", 0.9, kind="ivfpq", queries=queries if given else None)
    assert isinstance(index, nf.IVFPQ)
    assert index.choice.startswith("IVFPQ(nprobe=")
    assert len(index) == 6000
    assert recall(index.search(queries), vectors, queries, "l2") > 0.88


def test_build_refuses_an_unknown_kind():
    with pytest.raises(ValueError, match="kind must be 'hnsw' or 'ivfpq', got 'tree'"):
        nf.build(np.eye(4), kind="tree")


@pytest.mark.parametrize(
    "params", [{}, {"nlist": 300, "bits": 8}, {"codes": "pq", "pq_m": 8, "rerank": None}]
)
def test_lists_take_what_was_estimated(params, rng):
    n, dim = 40_000, 32
    told = nf.estimate(n, dim, kind="ivfpq", **params)
    index = nf.IVFPQ(dim, **params)
    vectors = rng.standard_normal((n, dim), dtype=np.float32)
    index.train(vectors)
    index.add(vectors)
    assert told.bytes["total"] == pytest.approx(index.stats()["bytes"]["total"], rel=0.1)


def test_fewer_lists_than_the_default_nprobe_are_all_opened():
    vectors = np.random.default_rng(0).standard_normal((300, 8), dtype=np.float32)
    index = nf.IVFPQ(8, "l2")
    assert index.nprobe == 24
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # so few vectors make a poor sample
        index.train(vectors)
    index.add(vectors)
    assert index.nlist < 24
    assert index.nprobe == index.nlist
    assert index.evaluate(vectors[:20], k=5).recall.mean == 1.0
