"""Codes in two parts: what their first bits rule out inside lists, against float64."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracle import exact_distances

import nearfield as nf


@pytest.mark.parametrize("metric", ["l2", "cosine", "dot"])
@given(
    seed=st.integers(0, 2**32), bits=st.sampled_from([3, 5]), dim=st.integers(12, 200),
    nlist=st.integers(1, 9), stretch=st.floats(0, 3),
)  # fmt: skip
@settings(max_examples=12, deadline=None)
def test_first_bits_rule_out_hardly_any_row_that_whole_codes_would_rank_first(
    metric, seed, bits, dim, nlist, stretch
):
    rng = np.random.default_rng(seed)
    weights = np.exp(-stretch * np.arange(dim) / dim * 2)
    vectors = (rng.standard_normal((900, dim)) * weights).astype(np.float32)
    queries = (rng.standard_normal((16, dim)) * weights).astype(np.float32)
    index = nf.IVFPQ(dim, metric, nlist, bits=bits, rerank=None, seed=seed % 1000)
    index.train(vectors)
    index.add(vectors)
    whole = index.search(queries, k=900, nprobe=index.nlist)  # nothing is ruled out
    few = index.search(queries, k=10, nprobe=index.nlist)
    same = [len(np.intersect1d(a, b)) for a, b in zip(whole.ids[:, :10], few.ids, strict=True)]
    assert np.mean(same) > 9
    exact = np.take_along_axis(exact_distances(vectors, queries, metric), whole.ids, axis=1)
    off = whole.distances - exact
    norms = np.linalg.norm(vectors - vectors.mean(0), axis=1).mean()
    scale = norms / np.linalg.norm(vectors, axis=1).mean() if metric == "cosine" else norms
    reach = scale * (1 if metric == "cosine" else np.linalg.norm(queries, axis=1).mean() + norms)
    assert np.sqrt((off**2).mean()) < (0.5 if bits == 3 else 0.14) * reach / np.sqrt(dim)
    assert abs(off.mean()) < 0.2 * reach / np.sqrt(dim)


def clustered(rng, n, dim, n_clusters):
    centres = np.random.default_rng(0).standard_normal((400, dim))
    noise = 0.4 * rng.standard_normal((n, dim))
    return (centres[np.sort(rng.integers(0, n_clusters, n))] + noise).astype(np.float32)


@pytest.mark.parametrize("metric", ["l2", "cosine", "dot"])
@pytest.mark.parametrize("bits", [3, 5])
@pytest.mark.parametrize("dim", [200, 384])
def test_heads_of_first_bits_spare_most_of_a_long_list_and_lose_nothing(metric, bits, dim, rng):
    vectors, queries = clustered(rng, 20_000, dim, 400), clustered(rng, 40, dim, 60)

    def made(rows):
        index = nf.IVFPQ(dim, metric, 1, bits=bits, rerank=None)
        index.train(vectors[:2000])
        index.add(rows)
        return index

    index = made(vectors)  # the nearest come early, so the others can be ruled out
    pieces = np.split(vectors, 5)  # in lists this short every first bit is summed
    found = [made(rows).search(queries, k=10) for rows in pieces]
    ids = np.hstack([part.ids + 4000 * i for i, part in enumerate(found)])
    order = np.argsort(np.hstack([part.distances for part in found]), axis=1, kind="stable")
    expected = np.take_along_axis(ids, order[:, :10], axis=1)
    for got in (index.search(queries, k=10).ids, [index.search(q, k=10).ids for q in queries]):
        same = [len(np.intersect1d(a, b)) for a, b in zip(expected, np.vstack(got), strict=True)]
        assert np.mean(same) > 9.8
    bytes_of_first_bits = 20_000 * -(-dim // 16) * 2
    if metric != "dot":
        assert index.count_work(queries, 10)["bytes"] < 0.7 * bytes_of_first_bits
