import numpy as np
import pytest

import nearfield as nf
from nearfield.explore import hdbscan, knn_graph
from nearfield.explore.duplicates import components


def groups(rng, count=4, size=50, dim=16, spread=0.3):
    centres = rng.standard_normal((count, dim))
    labels = np.repeat(np.arange(count), size)
    rows = centres[labels] + spread * rng.standard_normal((count * size, dim)) / np.sqrt(dim)
    return rows.astype(np.float32), labels


def cosine(rows):
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return 1 - unit.astype(np.float64) @ unit.T


@pytest.mark.parametrize("kind", ["array", "flat", "hnsw", "strings"])
def test_knn_graph_holds_the_nearest_others_and_not_the_point_itself(rng, kind):
    rows, _ = groups(rng)
    given = rows
    if kind != "array":
        given = (nf.HNSW if kind == "hnsw" else nf.Flat)(16, metric="cosine")
        names = rng.permutation(len(rows)) + 1000
        given.add(rows, ids=[f"n{name}" for name in names] if kind == "strings" else names)
    graph = knn_graph(given, 6)
    far = cosine(rows)
    np.fill_diagonal(far, np.inf)
    expected = np.sort(far, axis=1)[:, :6]
    assert (graph.neighbors != np.arange(len(rows))[:, None]).all()
    np.testing.assert_allclose(graph.distances, expected, atol=2e-3)
    np.testing.assert_allclose(
        np.take_along_axis(far, graph.neighbors, axis=1), expected, atol=2e-3
    )


def test_knn_graph_of_equal_vectors_and_of_too_few():
    graph = knn_graph(np.ones((30, 4)), 5)
    assert graph.neighbors.shape == (30, 5)
    assert knn_graph(np.eye(3), 99).neighbors.shape == (3, 2)
    with pytest.raises(ValueError, match="vectors must be at least 2, got 1"):
        knn_graph(np.ones((1, 4)))
    with pytest.raises(ValueError, match="k must be at least 1, got 0"):
        knn_graph(np.eye(3), 0)


@pytest.mark.parametrize("names", [None, "strings"])
def test_near_duplicates_are_grouped_by_distance(rng, names):
    rows = rng.standard_normal((40, 16)).astype(np.float32)
    rows[10] = rows[3] + 0.001
    rows[20] = rows[3] * 7
    rows[31] = rows[30]
    ids = [f"id{i}" for i in range(40)] if names else list(range(100, 140))
    index = nf.Flat(16, metric="cosine")
    index.add(rows, ids=ids)
    found = nf.near_duplicates(index, 0.01)
    assert found == [[ids[3], ids[10], ids[20]], [ids[30], ids[31]]]
    assert nf.near_duplicates(nf.Flat(4), 0.1) == []
    with pytest.raises(ValueError, match="threshold must be a number of at least 0, got -1"):
        nf.near_duplicates(index, -1)


def test_components_follow_chains(rng):
    heads = np.arange(99)
    order = rng.permutation(99)
    assert (components(100, heads[order], heads[order] + 1) == 0).all()
    assert components(3, np.array([1]), np.array([2])).tolist() == [0, 1, 1]


def test_anomalies_put_the_outlier_first(rng):
    rows, _ = groups(rng)
    rows[77] = -10 * rows.mean(axis=0) + rng.standard_normal(16)
    found = nf.anomalies(rows, 5)
    assert found.ids[0] == 77
    assert (np.diff(found.scores) <= 0).all()
    index = nf.Flat(16, metric="cosine")
    index.add(rows, ids=[f"d{i}" for i in range(len(rows))])
    assert nf.anomalies(index, 5).ids[0] == "d77"


def test_recommend_finds_items_like_those_liked_and_leaves_them_out(rng):
    rows, labels = groups(rng)
    index = nf.Flat(16, metric="cosine")
    index.add(rows)
    found = nf.recommend(index, [0, 1, 2], k=10)
    assert (labels[found.ids] == 0).all()
    assert not {0, 1, 2} & set(found.ids.tolist())
    assert labels[nf.recommend(index, 60, k=1).ids[0]] == 1
    both = nf.recommend(index, [0, 60], k=20, weights=[10, 0.1])
    assert (labels[both.ids] == 0).all()
    near = cosine(rows)[:, 150]
    plain = near[nf.recommend(index, [0, 60], k=10).ids].mean()
    pushed = near[nf.recommend(index, [0, 60], [150, 151], k=10, push=2).ids].mean()
    assert pushed >= plain


def test_recommend_takes_names_and_other_indexes(rng):
    rows, labels = groups(rng)
    index = nf.HNSW(16, metric="l2")
    index.add(rows, ids=[f"d{i}" for i in range(len(rows))])
    found = nf.recommend(index, "d0", ["d199"], k=3, ef_search=64)
    assert (labels[[int(name[1:]) for name in found.ids]] == 0).all()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (([],), ValueError, "positive must name at least one id, got none"),
        (([999],), KeyError, "999"),
        (([0], [0], 3, {"push": 1.0}), ValueError, "positive and negative must not cancel out"),
        (([0], [], 3, {"weights": [1, 2]}), ValueError, r"weights must have shape \(1,\), got"),
        (([0], [], 3, {"weights": [0]}), ValueError, "weights must be at least 0 and not all 0"),
        (([0], [], 3, {"push": -1}), ValueError, "push must be at least 0, got -1"),
    ],
)
def test_recommend_rejects_what_it_cannot_do(arguments, error, message):
    index = nf.Flat(3, metric="cosine")
    index.add(np.eye(3))
    *plain, options = arguments if isinstance(arguments[-1], dict) else (*arguments, {})
    with pytest.raises(error, match=message):
        nf.recommend(index, *plain, **options)


@pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
def test_mmr_without_diversity_is_a_search_and_with_it_spreads(rng, metric):
    rows, _ = groups(rng)
    index = nf.Flat(16, metric=metric)
    index.add(rows)
    plain = index.search(rows[0], 8)
    same = nf.mmr(index, rows[0], 8, diversity=0)
    np.testing.assert_array_equal(same.ids, plain.ids)
    far = cosine(rows)
    spread = nf.mmr(index, rows[0], 8, diversity=0.7, fetch=120)
    assert spread.ids[0] == plain.ids[0]
    assert far[np.ix_(spread.ids, spread.ids)].mean() > far[np.ix_(plain.ids, plain.ids)].mean()


def test_mmr_is_greedy_by_its_formula(rng):
    rows = rng.standard_normal((30, 8))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    query = rows.mean(axis=0)
    index = nf.Flat(8, metric="cosine")
    index.add(rows)
    relevance = rows @ query / np.linalg.norm(query)
    chosen = [int(relevance.argmax())]
    while len(chosen) < 6:
        gain = 0.6 * relevance - 0.4 * (rows @ rows[chosen].T).max(axis=1)
        gain[chosen] = -np.inf
        chosen.append(int(gain.argmax()))
    assert nf.mmr(index, query, 6, diversity=0.4, fetch=30).ids.tolist() == chosen


def test_mmr_rejects_numbers_out_of_range():
    index = nf.Flat(3)
    assert len(nf.mmr(index, [1, 0, 0]).ids) == 0
    for options, message in (
        ({"k": 0}, "k must be at least 1"), ({"diversity": 2}, r"diversity must be in \[0, 1\]"),
        ({"k": 5, "fetch": 4}, r"fetch must be at least k \(5\), got 4"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            nf.mmr(index, [1, 0, 0], **options)


def test_hdbscan_finds_groups_and_leaves_noise_aside(rng):
    rows, labels = groups(rng, size=80)
    noise = rng.standard_normal((20, 16)).astype(np.float32) * 2
    found = hdbscan(knn_graph(np.concatenate([rows, noise])), 15)
    assert found.max() == 3
    for group in range(4):
        own = found[:320][labels == group]
        assert (own == np.bincount(own[own >= 0]).argmax()).mean() > 0.95
    assert (found[320:] == -1).mean() > 0.5
    sizes = np.bincount(found[found >= 0])
    assert (np.diff(sizes) <= 0).all()


def test_hdbscan_agrees_with_scikit_learn_on_a_full_graph(rng):
    cluster = pytest.importorskip("sklearn.cluster", reason="needs the extra viz")
    metrics = pytest.importorskip("sklearn.metrics")
    rows, _ = groups(rng, count=5, size=40, spread=1.0)
    graph = knn_graph(rows, len(rows) - 1, metric="l2")
    graph = graph._replace(distances=np.sqrt(graph.distances))
    # scikit-learn counts the point itself among its neighbours.
    expected = cluster.HDBSCAN(min_cluster_size=12, min_samples=9, copy=True).fit_predict(rows)
    found = hdbscan(graph, 12, 8)
    assert metrics.adjusted_rand_score(expected, found) > 0.999


def test_hdbscan_keeps_parts_apart_that_the_graph_does_not_connect(rng):
    rows = np.concatenate([rng.standard_normal((30, 2)), 1000 + rng.standard_normal((40, 2))])
    found = hdbscan(knn_graph(rows, 5, metric="l2"), 20, 3)
    assert (found[30:] == 0).all()
    assert (found[:30] == 1).all()
    with pytest.raises(ValueError, match="min_cluster_size must be at least 2, got 1"):
        hdbscan(knn_graph(rows, 5), 1)
    with pytest.raises(ValueError, match=r"min_samples must be in 1\.\.5, got 6"):
        hdbscan(knn_graph(rows, 5), 5, 6)
