"""Data that looks like embeddings, and how much of the truth a search found."""

import numpy as np
from oracle import exact_distances


def clustered(rng, n, dim, centres=40):
    """Vectors round the same centres whatever the rng, in about 12 dimensions of the dim."""
    fixed = np.random.default_rng(dim)
    middle = fixed.standard_normal((centres, dim), dtype=np.float32) * 2
    spread = fixed.standard_normal((12, dim), dtype=np.float32) / 2
    offsets = rng.standard_normal((n, 12), dtype=np.float32) @ spread
    noise = rng.standard_normal((n, dim), dtype=np.float32) / 4
    return middle[rng.integers(0, centres, n)] + offsets + noise


def assert_same(a, b, queries):
    """The same ids in the same order, and the same answers."""
    assert a.ids.tolist() == b.ids.tolist()
    one, two = a.search(queries, nprobe=8), b.search(queries, nprobe=8)
    np.testing.assert_array_equal(one.ids, two.ids)
    np.testing.assert_array_equal(one.distances, two.distances)


def recall(hits, vectors, queries, metric, k=10, allowed=None):
    truth = exact_distances(vectors, queries, metric)
    if allowed is not None:
        truth[:, ~allowed] = np.inf
    kth = np.sort(truth, axis=1)[:, min(k, truth.shape[1]) - 1]
    chosen = np.take_along_axis(truth, np.maximum(hits.ids, 0), axis=1)
    right = (chosen <= (kth + 1e-3 * (1 + np.abs(kth)))[:, None]) & (hits.ids >= 0)
    return right.mean()
