import sys
from types import SimpleNamespace

import numpy as np
import pytest

import nearfield as nf
from nearfield._optional import MissingExtraError


def groups(rng, count=4, size=60, dim=32):
    """Vectors round `count` directions, and the group of each."""
    centres = 4 * rng.standard_normal((count, dim))
    labels = np.repeat(np.arange(count), size)
    return centres[labels] + rng.standard_normal((count * size, dim)), labels


def test_layout_keeps_groups_together_and_apart(rng):
    vectors, labels = groups(rng)
    points = nf.viz.layout(vectors, steps=300)
    assert points.shape == (240, 2)
    assert points.dtype == np.float32
    distances = np.linalg.norm(points[:, None] - points[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    nearest = labels[np.argsort(distances, axis=1)[:, :5]]
    assert (nearest == labels[:, None]).mean() > 0.98


def test_layout_is_the_same_again_for_the_same_seed(rng):
    vectors, _ = groups(rng)
    first, again, other = (nf.viz.layout(vectors, steps=20, seed=seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("n", [1, 2, 3, 10])
def test_layout_places_even_a_few_vectors(rng, n):
    points = nf.viz.layout(rng.standard_normal((n, 5)), steps=10)
    assert points.shape == (n, 2)
    assert np.isfinite(points).all()


def test_layout_survives_equal_vectors_and_one_dimension():
    for vectors in (np.ones((40, 6)), np.ones((40, 1))):
        assert np.isfinite(nf.viz.layout(vectors, steps=10)).all()


def test_layout_tells_its_progress(rng):
    told = []
    nf.viz.layout(
        rng.standard_normal((5, 3)),
        steps=4,
        progress=lambda done, total: told.append((done, total)),
    )
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


def measured(name, recall, qps):
    return SimpleNamespace(name=name, recall=recall, qps=qps)


def test_plot_recall_qps_writes_the_format_that_the_suffix_names(tmp_path):
    pytest.importorskip("matplotlib", reason="needs the extra viz")
    rows = [measured("Flat, float32", 1.0, 2000.0), measured("HNSW, ef_search=16", 0.93, 30000.0)]
    for suffix, start in ((".png", b"\x89PNG"), (".svg", b"<?xml"), (".pdf", b"%PDF")):
        path = tmp_path / f"picture{suffix}"
        nf.viz.plot_recall_qps(rows, path, title="two settings", k=10)
        assert path.read_bytes().startswith(start)


def test_plot_recall_qps_names_the_extra_when_matplotlib_is_absent(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'nearfield\[viz\]'"):
        nf.viz.plot_recall_qps([measured("a", 1.0, 1.0)], tmp_path / "a.png", title="", k=1)
