"""ANNTransformer beside scikit-learn's own KNeighborsTransformer, and scikit-learn's checks."""

import numpy as np
import pytest
from libraries import library

library("sklearn")

from sklearn.base import clone
from sklearn.cluster import DBSCAN
from sklearn.manifold import TSNE, Isomap
from sklearn.neighbors import (
    KNeighborsClassifier,
    KNeighborsTransformer,
    NearestNeighbors,
)
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from nearfield.integrations.sklearn import ANNTransformer


@parametrize_with_checks([ANNTransformer(), ANNTransformer(mode="connectivity", algorithm="hnsw")])
def test_scikit_learn_finds_nothing_wrong(estimator, check):
    check(estimator)


@pytest.fixture
def rows(rng):
    middles = 8 * rng.standard_normal((6, 12))
    return middles[rng.integers(0, 6, 400)] + rng.standard_normal((400, 12))


@pytest.mark.parametrize("metric", ["euclidean", "sqeuclidean", "cosine"])
@pytest.mark.parametrize("mode", ["distance", "connectivity"])
@pytest.mark.parametrize("algorithm", ["flat", "hnsw"])
def test_graphs_are_those_of_kneighbors_transformer(rows, metric, mode, algorithm):
    ours = ANNTransformer(mode=mode, n_neighbors=7, metric=metric, algorithm=algorithm)
    theirs = KNeighborsTransformer(mode=mode, n_neighbors=7, metric=metric, algorithm="brute").fit(
        rows
    )
    for queries in (rows, rows[:50] + 0.1):
        graph, expected = ours.fit(rows).transform(queries), theirs.transform(queries)
        assert graph.shape == expected.shape
        assert graph.nnz == expected.nnz
        both = (graph.astype(bool).multiply(expected.astype(bool))).nnz
        assert both >= 0.995 * (expected.nnz - len(rows))  # zeros on the diagonal count as none
        if mode == "distance":
            np.testing.assert_allclose(
                np.sort(graph.data.reshape(len(queries), -1)),
                np.sort(expected.data.reshape(len(queries), -1)), rtol=2e-3, atol=2e-3,
            )  # fmt: skip
    assert list(ours.get_feature_names_out()[:2]) == ["anntransformer0", "anntransformer1"]


def test_neighbours_within_a_radius_are_those_of_scikit_learn(rows):
    ours = ANNTransformer(radius=4).fit(rows)
    theirs = NearestNeighbors(radius=4).fit(rows)
    for queries in (None, rows[:30] + 0.1):
        distances, places = ours.radius_neighbors(queries)
        far, expected = theirs.radius_neighbors(queries, sort_results=True)
        for i in range(len(places)):
            assert set(places[i].tolist()) == set(expected[i].tolist())
            np.testing.assert_allclose(distances[i], far[i], atol=2e-3)
        graph = ours.radius_neighbors_graph(queries, mode="distance")
        assert graph.nnz == sum(map(len, expected))
    np.testing.assert_array_equal(
        ours.kneighbors(None, 3, return_distance=False),
        theirs.kneighbors(None, 3, return_distance=False),
    )


def test_clusterings_take_the_graph(rows):
    last = DBSCAN(eps=3, min_samples=4, metric="precomputed")
    ours = make_pipeline(ANNTransformer(n_neighbors=60), last).fit_predict(rows)
    theirs = make_pipeline(KNeighborsTransformer(n_neighbors=60), clone(last)).fit_predict(rows)
    assert ((ours[:, None] == ours) == (theirs[:, None] == theirs)).mean() > 0.99
    assert len(set(ours.tolist())) > 3


def test_maps_and_classifiers_take_the_graph(rows):
    groups = (rows[:, 0] > 0).astype(int)
    knn = make_pipeline(ANNTransformer(n_neighbors=5), KNeighborsClassifier(metric="precomputed"))
    assert knn.fit(rows, groups).score(rows, groups) > 0.95
    tsne = make_pipeline(
        ANNTransformer(n_neighbors=91),
        TSNE(metric="precomputed", init="random", max_iter=250, random_state=0),
    )
    assert tsne.fit_transform(rows).shape == (400, 2)
    isomap = make_pipeline(
        ANNTransformer(n_neighbors=350), Isomap(n_neighbors=350, metric="precomputed")
    )
    assert isomap.fit_transform(rows).shape == (400, 2)


@pytest.mark.parametrize(
    "params,message",
    [
        ({"mode": "graph"}, "mode must be one of distance, connectivity, got 'graph'"),
        ({"metric": "l1"}, "metric must be one of euclidean"),
        ({"algorithm": "ball_tree"}, "algorithm must be one of auto, flat, hnsw"),
        ({"n_neighbors": 400}, r"n_neighbors must be in 1..400, .* got 401"),
    ],
)
def test_parameters_out_of_range_are_refused(rows, params, message):
    with pytest.raises(ValueError, match=message):
        ANNTransformer(**params).fit_transform(rows)
    with pytest.raises(ValueError, match="radius must be at least 0, got -1"):
        ANNTransformer().fit(rows).radius_neighbors(rows, radius=-1)
