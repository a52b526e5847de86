"""Graphs for inner products: the answers are long vectors, which are near nothing."""

import numpy as np
import pytest
from clusters import recall

import nearfield as nf

N, DIM = 6000, 64


def rows(seed, spread, n=N):
    """Gaussian vectors, their lengths stretched at random."""
    rng = np.random.default_rng(seed)
    stretched = rng.lognormal(0, spread, (n, 1))
    return (rng.standard_normal((n, DIM)) * stretched).astype(np.float32)


def found(index, vectors, ids=None):
    """Recall at ef_search 40 of queries as long as any."""
    queries = rows(9, 0, 200)
    hits = index.search(queries, ef_search=40)
    if ids is not None:
        hits = hits._replace(ids=np.searchsorted(ids, hits.ids))
    return recall(hits, vectors, queries, "dot")


@pytest.fixture(scope="module", params=[0.0, 0.5], ids=["alike", "stretched"])
def built(request):
    vectors = rows(0, request.param)
    index = nf.HNSW(DIM, "dot")
    index.add(vectors)
    return index, vectors


def test_few_candidates_find_most_of_the_largest_products(built):
    index, vectors = built
    index.validate()
    assert found(index, vectors) > 0.8  # 0.5 and 0.4 where links lead to near vectors alone


def test_vectors_added_later_are_found_too(built):
    _, vectors = built
    index = nf.HNSW(DIM, "dot")
    index.add(vectors[: N * 3 // 4])
    index.add(vectors[N * 3 // 4 :])
    index.validate()
    assert found(index, vectors) > 0.7


def test_removing_many_leaves_the_ways_to_large_products(built):
    _, vectors = built
    index = nf.HNSW(DIM, "dot")
    index.add(vectors)
    gone = np.random.default_rng(5).random(N) < 0.25
    index.remove(np.flatnonzero(gone))
    index.validate()
    fresh = nf.HNSW(DIM, "dot")
    fresh.add(vectors[~gone])
    kept = np.flatnonzero(~gone)
    assert found(index, vectors[~gone], kept) > found(fresh, vectors[~gone]) - 0.05


def test_the_graph_is_the_same_for_any_number_of_threads(tmp_path):
    files = []
    for threads in (1, 4):
        index = nf.HNSW(DIM, "dot")
        index.add(rows(0, 0.3, 3000), threads=threads)
        index.save(tmp_path / f"{threads}.nf")
        files.append((tmp_path / f"{threads}.nf").read_bytes())
    assert files[0] == files[1]
