"""What the stores of other libraries keep their rows in."""

import gc
import threading

import numpy as np
import pytest

import nearfield as nf
from nearfield.integrations._filters import as_where, both
from nearfield.integrations._rows import Rows, exact, similarity


@pytest.fixture
def vectors(rng):
    return rng.standard_normal((50, 4), dtype=np.float32)


def filled(vectors, path=None, **options):
    rows = Rows(path, **options)
    names = [str(i) for i in range(len(vectors))]
    rows.upsert(names, names, vectors, [{"n": i} for i in range(len(vectors))])
    return rows


def test_a_folder_of_its_own_goes_with_the_rows(vectors):
    rows = filled(vectors)
    folder = rows.folder
    assert folder.exists()
    del rows
    gc.collect()
    assert not folder.exists()


def test_rows_without_a_vector_so_far_answer_with_nothing(tmp_path):
    rows = Rows(tmp_path / "docs")
    assert (len(rows), rows.search([1.0], 3), rows.items(), rows.get(["a"])) == (0, [], [], [])
    assert rows.delete(["a"]) == 0
    rows.clear()
    rows.copy_to(tmp_path / "copy")
    assert not (tmp_path / "docs").exists()
    assert rows.metric == "cosine"


def test_threads_that_write_first_make_one_collection(vectors, tmp_path):
    rows = Rows(tmp_path / "docs")
    threads = [
        threading.Thread(target=rows.upsert, args=([str(i)], ["x"], vectors[i : i + 1], [None]))
        for i in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(rows) == 8
    rows.close()


def test_a_function_may_refuse_all_near_rows(vectors):
    rows = filled(vectors, metric="l2")
    far = np.square(vectors - vectors[0]).sum(axis=1)
    allowed = np.argsort(far)[30:]
    found = rows.search_where(vectors[0], 5, lambda hit: int(hit.id) in allowed)
    assert [int(hit.id) for hit in found] == allowed[:5].tolist()
    assert rows.search_where(vectors[0], 5, lambda hit: False) == []


@pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
def test_the_nearest_of_some_rows_are_measured_exactly(vectors, metric):
    rows = filled(vectors, metric=metric)
    items = rows.get(["3", "7", "9", "none"])
    places, distances = exact(vectors[7] * 1.5, items, metric, 9)
    index = nf.Flat(4, metric)
    index.add(vectors[[3, 7, 9]])
    expected = index.search(vectors[7] * 1.5, 3)
    assert places.tolist() == expected.ids.tolist()
    np.testing.assert_allclose(distances, expected.distances)
    scores = [similarity(metric, far) for far in distances.tolist()]
    assert scores == sorted(scores, reverse=True)


def test_diverse_hits_begin_with_the_nearest(vectors):
    rows = filled(vectors)
    hits = rows.search(vectors[0], 20)
    assert [hit.id for hit in rows.diverse(vectors[0], hits, 5, 0.0)] == [h.id for h in hits[:5]]
    chosen = rows.diverse(vectors[0], hits, 5, 0.7)
    assert chosen[0].id == hits[0].id
    assert len({hit.id for hit in chosen}) == 5
    assert rows.diverse(vectors[0], [], 5, 0.7) == []


def test_filters_of_other_stores_are_put_into_our_words():
    theirs = {"year": {"$gte": 2020, "$ne": 2022}, "$or": [{"a": 1}, {"$not": {"b": {"$in": [2]}}}]}
    ours = {"year": {">=": 2020, "!=": 2022}, "$or": [{"a": 1}, {"$not": {"b": {"in": [2]}}}]}
    assert as_where(theirs) == as_where(ours) == ours
    assert both(None, None) is None
    assert both({"a": 1}, None) == {"a": 1}
    assert both({"a": 1}, {"b": 2}) == {"$and": [{"a": 1}, {"b": 2}]}
