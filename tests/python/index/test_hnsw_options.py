"""HNSW's options: dimensions kept in codes, no codes at all, memory limits, tidying up."""

import subprocess
import sys
import textwrap

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


def test_codes_keep_all_dimensions_where_only_those_tell_the_nearest_apart(rng):
    """A trial on every third vector sees none of those that differ in what it would leave out."""
    seen = low_rank(rng, 4096, 30)
    near = np.repeat(seen[:160], 52, axis=0)[: 2 * 4096]
    near += 0.02 * rng.standard_normal(near.shape, dtype=np.float32)
    vectors = np.concatenate([seen[:, None], near.reshape(4096, 2, DIM)], axis=1).reshape(-1, DIM)
    index = nf.HNSW(DIM, "l2", M=8, ef_construction=60, bits=4)
    index.add(vectors)
    index.validate()
    assert index.stats()["code_dim"] == DIM
    assert recall(index.search(near[::80], ef_search=120), vectors, near[::80], "l2") > 0.95
    index = nf.HNSW(DIM, "l2", M=8, ef_construction=60, bits=4)
    index.add(seen)
    assert index.stats()["code_dim"] == 128


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


@pytest.mark.parametrize("metric", ["l2", "cosine", "dot"])
@pytest.mark.parametrize("bits,floor", [(4, 0.75), (8, 0.93)])
def test_without_vectors_answers_are_ranked_by_codes(metric, bits, floor, rng, tmp_path):
    vectors, queries = clustered(rng, 5000, 48), clustered(rng, 50, 48)
    index = nf.HNSW(48, metric, M=8, ef_construction=60, bits=bits, rerank=None)
    index.add(vectors[:4500])
    index.add(vectors[4500:])
    index.remove(np.arange(0, 900, 2))
    index.add(vectors[0:900:2], ids=np.arange(0, 900, 2))
    index.validate()
    facts = index.stats()
    assert facts["rerank"] == "none"
    assert facts["bytes"]["vectors"] == 0
    assert facts["bytes"]["total"] < len(vectors) * index._core.vector_bytes * 1.15
    hits = index.search(queries, ef_search=80)
    assert recall(hits, vectors, queries, metric) > floor
    stored = index.get([7, 4999])
    unit = np.linalg.norm(vectors[[7, 4999]], axis=1)[:, None] if metric == "cosine" else 1.0
    error = np.linalg.norm(stored - vectors[[7, 4999]] / unit, axis=1)
    assert (error < (0.2 if bits == 4 else 0.02) * np.linalg.norm(vectors[0] / np.min(unit))).all()
    if metric == "l2":
        expected = ((index.get(hits.ids[0]) - queries[0]) ** 2).sum(axis=1)
        np.testing.assert_allclose(hits.distances[0], expected, rtol=0.1)
    index.save(tmp_path / "codes.nf")
    loaded = nf.load(tmp_path / "codes.nf")
    loaded.validate()
    assert loaded._params == index._params
    np.testing.assert_array_equal(loaded.search(queries).ids, index.search(queries).ids)
    few = index.search(queries, filter=np.arange(40))
    assert (few.ids >= 0).all()


def test_vectors_are_kept_until_codes_can_be_trained(rng):
    vectors = clustered(rng, 4200, 32)
    index = nf.HNSW(32, "l2", M=8, ef_construction=40, bits=8, rerank=None)
    index.add(vectors[:3000])
    np.testing.assert_array_equal(index.get([5]), vectors[[5]].astype(np.float16))
    index.add(vectors[3000:])
    assert index.stats()["bytes"]["vectors"] == 0
    index.remove(np.arange(4200))
    assert len(index) == 0
    index.add(vectors[:300])
    index.validate()


@pytest.mark.parametrize("options", [{"bits": 16}, {"bits": 32}, {"code_dim": 20}])
def test_no_vectors_and_no_codes_of_them_are_refused(options):
    with pytest.raises(ValueError, match="must"):
        nf.HNSW(32, rerank=None, **options)


def test_bits_fit_the_vectors_unless_they_are_given(rng, tmp_path):
    queries = clustered(rng, 30, 32)
    near = clustered(rng, 2000, 32)
    far = rng.standard_normal((40, 32), dtype=np.float32)[np.arange(2000) % 40] * 100
    for vectors, options, bits in [
        (near, {}, 4),
        (near + far / 4, {}, 8),
        (near / 4 + far, {}, 16),
        (near / 4 + far, {"rerank": "float32"}, 32),
        (near / 4 + far, {"rerank": "int8"}, 8),
        (near / 4 + far, {"bits": 4}, 4),
    ]:
        index = nf.HNSW(32, "l2", M=8, ef_construction=40, **options)
        index.add(vectors.astype(np.float32))
        index.validate()
        assert index.stats()["bits"] == bits, options
        index.save(tmp_path / "saved.nf")
        loaded = nf.load(tmp_path / "saved.nf")
        assert loaded._params == index._params
        assert loaded._empty_like()._params == index._params
        np.testing.assert_array_equal(loaded.search(queries).ids, index.search(queries).ids)


def strangers(rng, n, dim=32):
    """Queries between the clusters, where neighbors are not each other's."""
    pairs = clustered(rng, 2 * n, dim)
    return (pairs[:n] + pairs[n:]) / 2


@pytest.mark.parametrize("metric", ["l2", "dot"])
def test_adapting_to_queries_finds_more_for_others_like_them(metric, rng, tmp_path):
    vectors = clustered(rng, 4000, 32, centres=60)
    index = nf.HNSW(32, metric, M=8, ef_construction=60, seed=1)
    index.add(vectors)
    sample, queries = strangers(rng, 2000), strangers(rng, 200)
    index.save(tmp_path / "plain.nf")
    before = recall(index.search(queries, ef_search=16), vectors, queries, metric)
    index.adapt(sample)
    index.validate()
    after = recall(index.search(queries, ef_search=16), vectors, queries, metric)
    assert after > before + 0.01
    again = nf.load(tmp_path / "plain.nf")
    again.adapt(sample, threads=1)
    index.save(tmp_path / "adapted.nf")
    for other in (again, nf.load(tmp_path / "adapted.nf")):
        np.testing.assert_array_equal(other.search(queries).ids, index.search(queries).ids)
    index.add(vectors[:50] + 0.01)
    index.validate()


def test_adapting_needs_queries_of_the_right_dim_and_does_nothing_where_all_are_measured(rng):
    index = nf.HNSW(8, "l2")
    index.add(rng.standard_normal((50, 8), dtype=np.float32))
    index.adapt(np.zeros((3, 8)))
    for bad in (np.zeros((3, 9)), np.full((3, 8), np.nan)):
        with pytest.raises(ValueError, match="queries must"):
            index.adapt(bad)


@pytest.mark.parametrize(
    "dim,rerank,most",
    [(128, "float16", 1.15), (768, "float16", 0.75), (128, "int8", 0.9), (768, "int8", 0.5)],
)
def test_codes_links_and_vectors_take_no_more_than_promised(dim, rerank, most, rng):
    index = nf.HNSW(dim, "l2", ef_construction=20, code_dim=dim, rerank=rerank, bits=4)
    index.add(rng.standard_normal((6000, dim), dtype=np.float32))
    parts = index.stats()["bytes"]
    taken = parts["codes"] + parts["links"] + parts["vectors"]
    assert taken <= most * 6000 * dim * 4


def test_projected_queries_are_answered_alone_as_together(reduced):
    index, _, queries = reduced
    assert index.stats()["code_dim"] < DIM
    together = index.search(queries, k=10, ef_search=40, threads=1)
    for i, query in enumerate(queries):
        alone = index.search(query, k=10, ef_search=40)
        assert alone.ids.tolist() == together.ids[i].tolist()
        np.testing.assert_array_equal(alone.distances, together.distances[i])


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("rerank", ["float16", "int8"])
def test_a_build_holds_at_most_half_as_much_again_as_the_index(rerank):
    code = f"""
        import numpy as np, nearfield as nf
        def memory(name):
            lines = open("/proc/self/status").read().splitlines()
            return 1024 * next(int(line.split()[1]) for line in lines if line.startswith(name))
        vectors = np.random.default_rng(0).standard_normal((60_000, 128), dtype=np.float32)
        index = nf.HNSW(128, "l2", ef_construction=32, rerank={rerank!r})
        nf.HNSW(8, "l2").add(vectors[:300, :8])  # threads and their memory
        open("/proc/self/clear_refs", "w").write("5")  # the highest begins anew
        before = memory("VmRSS")
        index.add(vectors, threads=2)
        print(memory("VmHWM") - before - 1.5 * index.stats()["bytes"]["total"])
    """
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=600
    )
    assert ran.returncode == 0, ran.stderr
    assert float(ran.stdout) <= 6e6  # for the sample and the threads, however large the index
