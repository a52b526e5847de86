"""The usearch layer: its rules, its errors, its files, and the same beside usearch."""

import math

import numpy as np
import pytest
from differential import outcome

import nearfield as nf
from nearfield.compat.damage import DamagedFile
from nearfield.compat.usearch import Index, MetricKind, ScalarKind, search

METRICS = {"cos": "cosine", "ip": "dot", "l2sq": "l2"}


def filled(make, metric, dtype, vectors, keys=None):
    index = make(ndim=vectors.shape[1], metric=metric, dtype=dtype)
    index.add(np.arange(len(vectors)) if keys is None else keys, vectors)
    index.expansion_search = 300
    return index


@pytest.fixture
def vectors(rng):
    return rng.standard_normal((500, 8), dtype=np.float32)


@pytest.mark.parametrize("metric", METRICS)
def test_search_gives_matches_of_one_and_of_many(metric, vectors):
    index = filled(Index, metric, "f32", vectors, np.arange(500, dtype=np.uint64) + 2**63)
    one = index.search(vectors[3], 4)
    many = index.search(vectors[:5], 4)
    assert (len(one), len(many), many.counts.tolist()) == (4, 5, [4] * 5)
    np.testing.assert_array_equal(many[3].keys, one.keys)
    assert one.keys.dtype == np.uint64
    assert one[0].to_tuple() == (one.keys[0], one.distances[0])
    assert one.to_list()[0] == (int(one.keys[0]), float(one.distances[0]))
    assert len(many.to_list()) == 20
    offset = 1 if metric == "ip" else 0
    flat = nf.Flat(8, METRICS[metric])
    flat.add(vectors)
    exact = flat.search(vectors[:5], 4)
    np.testing.assert_allclose(many.distances, exact.distances + offset, atol=1e-4)
    np.testing.assert_array_equal(index.search(vectors[:5], 4, exact=True).keys, many.keys)
    assert many.mean_recall(many.keys[:, 0]) == many.mean_recall(many.keys[:, 2], 3) == 1
    with pytest.raises(IndexError):
        one[4]


def test_fewer_matches_than_asked_are_cut_and_counted(vectors):
    index = filled(Index, "l2sq", "f32", vectors[:3])
    assert len(index.search(vectors[0], 10)) == len(index.search(vectors[:1], 10)) == 3
    batch = index.search(vectors[:2], 5)
    assert batch.counts.tolist() == [3, 3]
    assert (batch.keys[:, 3:] == 0).all()
    assert np.isnan(batch.distances[:, 3:]).all()
    assert len(batch[0]) == 3
    assert len(Index(ndim=8).search(vectors[0], 3)) == 0
    near = index.search(vectors[0], 3, radius=0.5)
    assert near.keys.tolist() == [0]
    assert len(index.search(vectors[0], 5, exact=True)) == 3


def test_keys_are_looked_up_renamed_and_removed(vectors):
    index = filled(Index, "l2sq", "f32", vectors)
    assert (3 in index, 999 in index, index.count(3), index.size) == (True, False, 1, 500)
    assert index.contains([3, 999]).tolist() == [True, False]
    assert index.count(np.array([3, 999])).tolist() == [1, 0]
    np.testing.assert_array_equal(index.get(3), vectors[3])
    assert index.get(999) is None
    assert index[[3, 999]][1] is None
    assert index.remove(4) is True
    assert index.remove(4) is False
    assert index.remove([5, 6, 999], compact=True) == 2
    assert index.rename(7, 700) is True
    assert index.rename(7, 701) is False
    assert index.rename([8, 9], [800, 900]) == [True, True]
    with pytest.raises(ValueError, match="already in use"):
        index.rename(10, 11)
    np.testing.assert_array_equal(index[700], vectors[7])
    assert index.search(vectors[7], 1).keys.tolist() == [700]
    del index[700]
    assert len(index) == len(index.keys) == len(index.vectors) == 496
    other = index.copy()
    other.clear()
    assert (len(other), len(index)) == (0, 496)
    assert index.pairwise_distance(10, 11) == pytest.approx(
        ((vectors[10] - vectors[11]) ** 2).sum(), abs=1e-4
    )


def test_what_usearch_refuses_is_refused_with_its_classes(vectors):
    index = filled(Index, "cos", "f32", vectors)
    bad = vectors.copy()
    bad[1, 1] = math.nan
    for kind, calls in {
        RuntimeError: [
            lambda: index.add(3, vectors[0]), lambda: index.add([900, 900], vectors[:2]),
        ],
        ValueError: [
            lambda: index.add(900, vectors[0, :3]), lambda: index.search(vectors[0, :3]),
            lambda: index.search(vectors[0], 0), lambda: index.add(np.arange(900, 1400), bad),
            lambda: index.load(), lambda: index.add("a", vectors[0]),
        ],
        AssertionError: [
            lambda: index.add([901, 902, 903], vectors[:2]), lambda: index.add(901, [1.0] * 8),
            lambda: index.add(None, vectors[None]), lambda: index.search([1.0] * 8),
        ],
        KeyError: [lambda: Index(ndim=8, metric="xx"), lambda: Index(ndim=8, dtype="f7")],
        TypeError: [lambda: Index(8)],
        NotImplementedError: [lambda: Index(ndim=8, multi=True)],
        FileNotFoundError: [lambda: index.load("none.usearch")],
    }.items():  # fmt: skip
        for call in calls:
            with pytest.raises(kind):
                call()
    assert len(index) == 500


@pytest.mark.parametrize("dtype", ["f32", "f16", "bf16", "i8", "f64"])
@pytest.mark.parametrize("metric", METRICS)
def test_a_saved_file_is_read_back(metric, dtype, vectors, tmp_path):
    index = filled(Index, metric, dtype, vectors, np.arange(500) * 3)
    path = tmp_path / "a.usearch"
    index.save(path)
    assert index.save() == path.read_bytes()
    other = Index.restore(path, view=True)
    assert (other.ndim, other.metric, other.dtype) == (8, index.metric, index.dtype)
    other.expansion_search = 300
    found, again = index.search(vectors[:20], 5), other.search(vectors[:20], 5)
    assert (found.keys == again.keys).mean() > (0.85 if dtype == "i8" else 0.97)
    with pytest.raises(RuntimeError, match="views a file"):
        other.add(1, vectors[0])
    third = Index(ndim=8, path=path)
    assert len(third) == 500
    assert Index.metadata(path)["kind_metric"] is MetricKind(metric)
    assert Index.restore(tmp_path / "none") is None
    whole = path.read_bytes()
    for end in [0, 3, 100, len(whole) // 2, len(whole) - 1]:
        with pytest.raises(DamagedFile) as caught:
            third.load(whole[:end])
        assert isinstance(caught.value, nf.CorruptIndex)
    assert len(third) == 500


def test_bits_are_compared_by_hamming_distance(rng, tmp_path):
    codes = rng.integers(0, 256, (400, 4), dtype=np.uint8)
    index = Index(ndim=32, metric="hamming")
    assert index.dtype is ScalarKind.B1
    index.add(None, codes)
    exact = np.unpackbits(codes[:1] ^ codes, axis=1).sum(axis=1)
    np.testing.assert_array_equal(index.search(codes[0], 6).distances, np.sort(exact)[:6])
    np.testing.assert_array_equal(index.get(7), codes[7])
    index.save(tmp_path / "b")
    again = Index.restore(tmp_path / "b").search(codes[0], 6)
    np.testing.assert_array_equal(again.distances, np.sort(exact)[:6])


def test_the_search_function_needs_no_index(vectors):
    for exact in (False, True):
        found = search(vectors, vectors[:4], 3, "l2sq", exact=exact)
        assert found.keys[:, 0].tolist() == [0, 1, 2, 3]
    assert search(vectors, vectors[7], 1, MetricKind.Cos, exact=True).keys.tolist() == [7]


@pytest.mark.parametrize("dtype", ["f32", "f16", "i8"])
@pytest.mark.parametrize("metric", METRICS)
def test_answers_agree_with_usearch_and_each_reads_the_others_file(metric, dtype, tmp_path, rng):
    theirs = pytest.importorskip("usearch.index")
    vectors = rng.standard_normal((1200, 12), dtype=np.float32)
    queries = rng.standard_normal((60, 12), dtype=np.float32)
    a = filled(Index, metric, dtype, vectors, np.arange(1200) * 5)
    b = filled(theirs.Index, metric, dtype, vectors, np.arange(1200) * 5)
    mine, other = (index.search(queries, 6, exact=True) for index in (a, b))
    if dtype == "f32":
        np.testing.assert_allclose(mine.distances, other.distances, atol=1e-4)
        assert (mine.keys == other.keys).mean() > 0.99
    assert (mine.keys == other.keys).mean() > (0.9 if dtype == "i8" else 0.98)
    paths = str(tmp_path / "a"), str(tmp_path / "b")
    a.save(paths[0])
    b.save(paths[1])
    c, d = theirs.Index.restore(paths[0]), Index.restore(paths[1])
    c.expansion_search = d.expansion_search = 300
    assert (len(c), c.ndim, c.connectivity) == (1200, 12, 16)
    assert (c.search(queries, 6).keys == mine.keys).mean() > (0.8 if dtype == "i8" else 0.95)
    assert (d.search(queries, 6).keys == other.keys).mean() > (0.9 if dtype == "i8" else 0.98)
    c.add(np.array([7]), vectors[:1])  # it can go on from here


def test_random_calls_give_the_same_answers_and_errors_as_usearch(rng):
    theirs = pytest.importorskip("usearch.index")
    a, b = (make(ndim=6, metric="l2sq", dtype="f32") for make in (Index, theirs.Index))
    for _ in range(200):
        rows = rng.standard_normal((int(rng.integers(1, 6)), 6), dtype=np.float32)
        keys = rng.choice(60, len(rows), replace=False)
        key, other = (int(x) for x in rng.integers(0, 60, 2))
        name, args = [
            ("add", (keys, rows)), ("add", (keys, rows)), ("add", (key, rows[0])),
            ("add", (keys[:-1], rows)), ("add", (key, rows[0, :3])), ("add", (key, [1.0] * 6)),
            ("remove", (key,)), ("contains", (key,)), ("count", (keys,)), ("get", (key,)),
            ("rename", (key, other)), ("search", (rows[0, :3],)), ("search", (rows[0], 0)),
        ][int(rng.integers(0, 13))]  # fmt: skip
        if name == "add" and len(np.atleast_1d(args[0])) > 1 and a.contains(args[0]).any():
            continue  # usearch keeps those that come before a held one
        if name == "rename" and args[0] == args[1]:
            continue
        mine, theirs_said = (outcome(lambda: getattr(x, name)(*args)) for x in (a, b))  # noqa: B023
        assert mine[0] == theirs_said[0], (name, args, mine, theirs_said)
        if mine[0] == "error":
            assert mine[1] is theirs_said[1], (name, args)
        elif name != "search" and mine[1] is not None:
            np.testing.assert_array_equal(mine[1], theirs_said[1])
        assert len(a) == len(b)
        if len(a):
            found, expected = (x.search(rows[0], 5, exact=True) for x in (a, b))
            np.testing.assert_allclose(found.distances, expected.distances, atol=1e-4)
            assert set(found.keys) == set(expected.keys)
