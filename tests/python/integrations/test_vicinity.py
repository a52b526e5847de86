"""vicinity over our index, beside its own exact backend."""

import numpy as np
import pytest
from libraries import library

library("vicinity")

from vicinity import Vicinity

from nearfield.integrations import vicinity as adapter


@pytest.fixture
def vectors(rng):
    return rng.standard_normal((300, 16), dtype=np.float32)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
@pytest.mark.parametrize("kind", ["flat", "hnsw"])
def test_answers_are_those_of_the_exact_backend(vectors, metric, kind):
    items = [f"item {i}" for i in range(300)]
    ours = adapter.make(vectors, items, metric=metric, kind=kind)
    exact = Vicinity.from_vectors_and_items(vectors, items, metric=metric)
    for found, expected in zip(
        ours.query(vectors[:20], 5), exact.query(vectors[:20], 5), strict=True
    ):
        assert [item for item, _ in found] == [item for item, _ in expected]
        np.testing.assert_allclose([d for _, d in found], [d for _, d in expected], atol=5e-3)
    threshold = 0.7 if metric == "cosine" else 5.0
    near, expected = (v.query_threshold(vectors[:5], threshold, 300) for v in (ours, exact))
    assert [len(row) for row in near] == [len(row) for row in expected]
    assert ours.metric == exact.metric


def test_deleting_moves_places_forward_and_inserting_goes_on(vectors):
    ours = adapter.make(vectors[:200], list(range(200)))
    ours.delete([0, 50, 199])
    ours.insert(list(range(200, 300)), vectors[200:])
    assert len(ours) == len(ours.backend) == 297
    for item in (1, 51, 198, 200, 299):
        assert ours.query(vectors[item], 1)[0][0][0] == item
    with pytest.raises(ValueError, match="not in the vector space"):
        ours.delete([50])


def test_what_vicinity_saves_is_read_by_load(vectors, tmp_path):
    ours = adapter.make(vectors, [f"item {i}" for i in range(300)], metric="l2_squared", M=8)
    ours.delete(["item 7"])
    ours.save(tmp_path / "folder")
    again = adapter.load(tmp_path / "folder")
    assert again.query(vectors[:9], 3) == ours.query(vectors[:9], 3)
    assert again.backend.arguments == ours.backend.arguments
    other = Vicinity.from_vectors_and_items(vectors, list(range(300)))
    other.save(tmp_path / "other")
    with pytest.raises(ValueError, match="folder must hold this backend, got 'basic'"):
        adapter.load(tmp_path / "other")


def test_a_metric_that_we_have_not_is_refused(vectors):
    with pytest.raises(ValueError, match="metric must be one of cosine, .* got 'hamming'"):
        adapter.make(vectors, list(range(300)), metric="hamming")
