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
    "params",
    [
        {},
        {"nlist": 300, "bits": 8},
        {"codes": "pq", "pq_m": 8, "rerank": None},
        {"soar": True, "bits": 5},
    ],
)
def test_lists_take_what_was_estimated(params, rng):
    n, dim = 40_000, 32
    told = nf.estimate(n, dim, kind="ivfpq", **params)
    index = nf.IVFPQ(dim, **params)
    vectors = rng.standard_normal((n, dim), dtype=np.float32)
    index.train(vectors)
    index.add(vectors)
    assert told.bytes["total"] == pytest.approx(index.stats()["bytes"]["total"], rel=0.1)


def sum_of_parts(n, dim, bits, nlist):
    """Bytes of a vector (code; factors, slot and list; id), and of a list (half a block; more)."""
    code = dim * bits / 8
    return n * (code + 12 + 8.125) + nlist * (16 * code + 6 * dim + 412)


@pytest.mark.parametrize(("n", "nlist"), [(60_000, 16), (60_000, 512), (150_000, 256)])
def test_the_memory_of_codes_is_a_sum_of_parts_from_which_a_hundred_million_follow(n, nlist, rng):
    index = nf.IVFPQ(128, nlist=nlist, rerank=None)
    vectors = rng.standard_normal((n, 128), dtype=np.float32)
    index.train(vectors[: 32 * nlist])
    index.add(vectors)
    taken = index.stats()["bytes"]["total"]
    told = nf.estimate(n, 128, kind="ivfpq", nlist=nlist, rerank=None).bytes["total"]
    assert sum_of_parts(n, 128, 4, nlist) == pytest.approx(taken, rel=0.03)
    assert told == pytest.approx(taken, rel=0.03)
    many = 100_000_000
    told = nf.estimate(many, 128, kind="ivfpq", nlist=65_536, rerank=None).bytes["total"]
    assert told == pytest.approx(sum_of_parts(many, 128, 4, 65_536), rel=0.01)
    assert told < 9e9  # so they fit a machine of 24 GiB, beside their rows on disk


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
