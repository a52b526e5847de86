"""A float64 oracle for searches and distances."""

import numpy as np

METRICS = ("cosine", "dot", "l2")


def exact_distances(vectors, queries, metric):
    """(nq, n) distances in float64."""
    x, q = np.asarray(vectors, np.float64), np.atleast_2d(np.asarray(queries, np.float64))
    if metric == "l2":
        return np.stack([((x - row) ** 2).sum(axis=1) for row in q]) if len(q) else q @ x.T
    if metric == "cosine":
        x = x / np.linalg.norm(x, axis=1, keepdims=True)
        q = q / np.linalg.norm(q, axis=1, keepdims=True)
        return 1 - q @ x.T
    return -q @ x.T


def assert_nearest(hits, vectors, queries, metric, k, rtol=1e-5):
    """Hits are the k nearest: their distances are right, and no nearer vector was left out."""
    truth = exact_distances(vectors, queries, metric)
    ids, distances = np.atleast_2d(hits.ids), np.atleast_2d(hits.distances)
    kept = min(k, truth.shape[1])
    expected = np.sort(truth, axis=1)[:, :kept]
    scale = np.abs(truth).max() + 1
    np.testing.assert_allclose(distances[:, :kept], expected, rtol=rtol, atol=rtol * scale)
    chosen = np.take_along_axis(truth, ids[:, :kept], axis=1)
    np.testing.assert_allclose(chosen, expected, rtol=rtol, atol=rtol * scale)
    for row in ids[:, :kept]:
        assert len(set(row.tolist())) == kept
