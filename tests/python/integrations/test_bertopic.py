"""BERTopic on our graph of neighbours, and its two parts by themselves."""

import numpy as np
import pytest
from libraries import library

from nearfield.integrations.bertopic import GraphHDBSCAN, GraphUMAP


@pytest.fixture
def blobs(rng):
    middles = 6 * rng.standard_normal((3, 32))
    groups = np.repeat(np.arange(3), 60)
    return (middles[groups] + rng.standard_normal((180, 32))).astype(np.float32), groups


def same_partition(a, b):
    return (((a[:, None] == a) == (b[:, None] == b)).mean()) > 0.97


def test_groups_are_found_and_new_rows_join_the_nearest(blobs, rng):
    rows, groups = blobs
    model = GraphHDBSCAN(min_cluster_size=15)
    assert same_partition(model.fit_predict(rows), groups)
    near = rows + 0.01 * rng.standard_normal(rows.shape, dtype=np.float32)
    np.testing.assert_array_equal(model.predict(near), model.labels_)


def test_new_rows_are_placed_among_their_neighbours(blobs):
    library("umap")
    rows, groups = blobs
    model = GraphUMAP(n_neighbors=10, n_components=2).fit(rows)
    assert model.embedding_.shape == (180, 2)
    placed = model.transform(rows[:60] * 1.01)
    middle = [model.embedding_[groups == g].mean(axis=0) for g in range(3)]
    nearest = np.linalg.norm(placed[:, None] - np.array(middle), axis=2).argmin(axis=1)
    assert (nearest == 0).all()


def test_bertopic_finds_the_topics_with_them(blobs):
    library("bertopic")
    from nearfield.integrations.bertopic import topic_model

    rows, groups = blobs
    words = [["apple", "pear", "plum"], ["piano", "violin", "drum"], ["rain", "snow", "hail"]]
    docs = [f"{words[g][i % 3]} {words[g][(i + 1) % 3]} text" for i, g in enumerate(groups)]
    model = topic_model(15)
    topics, _ = model.fit_transform(docs, rows)
    assert same_partition(np.array(topics), groups)
    again, _ = model.transform(docs[:60], rows[:60])
    assert len(set(again)) == 1
