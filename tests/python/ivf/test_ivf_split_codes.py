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
