"""Segments asked as one, with and without the interpreter lock."""

import threading
import time

import numpy as np
import pytest

import nearfield as nf
from nearfield import _core


def test_a_quick_search_does_not_keep_the_interpreter_from_who_changes_the_index():
    rng = np.random.default_rng(5)
    index = nf.HNSW(16, "l2")
    index.add(rng.standard_normal((100, 16)))
    heard = []

    def build():  # holds the index throughout, and asks for the interpreter now and then
        index.add(
            rng.standard_normal((20_000, 16)), threads=1, progress=lambda *at: heard.append(at)
        )

    builder = threading.Thread(target=build)
    query = rng.standard_normal((1, 16)).astype(np.float32)
    time.sleep(0.02)  # searches of another thread are long ago
    _core.search_together([index._core], [None], query, 1, 1, True)
    time.sleep(0.02)
    builder.start()
    while builder.is_alive():
        ids, _ = _core.search_together([index._core], [None], query, 1, 1, True)
        assert ids[0, 0] >= 0
    assert heard and len(index) == 20_100


def test_quick_searches_of_several_threads_give_what_each_would_alone():
    rng = np.random.default_rng(6)
    parts = [nf.Flat(8, "l2"), nf.Flat(8, "l2")]
    vectors = rng.standard_normal((400, 8)).astype(np.float32)
    parts[0].add(vectors[:300], ids=np.arange(300))
    parts[1].add(vectors[300:], ids=np.arange(300, 400))
    cores, wrong = [part._core for part in parts], []

    def search(mine):
        for row in mine:
            for quick in (True, False):
                ids, far = _core.search_together(cores, [None] * 2, vectors[[row]], 1, 1, quick)
                if ids[0, 0] != row or far[0, 0] != 0:
                    wrong.append(row)

    threads = [threading.Thread(target=search, args=(range(i, 400, 4),)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_what_is_beyond_the_last_id_that_may_be_seen_gives_no_answer():
    index = nf.Flat(4, "l2")
    index.add(np.eye(4), ids=[1, 2, 3, 9])
    query = np.eye(4, dtype=np.float32)[:1]
    ask = [index._core], [None], query
    assert _core.search_together(*ask, 3, 1, False, 9)[0][0].tolist() == [1, 2, 3]
    assert _core.search_together(*ask, 4, 1, False, 8) is None
    assert _core.search_together(*ask, 3, 1, True, 8)[0][0].tolist() == [1, 2, 3]


@pytest.mark.parametrize("alike", [True, False])
def test_parts_together_answer_like_one_index_of_all_ties_included(alike):
    rng = np.random.default_rng(7)
    vectors = rng.integers(-2, 3, (900, 8)).astype(np.float32)  # many distances are alike
    if not alike:
        vectors += rng.standard_normal((900, 8)).astype(np.float32)
    order = rng.permutation(900)
    cores, parts = [], []
    for some in np.array_split(order, 3):
        part = nf.Flat(8, "l2")
        part.add(vectors[np.sort(some)], ids=np.sort(some))
        parts.append(part)
        cores.append(part._core)
    whole = nf.Flat(8, "l2")
    whole.add(vectors)
    for nq in (1, 5):
        for k in (1, 2, 3, 40, 1000):
            for quick in (True, False):
                expected = whole.search(vectors[:nq], k=k)
                ids, far = _core.search_together(cores, [None] * 3, vectors[:nq], k, 1, quick)
                np.testing.assert_array_equal(ids, expected.ids)
                np.testing.assert_array_equal(far, expected.distances)


def test_graphs_that_hold_a_share_of_the_rows_look_as_wide_as_it_needs():
    rng = np.random.default_rng(3)
    rows = rng.standard_normal((6000, 48), dtype=np.float32)
    queries = rng.standard_normal((50, 48), dtype=np.float32)
    parts = [nf.HNSW(48) for _ in range(8)]
    for i, part in enumerate(parts):
        part.add(rows[i::8], ids=np.arange(i, 6000, 8))
    cores, none = [part._core for part in parts], [None] * 8

    def ask(k, shares=()):
        return _core.search_together(cores, none, queries, k, 1, False, 6000, list(shares))[0]

    def ask_each(k, width):
        found = [part.search(queries, k=k, ef_search=width) for part in parts]
        ids = np.concatenate([answer.ids for answer in found], axis=1)
        far = np.concatenate([answer.distances for answer in found], axis=1)
        order = np.lexsort((ids, far), axis=1)[:, :k]
        return np.take_along_axis(ids, order, 1)

    # Half of 64, as the cube root of an eighth says; never less than k.
    np.testing.assert_array_equal(ask(10, [1 / 8] * 8), ask_each(10, 32))
    np.testing.assert_array_equal(ask(60, [1 / 8] * 8), ask_each(60, 60))
    np.testing.assert_array_equal(ask(10), ask_each(10, 64))
    assert (ask_each(10, 32) != ask_each(10, 64)).any()


@pytest.mark.parametrize("shares", [[0.0], [1.5], [float("nan")], [0.5, 0.5]])
def test_shares_that_are_none_are_refused(shares):
    index = nf.Flat(4)
    index.add(np.ones((3, 4), np.float32))
    with pytest.raises(ValueError, match="^shares must "):
        _core.search_together([index._core], [None], index.get([0]), 1, 1, False, 9, shares)


@pytest.mark.parametrize("k", [1, 10, 70])
def test_graphs_that_take_turns_answer_as_each_would_alone(k):
    rng = np.random.default_rng(11)
    rows = rng.standard_normal((5000, 48), dtype=np.float32)
    # Graphs of several sizes, one too small to be linked, an empty one, and a scan.
    bounds = (0, 1500, 1700, 1740, 1740, 4000, 5000)
    kinds = (nf.HNSW, nf.HNSW, nf.HNSW, nf.HNSW, nf.HNSW, nf.Flat)
    parts = [make(48) for make in kinds]
    for part, begin, end in zip(parts, bounds, bounds[1:], strict=False):
        part.add(rows[begin:end], ids=np.arange(begin, end))
    parts[0].remove(np.arange(0, 300))
    some = np.flatnonzero(rng.random(2260) < 0.5)
    few = parts[1].prepare(np.arange(1500, 1503))  # so few that they are measured
    filters = [None, few, None, None, parts[4].prepare(some + 1740), None]
    for quick in (True, False):
        for query in rng.standard_normal((20, 48), dtype=np.float32):
            found = []
            for part, filter in zip(parts, filters, strict=True):
                ids, far = part.search(query, k=k, filter=filter)
                found += [(d, i) for i, d in zip(ids.tolist(), far.tolist(), strict=True) if i >= 0]
            found = sorted(found)[:k]
            cores = [part._core for part in parts]
            ids, far = _core.search_together(cores, filters, query[None], k, 1, quick)
            assert ids[0].tolist() == [i for _, i in found]
            assert far[0].tolist() == [d for d, _ in found]


def test_a_refused_query_lets_go_of_the_graphs_that_had_begun():
    rng = np.random.default_rng(12)
    parts = [nf.HNSW(48), nf.HNSW(32)]
    for part in parts:
        part.add(rng.standard_normal((400, part.dim)), ids=np.arange(400))
    with pytest.raises(ValueError, match="queries"):
        _core.search_together(
            [part._core for part in parts], [None] * 2, np.ones((1, 48), np.float32), 3, 1
        )
    for part in parts:  # nothing holds them any more
        part.add(rng.standard_normal((1, part.dim)))
