"""The hnswlib layer beside hnswlib: the same calls, the same answers, each other's files."""

import numpy as np
import pytest
from differential import assert_same_neighbors, outcome

from nearfield.compat import hnswlib as ours

theirs = pytest.importorskip("hnswlib")

DIM = 6
SPACES = ("l2", "ip", "cosine")
ONE_THREAD = {"add_items": {"num_threads": 1}}


def random_calls(rng, n):
    """Calls as (name, arguments), some of them wrong."""
    for _ in range(n):
        rows = rng.standard_normal((int(rng.integers(1, 8)), DIM), dtype=np.float32)
        labels = rng.integers(0, 60, len(rows))
        labels = labels[np.sort(np.unique(labels, return_index=True)[1])]
        rows = rows[: len(labels)]
        label = int(rng.integers(0, 70))
        yield [
            ("add_items", (rows, labels), {}),
            ("add_items", (rows, labels), {"replace_deleted": True}),
            ("add_items", (rows[0], label), {}),
            ("add_items", (rows[:, :3], labels), {}),
            ("add_items", (rows, labels[:-1]), {}),
            ("mark_deleted", (label,), {}),
            ("mark_deleted", (label,), {}),
            ("unmark_deleted", (label,), {}),
            ("get_items", ([label],), {}),
            ("get_items", (label,), {}),
            ("get_items", ([label], "torch"), {}),
            ("resize_index", (int(rng.integers(20, 90)),), {}),
            ("set_ef", (int(rng.integers(100, 300)),), {}),
            ("knn_query", (rows[None],), {}),
        ][int(rng.integers(0, 14))]


def is_comparable(index, name, args, options):
    """Leave out where hnswlib holds a label twice, keeps a part, or takes any deleted place."""
    if name != "add_items" or len(np.shape(args[1])) != 1 or len(args[0]) != len(args[1]):
        return True
    held, labels = set(index.get_ids_list()), set(args[1].tolist())
    gone = {label for label in held if outcome(lambda: index.get_items([label]))[0] == "error"}  # noqa: B023
    new = len(labels - held)
    if options:
        return new == len(labels) and len(gone) <= new <= index.max_elements - len(held)
    if labels & gone and len(labels) > 1:
        return False
    return len(held) == index.max_elements or len(held) + new <= index.max_elements


@pytest.mark.parametrize("space", SPACES)
def test_random_calls_give_the_same_answers_and_errors(space):
    agreed = asked = 0
    for seed in range(4):
        rng = np.random.default_rng(seed)
        a, b = ours.Index(space, DIM), theirs.Index(space, DIM)
        for index in (a, b):
            index.init_index(50, M=16, random_seed=1, allow_replace_deleted=seed % 2 == 1)
            index.set_ef(300)
        for name, args, options in random_calls(rng, 150):
            if not is_comparable(b, name, args, options):
                continue
            mine = outcome(lambda: getattr(a, name)(*args, **options))  # noqa: B023
            other = outcome(lambda: getattr(b, name)(*args, **options, **ONE_THREAD.get(name, {})))  # noqa: B023
            assert mine[0] == other[0], (name, args, options, mine, other)
            if mine[0] == "error":
                assert mine[1] is other[1], (name, args)
            elif name == "get_items":
                np.testing.assert_allclose(mine[1], other[1], atol=1e-6)
            assert (a.element_count, a.max_elements) == (b.element_count, b.max_elements)
            assert sorted(a.get_ids_list()) == sorted(b.get_ids_list())
            live = [
                label
                for label in b.get_ids_list()
                if outcome(lambda: b.get_items([label]))[0] == "ok"  # noqa: B023
            ]
            even = sum(label % 2 == 0 for label in live)
            query = rng.standard_normal((3, DIM), dtype=np.float32)
            for k, options in ((min(4, len(live)), {}), (min(2, even), {"filter": is_even})):
                if k == 0:
                    continue
                mine = a.knn_query(query, k, **options)
                their_labels, their_distances = b.knn_query(query, k, num_threads=1, **options)
                # hnswlib loses elements that were updated or deleted often: it may find fewer near.
                assert (mine[1] <= their_distances + 1e-4).all()
                same = np.abs(mine[1] - their_distances) < 1e-4
                agreed, asked = agreed + same.sum(), asked + same.size
                ties = np.abs(np.diff(their_distances, axis=1)).min(initial=1) < 1e-4
                assert (mine[0] == their_labels)[same.all(axis=1)].all() or ties
    assert agreed > 0.97 * asked > 1000


def is_even(label):
    return label % 2 == 0


@pytest.mark.parametrize("n", [0, 1, 20, 200, 3000])
@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("m", [5, 16])
def test_each_reads_what_the_other_writes_and_finds_as_much(space, n, m, tmp_path, rng):
    vectors = rng.standard_normal((n, 12), dtype=np.float32)
    labels = rng.permutation(10**6)[:n]
    path = str(tmp_path / "a.bin")
    written = ours.Index(space, 12)
    written.init_index(n + 10, M=m, ef_construction=100)
    if n:
        written.add_items(vectors, labels)
    for label in labels[5:8]:
        written.mark_deleted(label)
    written.save_index(path)
    read = theirs.Index(space, 12)
    read.load_index(path)
    assert sorted(read.get_ids_list()) == sorted(labels.tolist())
    assert (read.M, read.element_count) == (m, n)
    assert read.max_elements == (n + 10 if n else 0)
    if n > 8:
        assert sum(outcome(lambda: read.get_items([label]))[0] == "ok" for label in labels[:8]) == 5  # noqa: B023
    if n >= 20:
        written.set_ef(300)
        read.set_ef(300)
        queries = rng.standard_normal((200, 12), dtype=np.float32)
        found = read.knn_query(queries, 10)[0] == written.knn_query(queries, 10)[0]
        assert found.mean() > {("ip", 5): 0.8, ("ip", 16): 0.95}.get((space, m), 0.99)
        read.add_items(vectors[:2] + 1, [2 * 10**6, 2 * 10**6 + 1])  # it can go on from here
        read.unmark_deleted(labels[5])
        assert read.knn_query(vectors[5])[0][0, 0] == labels[5] or space == "ip"
    back = str(tmp_path / "b.bin")
    read.save_index(back)
    again = ours.Index(space, 12)
    again.load_index(back)
    assert sorted(again.get_ids_list()) == sorted(read.get_ids_list())


@pytest.mark.parametrize("space", ["l2", "ip"])
def test_bfindex_agrees_and_shares_files(space, tmp_path, rng):
    vectors = rng.standard_normal((80, 7), dtype=np.float32)
    a, b = ours.BFIndex(space, 7), theirs.BFIndex(space, 7)
    for index in (a, b):
        index.init_index(100)
        index.add_items(vectors, np.arange(80) + 3)
        index.delete_vector(10)
    queries = rng.standard_normal((20, 7), dtype=np.float32)
    assert_same_neighbors(a.knn_query(queries, 6), b.knn_query(queries, 6))
    a.save_index(str(tmp_path / "a"))
    b.save_index(str(tmp_path / "b"))
    c, d = ours.BFIndex(space, 7), theirs.BFIndex(space, 7)
    c.load_index(str(tmp_path / "b"))
    d.load_index(str(tmp_path / "a"))
    assert_same_neighbors(c.knn_query(queries, 6), d.knn_query(queries, 6))
