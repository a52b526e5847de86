"""Hits made natively are those that Python makes."""

import numpy as np
import pytest
from collection_tools import DIM, vectors_of

import nearfield as nf
from nearfield import _core
from nearfield.collection import metadata, reading
from nearfield.collection.hits import Hit

METADATA = [None, {}, {"a": 1}, {"b": [1, {"c": None}], "한": "글", "x": -0.5, "big": 2**62}]


@pytest.mark.parametrize("metric", ["cosine", "l2", "dot"])
@pytest.mark.parametrize("kind", [int, str])
def test_hits_are_the_same_either_way(tmp_path, monkeypatch, metric, kind):
    vectors, queries = vectors_of(30) * 3, vectors_of(7, seed=1)
    with nf.Collection(tmp_path / "c", dim=DIM, metric=metric) as docs:
        docs.add(
            ids=[kind(i) for i in range(30)], vectors=vectors,
            texts=[None if i % 3 else f"text {i}" for i in range(30)],
            metadata=[METADATA[i % 4] for i in range(30)],
        )  # fmt: skip
        docs.delete([kind(4), kind(5)])
        asked = [(queries, 10), (queries[0], 1), (queries[1], 50), (queries[:0], 3)]
        made = [docs.search(query, k=k) for query, k in asked]
        assert len(made[2]) == 28 and isinstance(made[1][0], Hit)
        calls = []
        monkeypatch.setattr(
            reading, "_core", type("Core", (), {"make_hits": lambda *a: calls.append(a)})
        )
        assert made == [docs.search(query, k=k) for query, k in asked]
        assert len(calls) == len(asked)
        made[1][0].metadata["mine"] = 1  # of its own
        assert "mine" not in docs.search(queries[0], k=1)[0].metadata


def make(entries, slots, distances=None, metric="l2", scan=metadata.scan_json):
    slots = np.array(slots, np.int64)
    far = np.zeros(slots.shape, np.float32) if distances is None else distances
    return _core.make_hits(Hit, entries, slots, far, metric, scan)


def test_what_is_unusual_is_left_to_python():
    entries = {1: ("a", None, None), 2: ("b", "t", '{"x":1}')}
    assert make(entries, [[1, 2, -1]]) == [
        [Hit("a", 0.0, 1.0, None, {}), Hit("b", 0.0, 1.0, "t", {"x": 1})]
    ]
    assert make(entries, [[-1, -1]]) == [[]]
    assert make(entries, [[1, 3]]) is None  # not in the cache
    assert make(entries, [1, 2]) is None
    assert make(entries, [[1, 2]], np.zeros((1, 3), np.float32)) is None
    assert make(entries, [[1, 2]], np.zeros((1, 2))) is None
    assert make({1: ("a", None)}, [[1]]) is None
    assert make({1: ("a", None, '{"x":1} ')}, [[1]]) is None
    assert make({1: ("a", None, '{"x":')}, [[1]]) is None
    assert make({1: ("a", None, 5)}, [[1]]) is None
    assert make(entries, [[2]], scan=lambda *_: 1) is None
    assert _core.make_hits(list, entries, np.ones((1, 1), np.int64), None, "l2", None) is None
    assert _core.make_hits(1) is None
