"""k-means against a float64 Lloyd, over threads, and on the inputs that break others."""

import copy
import os
import pickle
import signal
import threading
import time
from itertools import pairwise

import numpy as np
import pytest
from oracle import exact_distances

import nearfield as nf


def clouds(n, dim, groups, seed=0, spread=0.3, offset=0.0):
    rng = np.random.default_rng(seed)
    centres = offset + rng.standard_normal((groups, dim))
    rows = centres[rng.integers(0, groups, n)] + spread * rng.standard_normal((n, dim))
    return rows.astype(np.float32)


def oracle(rows, centroids, iterations, metric):
    """Lloyd's algorithm in float64, written from the definition."""
    rows, centroids = rows.astype(np.float64), centroids.astype(np.float64)
    if metric == "cosine":
        rows = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    if metric != "l2":
        centroids = centroids / np.linalg.norm(centroids, axis=1, keepdims=True)
    for _ in range(iterations):
        labels = exact_distances(centroids, rows, metric).argmin(axis=1)
        for j in range(len(centroids)):
            centroids[j] = rows[labels == j].mean(axis=0)
        if metric != "l2":
            centroids /= np.linalg.norm(centroids, axis=1, keepdims=True)
    distances = exact_distances(centroids, rows, metric)
    return centroids, distances.argmin(axis=1), distances.min(axis=1).sum()


@pytest.mark.parametrize("metric", ["l2", "cosine", "dot"])
@pytest.mark.parametrize("dim", [2, 33, 100])
def test_fit_agrees_with_float64_lloyd_from_the_same_start(metric, dim):
    rows = clouds(2000, dim, 40, spread=1.0, offset=0.5)  # no cluster is left empty
    first = rows[:12]
    model = nf.KMeans(12, metric=metric, init=first, max_iter=6, tol=0, sample_per_centroid=0)
    labels = model.fit_predict(rows)
    centroids, expected, inertia = oracle(rows, first, model.n_iter, metric)
    np.testing.assert_allclose(model.centroids, centroids, rtol=1e-4, atol=1e-5)
    assert (labels == expected).mean() > 0.999
    assert model.inertia == pytest.approx(inertia, rel=1e-5)
    assert model.n_iter >= 4
    if metric != "l2":
        np.testing.assert_allclose(np.linalg.norm(model.centroids, axis=1), 1, rtol=1e-6)


@pytest.mark.parametrize("metric", ["l2", "cosine", "dot"])
def test_predict_names_a_nearest_centroid_of_every_vector(metric):
    rows = clouds(5000, 48, 300, offset=30.0)  # far from zero, where products cancel
    model = nf.KMeans(400, metric=metric, max_iter=3).fit(rows)
    distances = exact_distances(model.centroids, rows, metric)
    chosen = distances[np.arange(len(rows)), model.predict(rows)]
    scale = np.abs(distances).max()
    np.testing.assert_allclose(chosen, distances.min(axis=1), rtol=1e-5, atol=1e-6 * scale)


@pytest.mark.parametrize("init", ["kmeans++", "sample"])
def test_any_number_of_threads_gives_the_same_bits(init):
    rows = clouds(20_000, 24, 100)
    models = [nf.KMeans(150, init=init, seed=5).fit(rows, threads=t) for t in (1, 2, 4, 4)]
    for model in models[1:]:
        assert model.centroids.tobytes() == models[0].centroids.tobytes()
        assert model.inertia == models[0].inertia
        np.testing.assert_array_equal(model.predict(rows, threads=3), models[0].predict(rows))
    other = nf.KMeans(150, init=init, seed=6).fit(rows)
    assert other.centroids.tobytes() != models[0].centroids.tobytes()


def greedy_seeds(rows, k, rng):
    """Greedy k-means++ as scikit-learn does it: the best of 2 + ln k draws, for every centroid."""
    chosen = [rng.integers(len(rows))]
    nearest = exact_distances(rows, rows[chosen], "l2")[0]
    while len(chosen) < k:
        drawn = rng.choice(len(rows), 2 + int(np.log(k)), p=nearest / nearest.sum())
        closer = np.minimum(nearest, exact_distances(rows, rows[drawn], "l2"))
        best = closer.sum(axis=1).argmin()
        chosen.append(drawn[best])
        nearest = closer[best]
    return rows[chosen]


def test_inertia_is_within_two_percent_of_greedy_seeding_in_float64():
    rows = clouds(4000, 8, 60)
    ours, theirs = [], []
    for seed in range(6):
        first = greedy_seeds(rows, 60, np.random.default_rng(seed))
        options = {"max_iter": 30, "sample_per_centroid": 0, "tol": 0}
        theirs.append(nf.KMeans(60, init=first, **options).fit(rows).inertia)
        ours.append(nf.KMeans(60, seed=seed, **options).fit(rows).inertia)
    assert np.mean(ours) < 1.02 * np.mean(theirs)


def test_careful_seeding_beats_random_rows_and_more_runs_never_hurt():
    rows = clouds(3000, 8, 50, spread=0.1)
    random = nf.KMeans(50, init="sample", max_iter=10).fit(rows).inertia
    careful = nf.KMeans(50, max_iter=10).fit(rows).inertia
    assert careful < 0.8 * random
    assert nf.KMeans(50, max_iter=10, n_init=4).fit(rows).inertia <= careful


def test_a_sample_of_the_vectors_is_nearly_as_good_as_all():
    rows = clouds(40_000, 8, 20)
    sampled = nf.KMeans(20, sample_per_centroid=100).fit(rows)
    assert sampled.n_trained == 2000
    every = nf.KMeans(20, sample_per_centroid=0).fit(rows)
    assert every.n_trained == 40_000
    cost = exact_distances(sampled.centroids, rows, "l2").min(axis=1).sum()
    assert cost < 1.05 * every.inertia


def test_clusters_left_empty_are_given_rows():
    rows = clouds(1000, 6, 10)
    first = np.full((10, 6), 500, np.float32)
    first[0] = 0  # every vector is nearest to this one
    model = nf.KMeans(10, init=first, max_iter=30).fit(rows)
    assert len(set(model.predict(rows))) == 10


@pytest.mark.parametrize("metric", ["l2", "cosine", "dot"])
def test_more_clusters_than_distinct_vectors_are_harmless(metric):
    rows = np.repeat(clouds(7, 5, 7), 20, axis=0)
    model = nf.KMeans(50, metric=metric).fit(rows)
    assert np.isfinite(model.centroids).all()
    assert len(set(model.predict(rows))) == 7
    labels = model.predict(rows).reshape(7, 20)
    assert (labels == labels[:, :1]).all()


def test_one_cluster_is_the_mean_and_as_many_as_vectors_is_the_vectors():
    rows = clouds(60, 9, 60)
    one = nf.KMeans(1).fit(rows)
    np.testing.assert_allclose(one.centroids[0], rows.mean(axis=0), rtol=1e-4, atol=1e-6)
    every = nf.KMeans(60).fit(rows)
    assert every.inertia < 1e-3 * one.inertia
    assert len(set(every.predict(rows))) == 60


def test_many_clusters_are_found_in_two_levels():
    rows = clouds(34_000, 4, 300)
    k = 16_400
    model = nf.KMeans(k, max_iter=3).fit(rows)
    assert model.centroids.shape == (k, 4)
    labels = model.predict(rows)
    assert len(set(labels)) > 0.9 * k
    drawn = nf.KMeans(k, init=rows[:k], max_iter=0).fit(rows)
    assert model.inertia < 0.8 * drawn.inertia


def test_input_of_any_layout_and_dtype_is_taken():
    rows = np.round(clouds(300, 12, 5) * 8) / 8  # exact in float16
    expected = nf.KMeans(5).fit(rows)
    read_only = rows.copy()
    read_only.setflags(write=False)
    wide = np.zeros((600, 24), np.float32)
    wide[::2, ::2] = rows
    layouts = [rows.astype(np.float64), rows.astype(np.float16), np.asfortranarray(rows)]
    for given in [*layouts, read_only, wide[::2, ::2], rows.tolist()]:
        model = nf.KMeans(5).fit(given)
        assert model.centroids.tobytes() == expected.centroids.tobytes()
        np.testing.assert_array_equal(model.predict(given), expected.predict(rows))


BAD_OPTIONS = [
    ({"n_clusters": 0}, "n_clusters must be at least 1, got 0"),
    ({"n_clusters": -3}, "n_clusters must be at least 1, got -3"),
    ({"metric": "manhattan"}, "metric must be one of 'l2', 'dot', 'cosine', got 'manhattan'"),
    ({"init": "random"}, r"init must be 'kmeans\+\+', 'sample' or an array, got 'random'"),
    ({"max_iter": -1}, "max_iter must be at least 0, got -1"),
    ({"tol": -0.5}, "tol must be at least 0, got -0.5"),
    ({"tol": float("nan")}, "tol must be at least 0, got nan"),
    ({"n_init": 0}, "n_init must be at least 1, got 0"),
    ({"sample_per_centroid": -1}, "sample_per_centroid must be at least 0, got -1"),
    ({"seed": -1}, r"seed must be in 0..2\*\*64 - 1, got -1"),
    ({"init": np.eye(3), "n_init": 2}, "n_init must be 1 where init is an array, got 2"),
]


@pytest.mark.parametrize("options,message", BAD_OPTIONS)
def test_bad_options_are_refused_at_once(options, message):
    with pytest.raises(ValueError, match=message):
        nf.KMeans(**{"n_clusters": 3, **options})


def with_value(value):
    rows = clouds(20, 4, 3)
    rows[7, 2] = value
    return rows


BAD_VECTORS = [
    (np.ones((2, 4)), ValueError, r"n_clusters must be at most the number of vectors \(2\), got 3"),
    (np.ones((0, 4)), ValueError, r"n_clusters must be at most the number of vectors \(0\), got 3"),
    (np.ones(4), ValueError, r"vectors must be a \(n, dim\) array, got shape \(4,\)"),
    (np.ones((2, 2, 4)), ValueError, r"vectors must be a \(n, dim\) array, got shape \(2, 2, 4\)"),
    (with_value(np.nan), ValueError, "vectors must be finite, got nan at row 7, column 2"),
    (with_value(np.inf), ValueError, "vectors must be finite, got inf at row 7, column 2"),
    (np.array([["a", "b"]] * 5), TypeError, "vectors must be numbers, got dtype <U1"),
]


@pytest.mark.parametrize("vectors,error,message", BAD_VECTORS)
def test_bad_vectors_are_refused_and_leave_the_fit_as_it_was(vectors, error, message):
    model = nf.KMeans(3)
    with pytest.raises(error, match=message):
        model.fit(vectors)
    with pytest.raises(nf.NotTrained, match="not fitted; call fit\\(\\) first"):
        model.predict(clouds(5, 4, 2))
    model.fit(clouds(50, 4, 3))
    before = model.centroids
    with pytest.raises(error, match=message):
        model.fit(vectors)
    np.testing.assert_array_equal(model.centroids, before)


def test_predict_and_init_of_another_shape_are_refused():
    model = nf.KMeans(3).fit(clouds(50, 4, 3))
    with pytest.raises(ValueError, match=r"vectors must have shape \(n, 4\), got \(5, 3\)"):
        model.predict(np.ones((5, 3)))
    assert model.predict(np.ones((0, 4))).shape == (0,)
    with pytest.raises(ValueError, match=r"init must have shape \(3, 4\), got \(2, 4\)"):
        nf.KMeans(3, init=np.ones((2, 4))).fit(clouds(50, 4, 3))
    with pytest.raises(ValueError, match="init must be finite, got nan at row 0, column 0"):
        nf.KMeans(1, init=[[np.nan, 1]]).fit(np.ones((5, 2)))
    with pytest.raises(ValueError, match="vectors must not have norm 0 under cosine.*at row 2"):
        nf.KMeans(1, metric="cosine").fit(np.eye(3)[[0, 1, 2]] * [[1], [1], [0]])


def test_attributes_before_fit_say_that_it_is_missing():
    model = nf.KMeans(3)
    for name in ("centroids", "inertia", "n_iter", "n_trained"):
        with pytest.raises(nf.NotTrained, match="not fitted"):
            getattr(model, name)
    assert repr(model) == "KMeans(n_clusters=3, metric='l2')"


def test_progress_rises_to_its_total_and_may_stop_the_fit():
    rows = clouds(30_000, 32, 50)
    seen = []
    nf.KMeans(300, max_iter=10, tol=0).fit(rows, progress=lambda *now: seen.append(now))
    assert len(seen) >= 2
    assert all(total == seen[0][1] for _, total in seen)
    assert all(a[0] <= b[0] for a, b in pairwise(seen))
    assert seen[-1][0] <= seen[-1][1]

    def stop(done, total):
        raise KeyError("stop")

    model = nf.KMeans(300)
    with pytest.raises(KeyError, match="stop"):
        model.fit(rows, progress=stop)
    with pytest.raises(nf.NotTrained):
        model.predict(rows)


def test_an_interrupt_stops_a_fit_and_leaves_the_object_as_it_was():
    rows = clouds(60_000, 64, 100)
    model = nf.KMeans(1500, tol=0, max_iter=100_000, init="sample")
    heard = []

    def interrupt(number, frame):
        heard.append(number)
        raise InterruptedError("stop")

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
        with pytest.raises(InterruptedError, match="stop"):
            model.fit(rows)
    finally:
        signal.signal(signal.SIGINT, before)
    assert heard == [signal.SIGINT]
    with pytest.raises(nf.NotTrained):
        model.predict(rows)


def test_a_fit_lets_other_python_threads_run():
    rows = clouds(60_000, 64, 100)
    done = threading.Event()
    fit = threading.Thread(target=lambda: (nf.KMeans(1000, tol=0).fit(rows), done.set()))
    fit.start()
    longest, last = 0.0, time.perf_counter()
    while not done.is_set():
        time.sleep(0.001)
        now = time.perf_counter()
        longest, last = max(longest, now - last), now
    fit.join()
    assert longest < 0.5


@pytest.mark.parametrize("metric", ["l2", "cosine", "dot"])
@pytest.mark.parametrize("take", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_a_copy_and_a_pickle_are_the_same_model(metric, take):
    rows = clouds(600, 8, 5)
    model = nf.KMeans(5, metric=metric, seed=3, n_init=2).fit(rows)
    other = take(model)
    np.testing.assert_array_equal(other.centroids, model.centroids)
    np.testing.assert_array_equal(other.predict(rows), model.predict(rows))
    assert (other.inertia, other.n_iter, other.n_trained) == (
        model.inertia, model.n_iter, model.n_trained,
    )  # fmt: skip
    assert repr(other) == repr(model)
    again = take(nf.KMeans(5, metric=metric, seed=3, n_init=2))
    with pytest.raises(nf.NotTrained):
        again.predict(rows)
    np.testing.assert_array_equal(again.fit(rows).centroids, model.centroids)
    first = nf.KMeans(5, metric=metric, init=rows[:5])
    np.testing.assert_array_equal(take(first).fit(rows).centroids, first.fit(rows).centroids)
