"""HNSW finds what a full scan finds, nearly always, at every filter and however it was built."""

import itertools

import numpy as np
import pytest
from clusters import clustered, recall
from oracle import METRICS, exact_distances

import nearfield as nf

N, DIM = 4000, 48


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(5)
    return clustered(rng, N, DIM), clustered(rng, 60, DIM)


@pytest.fixture(scope="module")
def built(data):
    index = nf.HNSW(DIM, "l2", M=8, ef_construction=60)
    index.add(data[0])
    index.validate()
    return index


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16, 32])
def test_recall_is_high_for_every_metric_and_code(metric, bits, data):
    vectors, queries = data
    index = nf.HNSW(DIM, metric, M=8, ef_construction=60, bits=bits)
    index.add(vectors)
    index.validate()
    assert index.stats()["search"] == "graph"
    assert index.stats()["isa"] == nf.build_config()["isa"]
    hits = index.search(queries, k=10, ef_search=200 if bits < 4 else 80)
    assert recall(hits, vectors, queries, metric) > (0.9 if bits < 4 else 0.97)


@pytest.mark.parametrize("rerank", ["float32", "float16", "bfloat16", "int8"])
def test_distances_are_those_of_the_stored_vectors(rerank, data):
    vectors, queries = data
    index = nf.HNSW(DIM, "l2", M=8, ef_construction=60, rerank=rerank)
    index.add(vectors)
    hits = index.search(queries, k=5)
    for row, query in enumerate(queries):
        stored = index.get(hits.ids[row])
        expected = ((stored.astype(np.float64) - query) ** 2).sum(axis=1)
        np.testing.assert_allclose(hits.distances[row], expected, rtol=1e-4)
        assert (np.diff(hits.distances[row]) >= 0).all()


@pytest.mark.parametrize("dim", [1, 2, 7, 63, 65, 200])
def test_any_dim_works(dim, rng):
    vectors = rng.standard_normal((900, dim), dtype=np.float32)
    index = nf.HNSW(dim, "l2", M=8, ef_construction=60)
    index.add(vectors)
    index.validate()
    queries = rng.standard_normal((20, dim), dtype=np.float32)
    assert recall(index.search(queries), vectors, queries, "l2") > 0.9


def test_one_by_one_and_batch_agree_on_nearly_all(built, data):
    _, queries = data
    batch = built.search(queries, k=10)
    single = np.stack([built.search(query, k=10).ids for query in queries])
    assert (batch.ids == single).mean() > 0.98


@pytest.mark.parametrize("bits", [4, 32])
@pytest.mark.parametrize("metric", ["cosine", "dot"])
def test_an_answer_does_not_depend_on_the_other_queries_of_the_call(bits, metric, rng):
    vectors, queries = clustered(rng, 1500, 24), clustered(rng, 4500, 24)
    index = nf.HNSW(24, metric, M=8, ef_construction=60, bits=bits)
    index.add(vectors)
    whole = index.search(queries, k=5, threads=2)
    order = rng.permutation(len(queries))
    mixed = index.search(queries[order], k=5, threads=1)
    np.testing.assert_array_equal(mixed.ids, whole.ids[order])
    np.testing.assert_array_equal(mixed.distances, whole.distances[order])
    # Pieces are of 64 queries, what is put in order of 4096.
    for n, threads in itertools.product((1, 5, 63, 65, 4095, 4097), (1, 7)):
        few = index.search(queries[:n], k=5, threads=threads)
        np.testing.assert_array_equal(few.ids, whole.ids[:n])
        np.testing.assert_array_equal(few.distances, whole.distances[:n])
    alone = np.stack([index.search(query, k=5).ids for query in queries[:200]])
    np.testing.assert_array_equal(alone, whole.ids[:200])
    let_in, odd = rng.permutation(1500)[:700], queries[1::2]
    some = index.search(queries, k=5, filter=let_in).ids
    np.testing.assert_array_equal(index.search(odd, k=5, filter=let_in).ids, some[1::2])


def test_higher_ef_search_finds_more(built, data):
    vectors, queries = data
    low = recall(built.search(queries, ef_search=10), vectors, queries, "l2")
    high = recall(built.search(queries, ef_search=150), vectors, queries, "l2")
    assert high > 0.995
    assert high >= low
    few = built.count_work(queries, ef_search=10)
    many = built.count_work(queries, ef_search=150)
    assert few["distances"] < many["distances"] < N
    assert few["hops"] < many["hops"]


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_the_same_input_gives_the_same_index_on_any_threads(threads, data):
    vectors, queries = data
    answers = []
    for count in (1, threads):
        index = nf.HNSW(DIM, "cosine", M=8, ef_construction=60, seed=3)
        index.add(vectors[:3000], threads=count)
        index.add(vectors[3000:3700], threads=count)
        index.remove(np.arange(0, 3000, 4), threads=count)
        index.update(np.arange(1, 400, 4), vectors[-100:], threads=count)
        index.validate()
        work = index.count_work(queries)
        answers.append((index.search(queries, threads=count), index.stats(), work))
    (one, stats, work), (other, stats_other, work_other) = answers
    np.testing.assert_array_equal(one.ids, other.ids)
    np.testing.assert_array_equal(one.distances, other.distances)
    assert stats == stats_other
    assert work == work_other


@pytest.mark.parametrize("share", [1.0, 0.5, 0.1, 0.02, 0.003, 0.0005, 0.0])
def test_filters_keep_recall_at_every_selectivity(share, built, data, rng):
    vectors, queries = data
    mask = rng.random(N) < share
    if share == 0.0005:
        mask[:] = False
        mask[[7, 1500]] = True
    hits = built.search(queries, k=10, filter=mask)
    assert ((hits.ids >= 0).sum(axis=1) == min(10, mask.sum())).all()
    assert mask[hits.ids[hits.ids >= 0]].all()
    if mask.any():
        k = min(10, int(mask.sum()))
        found = nf.Neighbors(hits.ids[:, :k], hits.distances[:, :k])
        assert recall(found, vectors, queries, "l2", k, mask) > 0.97
    for query in queries[:5]:
        single = built.search(query, k=10, filter=mask)
        assert (single.ids >= 0).sum() == min(10, mask.sum())


def test_a_filter_far_from_the_query_still_gives_its_nearest(data):
    vectors, queries = data
    far = vectors[:2000] + 60
    index = nf.HNSW(DIM, "l2", M=8, ef_construction=60)
    index.add(np.concatenate([vectors, far]))
    mask = np.arange(N + 2000) >= N
    hits = index.search(queries, k=10, filter=mask)
    everything = np.concatenate([vectors, far])
    assert recall(hits, everything, queries, "l2", 10, mask) > 0.97


def test_k_may_exceed_ef_search_default_and_size(built, data, rng):
    _, queries = data
    assert (built.search(queries[:3], k=500).ids >= 0).all()
    hits = built.search(queries[:2], k=N + 5)
    assert (hits.ids[:, :N] >= 0).all()
    assert (hits.ids[:, N:] == -1).all()
    assert len(set(hits.ids[0, :N].tolist())) == N


def test_range_search_finds_what_a_filter_lets_in_beyond_all_that_it_keeps_out(data):
    vectors, queries = data
    vectors = np.concatenate([vectors, vectors[:2500] + 20])
    index = nf.HNSW(DIM, "l2", M=8, ef_construction=60)
    index.add(vectors)
    mask = np.arange(len(vectors)) >= N
    truth = exact_distances(vectors, queries[:10], "l2")
    for share in (0.01, 0.2, 1.0):
        radius = float(np.quantile(truth[:, mask], share))
        found = index.range_search(queries[:10], radius, filter=mask)
        expected = [np.flatnonzero((row <= radius) & mask) for row in truth]
        right = sum(
            np.isin(found.ids[found.lims[i] : found.lims[i + 1]], expected[i]).sum()
            for i in range(10)
        )
        assert right > 0.97 * max(len(found.ids), sum(map(len, expected)))


@pytest.mark.parametrize("neighbors", [3, 60, 1500])
def test_range_search_finds_nearly_all_within_the_radius(neighbors, built, data):
    vectors, queries = data
    truth = exact_distances(vectors, queries[:10], "l2")
    radius = float(np.sort(truth, axis=1)[:, neighbors].mean())
    found = built.range_search(queries[:10], radius)
    total = right = 0
    for i in range(10):
        part = slice(found.lims[i], found.lims[i + 1])
        expected = set(np.flatnonzero(truth[i] <= radius).tolist())
        got = set(found.ids[part].tolist())
        assert (found.distances[part] <= radius).all()
        assert (np.diff(found.distances[part]) >= 0).all()
        total += len(expected)
        right += len(expected & got)
    assert right >= 0.97 * total
    assert built.range_search(queries[:2], -1.0).lims.tolist() == [0, 0, 0]


def test_progress_runs_from_nothing_to_all(data):
    seen = []
    nf.HNSW(DIM).add(data[0], progress=lambda done, total: seen.append((done, total)))
    assert all(0 <= done <= total for done, total in seen)
    assert seen == sorted(seen)


@pytest.mark.parametrize(
    "arguments,message",
    [
        ({"M": 3}, r"M must be in 4\.\.128, got 3"),
        ({"M": 129}, r"M must be in 4\.\.128, got 129"),
        ({"ef_construction": 0}, "ef_construction must be at least 1, got 0"),
        ({"ef_search": 70_000}, r"ef_search must be in 1\.\.65536, got 70000"),
        ({"bits": 3}, "bits must be 1, 2, 4, 8, 16 or 32, got 3"),
        ({"code_dim": -1}, r"code_dim must be in 0\.\.8, got -1"),
        ({"code_dim": 70_000}, r"code_dim must be in 0\.\.8, got 70000"),
        ({"max_memory": -1}, "max_memory must be at least 0, got -1"),
        ({"rerank": "float8"}, "rerank must be None or one of .* got 'float8'"),
        ({"metric": "euclid"}, "metric must be one of .* got 'euclid'"),
        ({"dim": 0}, r"dim must be in 1\.\.65536, got 0"),
    ],
)
def test_parameters_out_of_range_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        nf.HNSW(**{"dim": 8, **arguments})


def test_ef_search_below_k_is_refused(built, data):
    with pytest.raises(ValueError, match=r"ef_search must be at least k \(20\), got 15"):
        built.search(data[1], k=20, ef_search=15)
    with pytest.raises(ValueError, match=r"ef_search must be in 1\.\.65536, got 0"):
        built.search(data[1], ef_search=0)


def test_iter_search_gives_every_vector_once_and_nearly_in_order(built, data, rng):
    vectors, queries = data
    pages = list(built.iter_search(queries[0], k=300))
    assert [len(page.ids) for page in pages] == [300] * 13 + [100]
    ids = np.concatenate([page.ids for page in pages])
    assert np.array_equal(np.sort(ids), np.arange(N))
    expected = np.argsort(exact_distances(vectors, queries[:1], "l2")[0])
    for start in range(0, N, 300):
        part = slice(start, start + 300)
        assert len(np.intersect1d(ids[part], expected[part])) > 0.9 * len(ids[part])


def test_iter_search_goes_on_where_it_stopped_and_keeps_to_a_filter(built, data):
    _, queries = data
    allowed = np.arange(0, N, 7)
    pages = built.iter_search(queries[1], filter=allowed)
    first, second = next(pages), next(pages)
    both = built.search(queries[1], k=20, ef_search=200, filter=allowed)
    assert len(np.intersect1d(np.concatenate([first.ids, second.ids]), both.ids)) >= 19
    assert first.distances[-1] <= second.distances[0]
    rest = [id for page in pages for id in page.ids.tolist()]
    assert sorted([*first.ids, *second.ids, *rest]) == allowed.tolist()


def test_many_pages_hold_what_one_large_search_would(built, data):
    _, queries = data
    pages = built.iter_search(queries[2], k=20, ef_search=40)
    seen = np.concatenate([next(pages).ids for _ in range(30)])
    assert len(set(seen.tolist())) == 600
    truth = exact_distances(data[0], queries[2:3], "l2")[0].argsort()
    assert len(np.intersect1d(seen, truth[:600])) > 0.95 * 600


def test_iterating_over_an_index_that_changed_is_an_error(rng):
    index = nf.HNSW(8, "l2")
    index.add(rng.standard_normal((400, 8), dtype=np.float32), ids=[f"v{i}" for i in range(400)])
    for change in (
        lambda: index.add(np.ones((1, 8), np.float32), ids=["new"]),
        lambda: index.remove(["v3"]),
        lambda: index.update(["v4"], np.zeros((1, 8), np.float32)),
        lambda: index.compact(),
        lambda: index.optimize(),
    ):
        pages = index.iter_search(np.zeros(8, np.float32))
        assert next(pages).ids.shape == (10,)
        change()
        with pytest.raises(RuntimeError, match="index must not change"):
            next(pages)


@pytest.mark.parametrize(
    ("query", "k", "message"),
    [
        (np.zeros((1, 48)), 10, r"query must have shape \(48,\), got \(1, 48\)"),
        (np.zeros(48), 0, "k must be at least 1, got 0"),
    ],
)
def test_iter_search_refuses_bad_input(query, k, message, built):
    with pytest.raises(ValueError, match=message):
        built.iter_search(query, k)
