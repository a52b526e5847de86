"""Neighbours for maps, beside those by numpy."""

import numpy as np
import pytest
from libraries import library

import nearfield as nf
from nearfield.integrations.umap import opentsne_neighbors, precomputed_knn


@pytest.fixture
def rows(rng):
    middles = 5 * rng.standard_normal((4, 10))
    return (middles[rng.integers(0, 4, 200)] + rng.standard_normal((200, 10))).astype(np.float32)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_neighbours_have_the_row_itself_first_and_the_distances_of_the_metric(rows, metric):
    x = rows.astype(np.float64)
    far = np.linalg.norm(x[:, None] - x, axis=2)
    if metric == "cosine":
        unit = x / np.linalg.norm(x, axis=1, keepdims=True)
        far = 1 - unit @ unit.T
    places, distances = precomputed_knn(rows, 9, metric=metric)
    assert (places[:, 0] == np.arange(200)).all()
    np.testing.assert_array_equal(places[:, 1:], np.argsort(far, axis=1)[:, 1:9])
    np.testing.assert_allclose(distances, np.sort(far, axis=1)[:, :9], atol=1e-3)
    index = nf.Flat(10, "l2" if metric == "euclidean" else metric)
    index.add(rows)
    np.testing.assert_array_equal(precomputed_knn(index, 9)[0], places)


def test_wrong_arguments_of_neighbours_are_refused(rows):
    with pytest.raises(ValueError, match="n_neighbors must be at least 2, got 1"):
        precomputed_knn(rows, 1)
    with pytest.raises(ValueError, match="metric must be 'cosine' or 'euclidean', got 'dot'"):
        precomputed_knn(rows, metric="dot")


@pytest.mark.filterwarnings("ignore")  # umap's own: one thread for a seed, no transform
def test_umap_takes_them(rows):
    umap = pytest.importorskip("umap")
    knn = precomputed_knn(rows, 10)
    model = umap.UMAP(n_neighbors=10, precomputed_knn=knn, random_state=0, n_epochs=20)
    assert np.isfinite(model.fit_transform(rows)).all()


def test_opentsne_takes_them(rows):
    library("openTSNE")
    from openTSNE import TSNEEmbedding
    from openTSNE.affinity import PerplexityBasedNN
    from openTSNE.initialization import random

    knn = opentsne_neighbors(rows, perplexity=10)
    affinities = PerplexityBasedNN(knn_index=knn, perplexity=10)
    embedding = TSNEEmbedding(
        random(rows, random_state=0), affinities, negative_gradient_method="bh"
    )
    assert np.isfinite(embedding.optimize(n_iter=10)).all()
