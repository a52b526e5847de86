"""HNSW's options: dimensions kept in codes, no codes at all, memory limits, tidying up."""

import numpy as np
import pytest
from clusters import clustered, recall

import nearfield as nf

DIM = 400


def low_rank(rng, n, rank, dim=DIM):
    """Vectors in which few directions hold nearly all variance."""
    basis = np.linalg.qr(np.random.default_rng(1).standard_normal((dim, dim)))[0]
    spread = np.where(np.arange(dim) < rank, 1.0, 0.01)
    centres = np.random.default_rng(2).standard_normal((50, dim))
    rows = centres[rng.integers(50, size=n)] + 0.6 * rng.standard_normal((n, dim))
    return ((rows * spread) @ basis).astype(np.float32)


@pytest.fixture(scope="module")
def reduced():
    rng = np.random.default_rng(3)
    vectors = low_rank(rng, 5000, 60)
    index = nf.HNSW(DIM, "l2", M=8, ef_construction=60)
    index.add(vectors)
    return index, vectors, low_rank(rng, 50, 60)


def test_codes_keep_few_dimensions_where_those_tell_neighbors(reduced):
    index, vectors, queries = reduced
    index.validate()
    facts = index.stats()
    assert facts["code_dim"] == 128
    assert facts["bytes"]["codes"] < 5100 * (128 // 2 + 4)
    assert recall(index.search(queries, ef_search=80), vectors, queries, "l2") > 0.97


def test_codes_keep_all_dimensions_where_each_counts_or_the_user_says_so(rng, reduced):
    index = nf.HNSW(DIM, "l2", M=8, ef_construction=40)
    index.add(rng.standard_normal((4096, DIM), dtype=np.float32))
    assert index.stats()["code_dim"] == DIM
    index = nf.HNSW(DIM, "l2", M=8, ef_construction=40, code_dim=DIM)
    index.add(reduced[1])
    assert index.stats()["code_dim"] == DIM


@pytest.mark.parametrize("metric", ["cosine", "l2", "dot"])
def test_a_number_of_dimensions_may_be_asked_for(metric, reduced):
    _, vectors, queries = reduced
    index = nf.HNSW(DIM, metric, M=8, ef_construction=60, code_dim=100)
    index.add(vectors)
    index.validate()
    assert index.stats()["code_dim"] == (DIM if metric == "dot" else 100)
    hits = index.search(queries, ef_search=100)
    assert recall(hits, vectors, queries, metric) > (0.9 if metric == "dot" else 0.97)


@pytest.mark.parametrize(
    "options", [{}, {"code_dim": 100}, {"bits": 2, "code_dim": 77}, {"bits": 16}, {"bits": 32}]
)
def test_an_index_with_options_is_saved_and_loaded_whole(options, reduced, tmp_path):
    _, vectors, queries = reduced
    index = nf.HNSW(DIM, "l2", M=8, ef_construction=40, **options)
    index.add(vectors[:3000])
    index.save(tmp_path / "saved.nf")
    for mmap in (False, True):
        loaded = nf.load(tmp_path / "saved.nf", mmap=mmap)
        loaded.validate()
        for one in (queries, queries[0]):
            np.testing.assert_array_equal(loaded.search(one).ids, index.search(one).ids)
    assert nf.load(tmp_path / "saved.nf")._params == index._params
    loaded = nf.load(tmp_path / "saved.nf")
    for grown in (index, loaded):
        grown.add(vectors[3000:3100])
    np.testing.assert_array_equal(loaded.search(queries).ids, index.search(queries).ids)


@pytest.mark.parametrize("bits,dtype", [(16, "float16"), (32, "float32")])
def test_without_codes_the_vectors_are_walked_on(bits, dtype, rng):
    vectors = clustered(rng, 3000, 32)
    index = nf.HNSW(32, "l2", M=8, ef_construction=60, bits=bits, rerank="int8")
    index.add(vectors)
    facts = index.stats()
    assert facts["rerank"] == dtype
    assert facts["bytes"]["codes"] < 3000 * 8
    np.testing.assert_array_equal(index.get([5]), vectors[[5]].astype(dtype))
    index.remove(np.arange(0, 3000, 3))
    index.add(vectors[::3], ids=np.arange(0, 3000, 3))
    index.validate()
    queries = clustered(rng, 50, 32)
    assert recall(index.search(queries), vectors, queries, "l2") > 0.97


def test_optimize_gives_room_back_and_leaves_answers(rng):
    vectors = clustered(rng, 4000, 32)
    index = nf.HNSW(32, "l2", M=8, ef_construction=60)
    index.add(vectors)
    index.optimize()
    index.validate()
    index.remove(np.arange(0, 4000, 15))
    before = index.stats()["bytes"]["links"]
    index.optimize()
    index.validate()
    assert index.stats()["bytes"]["links"] < before
    left = np.setdiff1d(np.arange(4000), np.arange(0, 4000, 15))
    np.testing.assert_array_equal(index.ids, left)
    np.testing.assert_allclose(index.get(left), vectors[left], rtol=1e-3, atol=1e-3)
    queries = clustered(rng, 50, 32)
    hits = index.search(queries)
    allowed = np.isin(np.arange(4000), left)
    assert recall(hits, vectors, queries, "l2", allowed=allowed) > 0.97
    index.add(vectors[::15], ids=np.arange(0, 4000, 15))
    index.validate()


def test_optimize_of_little_or_nothing_is_harmless():
    index = nf.HNSW(4)
    index.optimize()
    index.add(np.eye(4))
    index.optimize()
    index.validate()
    assert len(index) == 4


def test_more_than_max_memory_is_refused_before_anything_changes(rng):
    vectors = rng.standard_normal((1000, 64), dtype=np.float32)
    index = nf.HNSW(64, "l2", max_memory=300_000)
    index.add(vectors[:500])
    assert index.stats()["bytes"]["total"] <= 300_000
    with pytest.raises(nf.errors.ResourceLimit, match="vectors must fit max_memory") as caught:
        index.add(vectors[500:])
    assert caught.value.needed > caught.value.limit == 300_000
    assert len(index) == 500
    index.add(vectors[500])


def test_one_query_is_answered_alike_however_it_is_given(reduced):
    index, _, queries = reduced
    expected = index.search(queries[0], 7, ef_search=50, threads=2)
    assert isinstance(expected, nf.index.Neighbors)
    assert expected.ids.dtype == np.int64
    assert expected.distances.dtype == np.float32
    strided = np.zeros(2 * DIM, np.float32)[::2]
    strided[:] = queries[0]
    for given in (queries[0].tolist(), queries[0].astype(np.float64), strided, queries[:1][0]):
        hits = index.search(given, k=7, ef_search=50)
        np.testing.assert_array_equal(hits.ids, expected.ids)
        np.testing.assert_allclose(hits.distances, expected.distances, rtol=1e-6)
    allowed = index.search(queries[0], 7, ef_search=50, filter=index.ids)
    np.testing.assert_array_equal(allowed.ids, expected.ids)


@pytest.mark.parametrize(
    "query,options,message",
    [
        (np.ones(DIM + 1, np.float32), {}, "queries must have shape"),
        (np.full(DIM, np.nan, np.float32), {}, "queries must be finite, got nan"),
        (np.ones(DIM, np.float32), {"k": 0}, "k must be at least 1, got 0"),
        (np.ones(DIM, np.float32), {"k": 20, "ef_search": 15}, "ef_search must be at least k"),
        (np.ones(DIM, np.float32), {"ef_search": 0}, r"ef_search must be in 1\.\.65536, got 0"),
        (np.ones(DIM, np.float32), {"threads": -1}, "threads"),
    ],
)
def test_one_bad_query_is_refused(query, options, message, reduced):
    with pytest.raises(ValueError, match=message):
        reduced[0].search(query, **options)
