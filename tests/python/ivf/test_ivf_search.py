"""IVFPQ finds what a full scan finds, for every code and metric, one query or many at a time."""

import numpy as np
import pytest
from clusters import clustered, recall
from oracle import METRICS, exact_distances

import nearfield as nf

N, DIM = 4000, 48
CODES = [*[("rabitq", bits) for bits in (1, 2, 3, 4, 5, 8)], ("pq", 4), ("pq", 8)]


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(5)
    return clustered(rng, N, DIM), clustered(rng, 60, DIM)


def made(vectors, metric="l2", nlist=40, **options):
    index = nf.IVFPQ(vectors.shape[1], metric, nlist, **options)
    index.train(vectors)
    index.add(vectors)
    index.validate()
    return index


@pytest.fixture(scope="module")
def built(data):
    return made(data[0])


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(("codes", "bits"), CODES)
def test_recall_is_high_for_every_metric_and_code(metric, codes, bits, data):
    vectors, queries = data
    pq_m = 12 if codes == "pq" else None
    index = made(vectors, metric, codes=codes, bits=bits, pq_m=pq_m)
    hits = index.search(queries, k=10, nprobe=20)
    assert recall(hits, vectors, queries, metric) > 0.95
    for row, query in enumerate(queries[:5]):
        alone = index.search(query, k=10, nprobe=20)
        np.testing.assert_array_equal(alone.ids, hits.ids[row])
        np.testing.assert_array_equal(alone.distances, hits.distances[row])


# Less than codes reach, and more than codes of a bit less do, from 4 bits down.
FLOORS = {"rabitq": {1: 0.7, 2: 0.84, 3: 0.91, 4: 0.95, 5: 0.97, 8: 0.99}, "pq": {4: 0.85, 8: 0.95}}


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(("codes", "bits"), CODES)
def test_codes_alone_reach_their_recall_floor(metric, codes, bits, data):
    vectors, queries = data
    index = made(vectors, metric, codes=codes, bits=bits, rerank=None)
    hits = index.search(queries, k=10, nprobe=40)
    assert recall(hits, vectors, queries, metric) > FLOORS[codes][bits]
    truth = np.take_along_axis(exact_distances(vectors, queries, metric), hits.ids, axis=1)
    spread = exact_distances(vectors, queries, metric).std()
    assert np.abs(hits.distances - truth).mean() < (0.3 if bits < 4 else 0.12) * spread


@pytest.mark.parametrize(("dim", "bits"), [(47, 4), (47, 8), (35, 4)])
def test_product_codes_of_dims_with_few_divisors_reach_the_same_floor(dim, bits, data, tmp_path):
    vectors, queries = (np.ascontiguousarray(rows[:, :dim]) for rows in data)
    index = made(vectors, codes="pq", bits=bits, rerank=None)
    hits = index.search(queries, k=10, nprobe=40)
    assert recall(hits, vectors, queries, "l2") > FLOORS["pq"][bits]
    index.save(tmp_path / "a.nf")
    again = nf.load(tmp_path / "a.nf")
    np.testing.assert_array_equal(again.search(queries, k=10, nprobe=40).ids, hits.ids)


@pytest.mark.parametrize("metric", METRICS)
def test_two_part_codes_read_little_and_find_what_whole_ones_find(metric):
    rng = np.random.default_rng(7)
    vectors = rng.standard_normal((20_000, 256), dtype=np.float32)
    queries = vectors[:20] + 0.3 * rng.standard_normal((20, 256), dtype=np.float32)
    found = {}
    for bits in (4, 5):
        index = made(vectors, metric, 4, bits=bits, rerank=None)
        found[bits] = recall(index.search(queries, nprobe=4), vectors, queries, metric)
        if bits == 5:
            work = index.count_work(queries, nprobe=4)
            assert work["bytes"] < 0.5 * work["distances"] * 256 * 5 / 8
    assert found[5] >= found[4]


@pytest.mark.parametrize("rerank", ["float32", "float16", "bfloat16", "int8"])
def test_distances_are_those_of_the_stored_vectors(rerank, data):
    vectors, queries = data
    index = made(vectors, rerank=rerank)
    hits = index.search(queries, k=5)
    for row, query in enumerate(queries):
        stored = index.get(hits.ids[row])
        expected = ((stored.astype(np.float64) - query) ** 2).sum(axis=1)
        np.testing.assert_allclose(hits.distances[row], expected, rtol=1e-4)
        assert (np.diff(hits.distances[row]) >= 0).all()


def test_all_lists_give_the_exact_answer(data, built):
    vectors, queries = data
    assert recall(built.search(queries, nprobe=built.nlist), vectors, queries, "l2") == 1


def test_more_lists_find_more(data, built):
    vectors, queries = data
    found = [
        recall(built.search(queries, nprobe=n), vectors, queries, "l2") for n in (1, 4, 16, 40)
    ]
    assert found == sorted(found)


@pytest.mark.parametrize("dim", [1, 2, 7, 63, 65, 200, 1030])
def test_any_dim_works(dim, rng):
    vectors = rng.standard_normal((900, dim), dtype=np.float32)
    queries = rng.standard_normal((20, dim), dtype=np.float32)
    for codes, bits in (("rabitq", 4), ("rabitq", 3), ("rabitq", 5), ("pq", 4)):
        index = made(vectors, nlist=8, codes=codes, bits=bits, rerank="float32", candidates=200)
        assert recall(index.search(queries, nprobe=8), vectors, queries, "l2") > 0.95


@pytest.mark.filterwarnings("ignore:sample should have")
def test_among_many_lists_one_query_finds_about_the_nearest_ones(rng, tmp_path):
    vectors = clustered(rng, 9000, 16)
    queries = vectors[:200] + 0.1 * rng.standard_normal((200, 16), dtype=np.float32)
    index = made(vectors, nlist=4500)
    together = index.search(queries, nprobe=64)
    alone = np.array([index.search(query, nprobe=64).ids for query in queries])
    assert recall(together, vectors, queries, "l2") > 0.95
    share = np.mean([len(np.intersect1d(a, b)) for a, b in zip(alone, together.ids, strict=True)])
    assert share > 9.7
    assert len(index.search(queries[0], k=10, nprobe=4500).ids) == 10
    index.save(tmp_path / "many.nf")
    again = nf.load(tmp_path / "many.nf")
    np.testing.assert_array_equal(again.search(queries[5], nprobe=64).ids, alone[5])


def test_search_pads_with_minus_one_when_k_exceeds_size(data):
    index = made(data[0][:50], nlist=1)
    hits = index.search(data[1], k=60)
    assert (hits.ids[:, 50:] == -1).all()
    assert np.isinf(hits.distances[:, 50:]).all()
    assert (np.sort(hits.ids[:, :50], axis=1) == np.arange(50)).all()


def test_short_lists_are_followed_by_others_until_there_are_k(data, built):
    hits = built.search(data[1], k=1500, nprobe=1)
    assert (hits.ids >= 0).all()
    assert all(len(set(row)) == 1500 for row in hits.ids.tolist())


@pytest.mark.parametrize("share", [0.001, 0.02, 0.3, 0.9])
@pytest.mark.parametrize("rerank", ["float16", None])
def test_filters_are_kept_and_give_k_results(share, rerank, data, rng):
    vectors, queries = data
    index = made(vectors, bits=8, rerank=rerank)
    allowed = rng.random(N) < share
    allowed[:4] = True
    hits = index.search(queries, k=10, nprobe=20, filter=allowed)
    count = min(10, int(allowed.sum()))
    assert (hits.ids[:, :count] >= 0).all()
    assert allowed[hits.ids[:, :count]].all()
    floor = 0.97 if rerank else 0.9
    assert recall(hits, vectors, queries, "l2", k=count, allowed=allowed) * 10 / count > floor


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("bits", [1, 4, 5, 8])
def test_range_search_finds_what_lies_inside(metric, bits, data):
    vectors, queries = data
    index = made(vectors, metric, bits=bits)
    truth = exact_distances(vectors, queries, metric)
    radius = float(np.quantile(truth, 0.01))
    found = index.range_search(queries, radius, nprobe=20)
    inside = [np.flatnonzero(row <= radius - 1e-3 * abs(radius)) for row in truth]
    right = total = 0
    for i, expected in enumerate(inside):
        ids = found.ids[found.lims[i] : found.lims[i + 1]]
        distances = found.distances[found.lims[i] : found.lims[i + 1]]
        assert (distances <= radius).all()
        assert (np.diff(distances) >= 0).all()
        right += len(np.intersect1d(ids, expected))
        total += len(expected)
    assert right / total > 0.97


@pytest.mark.parametrize("rerank", ["float16", None])
def test_range_search_finds_what_a_filter_lets_in_beyond_all_that_it_keeps_out(rerank, data):
    vectors, queries = data
    vectors = np.concatenate([vectors, vectors[: N // 2] + 20])
    index = nf.IVFPQ(DIM, "l2", 60, bits=8, rerank=rerank)
    index.train(vectors)
    index.add(vectors)
    mask = np.arange(len(vectors)) >= N
    truth = exact_distances(vectors, queries[:10], "l2")
    radius = float(np.quantile(truth[:, mask], 0.5))
    found = index.range_search(queries[:10], radius, nprobe=4, filter=mask)
    expected = [np.flatnonzero((row <= radius) & mask) for row in truth]
    right = sum(
        np.isin(found.ids[found.lims[i] : found.lims[i + 1]], expected[i]).sum() for i in range(10)
    )
    assert right > 0.97 * sum(map(len, expected))
    assert mask[found.ids].all()


def test_an_empty_index_gives_padding(data):
    index = nf.IVFPQ(DIM, "l2", 4)
    index.train(data[0])
    assert (index.search(data[1], k=3).ids == -1).all()


def test_work_is_counted(data, built):
    work = built.count_work(data[1], k=10, nprobe=8)
    assert 1 < work["hops"] < 8  # of eight, those not much farther than the nearest
    assert built.count_work(data[1], k=10, nprobe=40)["hops"] == 40
    assert 0 < work["exact_distances"] < work["distances"] < N
    assert built.count_work(data[1], k=10, nprobe=40)["distances"] > N


def test_stats_tell_what_the_index_is_made_of(data):
    facts = made(data[0], codes="pq", bits=4, pq_m=24, rerank="int8").stats()
    assert (facts["kind"], facts["codes"], facts["pq_m"], facts["nlist"]) == ("ivfpq", "pq", 24, 40)
    assert facts["bytes"]["vectors"] == N * (DIM + 8)
    assert N * 12 <= facts["bytes"]["codes"] <= (N + 40 * 32) * 12


@pytest.mark.parametrize("opq", [False, True])
def test_product_codes_of_a_learned_rotation_are_no_worse(opq, rng):
    mixing = rng.standard_normal((32, 32)) * np.geomspace(1, 0.02, 32)
    vectors = (rng.standard_normal((3000, 32)) @ mixing.T).astype(np.float32)
    index = nf.IVFPQ(32, "l2", 8, codes="pq", bits=4, pq_m=8, opq=opq, rerank=None)
    index.train(vectors)
    index.add(vectors)
    off = ((index.get(index.ids) - vectors) ** 2).sum() / (vectors**2).sum()
    assert off < (0.1 if opq else 0.3)


def test_tuning_sets_nprobe(data):
    index = made(data[0])
    found = index.tune(data[1], k=5, recall=0.9, seconds=0.01)
    assert found.setting == {"nprobe": index.nprobe}
    assert recall(index.search(data[1], k=5), *data, "l2", k=5) >= 0.9


@pytest.mark.parametrize("metric", ["l2", "dot"])
@pytest.mark.parametrize("nlist", [1, 16])
@pytest.mark.parametrize("bits", [3, 4, 5])
@pytest.mark.parametrize("share", [0.001, 0.05])
def test_a_few_vectors_of_10_000_times_the_length_hide_no_others(metric, nlist, bits, share, data):
    rng = np.random.default_rng(3)
    vectors, queries = data[0].copy(), data[1]
    far = rng.permutation(N)[: int(share * N)]
    vectors[far] *= 1e4
    index = made(vectors, metric, nlist, bits=bits, rerank=None)
    hits = index.search(queries, k=10, nprobe=nlist)
    assert recall(hits, vectors, queries, metric) > FLOORS["rabitq"][bits] - 0.06
    if metric == "l2":
        own = index.search(vectors[far], k=1, nprobe=nlist)
        assert np.mean(own.ids[:, 0] == far) > 0.9
    ranked = made(vectors, metric, nlist, bits=bits, rerank="float32")
    assert recall(ranked.search(queries, k=10, nprobe=nlist), vectors, queries, metric) > 0.95
