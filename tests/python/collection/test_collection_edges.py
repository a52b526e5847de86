"""Where one step too far or too short would answer a little wrongly, and nobody would notice."""

import numpy as np
import pytest
from collection_tools import DIM, ids_of, vectors_of

import nearfield as nf


@pytest.mark.parametrize("options", [{}, {"ef_search": 300}])
@pytest.mark.parametrize("nq", [None, 4])
def test_of_equal_distances_those_written_first_come_first_across_segments(options, nq, tmp_path):
    with nf.Collection(tmp_path / "docs", dim=DIM, metric="l2", index="flat", seal_rows=64) as docs:
        for _ in range(3):  # the last of them waits in the tail
            docs.add(vectors=np.ones((70, DIM), np.float32))
            if len(docs) < 200:
                assert docs.catch_up()
        docs.delete([0, 75])
        query = np.ones(DIM) if nq is None else np.ones((nq, DIM))
        found = docs.search(query, k=80, **options)
        for hits in [found] if nq is None else found:
            assert ids_of(hits) == [*range(1, 75), *range(76, 82)]


def test_alternatives_of_the_partition_are_searched_in_all_parts(tmp_path):
    vectors = vectors_of(90)
    with nf.Collection(tmp_path / "docs", dim=DIM, partition_by="team") as docs:
        docs.add(vectors=vectors, metadata=[{"team": "abc"[i % 3], "year": i} for i in range(90)])
        some = {"a": {0, 3}, "b": {1, 4}, "c": {2, 5}}
        early = {"year": {"<": 6}}
        for where, ids in [
            ({"$or": [{"team": "a"}, {"team": "b"}]}, some["a"] | some["b"]),
            ({"$or": [{"team": "a"}]}, some["a"]),
            ({"team": {"in": ["b", "c"]}}, some["b"] | some["c"]),
            ({"team": {"!=": "a"}}, some["b"] | some["c"]),
            ({"$not": {"team": "a"}}, some["b"] | some["c"]),
            ({"$and": [{"team": "a"}, early]}, some["a"]),
            ({"$or": [{"team": "a"}, {"year": 1}]}, some["a"] | {1}),
        ]:
            both = {"$and": [where, early]}
            assert set(ids_of(docs.search(vectors[0], k=90, where=both))) == ids, where
            assert docs.count(both) == len(ids), where
            assert {item.id for item in docs.iterate(both)} == ids, where
            alone = {item.id for item in docs.iterate(where) if item.metadata["year"] < 6}
            assert alone == ids, where
            assert docs.count(where) == len(docs.search(vectors[0], k=90, where=where)), where


def test_a_partition_bounds_counts_and_iterations_as_it_bounds_searches(tmp_path):
    vectors = vectors_of(30)
    with nf.Collection(tmp_path / "docs", dim=DIM, partition_by="team") as docs:
        docs.add(vectors=vectors, metadata=[{"team": "ab"[i % 2], "x": i < 9} for i in range(30)])
        for where in (None, {"x": True}):
            expected = {i for i in range(1, 30, 2) if where is None or i < 9}
            assert {item.id for item in docs.iterate(where, partition="b")} == expected
            assert docs.count(where, partition="b") == len(expected)
            assert set(ids_of(docs.search(vectors[0], 30, where=where, partition="b"))) == expected
        # A condition that contradicts the partition lets nothing in.
        assert docs.search(vectors[0], where={"team": "a"}, partition="b") == []
        assert docs.count({"team": "a"}, partition="b") == 0


def test_ids_are_numbered_on_from_the_largest_whatever_came_after_it(tmp_path):
    with nf.Collection(tmp_path / "docs", dim=DIM) as docs:
        docs.add(ids=[100], vectors=vectors_of(1))
        docs.delete([100])
        docs.upsert([7, 3], vectors=vectors_of(2))
        docs.upsert([-5], vectors=vectors_of(1))
        assert docs.add(vectors=vectors_of(1)) == [101]
    with nf.Collection(tmp_path / "docs") as docs:
        docs.upsert([2], vectors=vectors_of(1))
        assert docs.add(vectors=vectors_of(2)) == [102, 103]
