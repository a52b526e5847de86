"""A collection keeps rows, finds them at once, and keeps them when it is opened again."""

import threading

import numpy as np
import pytest
from collection_tools import DIM, LettersEncoder, ids_of, vectors_of

import nearfield as nf
from nearfield.collection.hits import score


@pytest.fixture
def docs(tmp_path):
    with nf.Collection(tmp_path / "docs", dim=DIM) as collection:
        yield collection


def test_rows_come_back_by_id_and_by_search(docs):
    vectors = vectors_of(3)
    given = docs.add(
        ids=["a", "b", "c"],
        vectors=vectors,
        texts=["한글", "", "three"],
        metadata=[{"n": 1}, None, {"deep": {"x": [1, None, True]}}],
    )
    assert given == ["a", "b", "c"]
    assert len(docs) == 3
    assert "a" in docs
    assert "z" not in docs
    assert 1 not in docs
    item = docs.get("a")
    assert (item.id, item.text, item.metadata) == ("a", "한글", {"n": 1})
    np.testing.assert_array_equal(item.vector, vectors[0])
    assert [got.id for got in docs.get(["c", "b"])] == ["c", "b"]
    hit = docs.search(vectors[2], k=1)[0]
    assert (hit.id, hit.text, hit.metadata) == ("c", "three", {"deep": {"x": [1, None, True]}})
    assert hit.distance == pytest.approx(0.0, abs=1e-6)
    assert hit.score == pytest.approx(1.0)


def test_many_queries_give_many_lists(docs):
    vectors = vectors_of(20)
    docs.add(vectors=vectors)
    answers = docs.search(vectors[:4], k=2)
    assert [ids_of(hits)[0] for hits in answers] == [0, 1, 2, 3]
    assert all(len(hits) == 2 for hits in answers)
    assert docs.search(np.empty((0, DIM)), k=2) == []


def test_everything_is_there_when_opened_again(tmp_path):
    vectors = vectors_of(300)
    with nf.Collection(tmp_path / "docs", dim=DIM, metric="l2", index="flat") as docs:
        docs.add(ids=list(range(300)), vectors=vectors)
        docs.delete([5, 6])
        docs.upsert([7, 1000], vectors=vectors[[5, 6]])
    with nf.Collection(tmp_path / "docs") as docs:
        assert (len(docs), docs.dim, docs.metric) == (299, DIM, "l2")
        assert ids_of(docs.search(vectors[5], k=1)) == [7]
        assert ids_of(docs.search(vectors[6], k=1)) == [1000]
        assert 5 not in docs
        assert docs.check(deep=True) == ([], 299)


def test_an_upsert_replaces_at_once_and_keeps_one_row_an_id(docs):
    vectors = vectors_of(2)
    docs.add(ids=["a"], vectors=vectors[:1], metadata=[{"v": 1}])
    docs.upsert(["a", "b"], vectors=vectors[::-1], metadata=[{"v": 2}, {"v": 3}])
    assert len(docs) == 2
    hits = docs.search(vectors[0], k=5)
    assert ids_of(hits) == ["b", "a"]
    assert hits[1].metadata == {"v": 2}


def test_deleting_hides_at_once(docs):
    vectors = vectors_of(50)
    docs.add(vectors=vectors)
    assert docs.delete([3, 4]) == 2
    assert not {3, 4} & set(ids_of(docs.search(vectors[3], k=50)))
    assert docs.delete([3, 9], missing="ignore") == 1
    with pytest.raises(nf.UnknownId, match="ids must be in the collection, got 3"):
        docs.delete([10, 3])
    assert 10 in docs
    assert docs.delete([]) == 0


def test_ids_left_out_are_numbered_on_and_never_given_twice(tmp_path):
    with nf.Collection(tmp_path / "docs", dim=DIM) as docs:
        assert docs.add(vectors=vectors_of(2)) == [0, 1]
        docs.add(ids=[10], vectors=vectors_of(1))
        docs.delete([10])
    with nf.Collection(tmp_path / "docs") as docs:
        assert docs.add(vectors=vectors_of(2)) == [11, 12]


def test_a_batch_is_all_or_nothing(docs):
    docs.add(ids=[1, 2], vectors=vectors_of(2))
    before = docs.stats()
    with pytest.raises(ValueError, match="ids must be new, got 2, which the collection holds"):
        docs.add(ids=[3, 2, 4], vectors=vectors_of(3))
    bad = vectors_of(3)
    bad[1, 4] = np.nan
    with pytest.raises(ValueError, match="vectors must be finite, got nan at row 1, column 4"):
        docs.add(ids=[5, 6, 7], vectors=bad)
    with pytest.raises(ValueError, match="metadata.*must be finite, got nan"):
        docs.add(ids=[5, 6], vectors=vectors_of(2), metadata=[{}, {"x": float("nan")}])
    assert docs.stats() == before
    assert len(docs.search(vectors_of(1)[0], k=9)) == 2


def test_texts_are_embedded_and_searched_by_text(tmp_path):
    encoder = LettersEncoder()
    with nf.Collection(tmp_path / "docs", encoder=encoder) as docs:
        docs.add(ids=["dog", "cat"], texts=["the dog barks", "a cat sleeps"])
        assert ids_of(docs.search("dog barks", k=1)) == ["dog"]
        assert [ids_of(hits) for hits in docs.search(["cat", "dog"], k=1)] == [["cat"], ["dog"]]
        np.testing.assert_array_equal(
            docs.get("cat").vector, encoder.encode_document(["a cat sleeps"])[0]
        )
    with nf.Collection(tmp_path / "docs") as docs:
        assert docs.search(encoder.encode_query(["dog"])[0], k=1)[0].text == "the dog barks"
        with pytest.raises(ValueError, match="texts must come with vectors or an encoder, made wi"):
            docs.add(ids=["x"], texts=["y"])


def test_another_encoder_is_refused_and_both_are_named(tmp_path):
    with nf.Collection(tmp_path / "docs", encoder=LettersEncoder()) as docs:
        docs.add(texts=["one"])
    other = LettersEncoder()
    other.fingerprint = "letters-2"
    with pytest.raises(nf.EncoderMismatch) as caught:
        nf.Collection(tmp_path / "docs", encoder=other)
    assert (caught.value.stored, caught.value.given) == ("letters-1", "letters-2")
    assert caught.value.path == tmp_path / "docs"
    assert "letters-1" in str(caught.value)
    assert "letters-2" in str(caught.value)


def test_arguments_that_contradict_the_collection_are_refused(tmp_path):
    nf.Collection(tmp_path / "docs", dim=DIM, metric="dot").close()
    with pytest.raises(ValueError, match="metric must be 'dot', with which .* got 'l2'"):
        nf.Collection(tmp_path / "docs", metric="l2")
    with pytest.raises(ValueError, match="dim must be 16, with which .* got 17"):
        nf.Collection(tmp_path / "docs", dim=17)
    with pytest.raises(ValueError, match="dim or an encoder must be given"):
        nf.Collection(tmp_path / "new")
    nf.Collection(tmp_path / "new", dim=3).close()


def test_ids_are_of_one_kind(docs):
    docs.add(ids=["1"], vectors=vectors_of(1))
    with pytest.raises(TypeError, match="ids must be str, as this collection has str ids, got int"):
        docs.add(ids=[1], vectors=vectors_of(1))
    with pytest.raises(TypeError, match="ids must be all int or all str"):
        docs.add(ids=["2", 3], vectors=vectors_of(2))


def test_a_tail_becomes_segments_and_answers_stay(tmp_path):
    vectors = vectors_of(1500)
    with nf.Collection(tmp_path / "docs", dim=DIM, metric="l2", seal_rows=128) as docs:
        for start in range(0, 1500, 50):
            docs.add(vectors=vectors[start : start + 50])
        docs.upsert([3], vectors=vectors[:1] + 100)
        docs.delete([4])
        assert docs.catch_up(30)
        facts = docs.stats()
        assert facts["waiting"] < 128
        assert sum(facts["segments"]) + facts["waiting"] == 1499
        assert facts["catch_up_error"] is None
        hits = docs.search(vectors[10:200], k=1)
        assert np.mean([got[0].id == 10 + i for i, got in enumerate(hits)]) > 0.95
        assert ids_of(docs.search(vectors[0] + 100, k=1)) == [3]
        assert 4 not in ids_of(docs.search(vectors[4], k=20))
        docs.compact()
        assert docs.stats()["segments"] == [1499]
        assert docs.stats()["dead"] == 0
        assert docs.check(deep=True).ok


def test_searches_beside_writes_see_whole_batches(tmp_path):
    vectors = vectors_of(600)
    faults = []
    stop = threading.Event()
    with nf.Collection(tmp_path / "docs", dim=DIM, metric="l2", seal_rows=64) as docs:
        docs.add(ids=list(range(20)), vectors=vectors[:20], metadata=[{"v": 0}] * 20)

        def read():
            while not stop.is_set():
                hits = docs.search(vectors[0], k=20, where={"v": {">=": 0}})
                versions = {hit.metadata["v"] for hit in hits if isinstance(hit.id, int)}
                if len(hits) != 20 or len(versions) != 1 or len(set(ids_of(hits))) != 20:
                    faults.append((len(hits), versions))

        readers = [threading.Thread(target=read) for _ in range(2)]
        for reader in readers:
            reader.start()
        for version in range(1, 40):
            docs.upsert(list(range(20)), vectors=vectors[:20], metadata=[{"v": version}] * 20)
        stop.set()
        for reader in readers:
            reader.join()
        assert faults == []
        assert docs.check(deep=True).ok


def test_partitions_divide_searches(tmp_path):
    vectors = vectors_of(90)
    with nf.Collection(tmp_path / "docs", dim=DIM, partition_by="tenant", seal_rows=64) as docs:
        docs.add(vectors=vectors, metadata=[{"tenant": f"t{i % 3}"} for i in range(90)])
        docs.add(ids=[500], vectors=vectors[:1])
        assert docs.stats()["partitions"] == 4
        near = docs.search(vectors[4], k=40, partition="t1")
        assert {hit.id % 3 for hit in near} == {1}
        assert len(near) == 30
        assert ids_of(near) == ids_of(docs.search(vectors[4], k=40, where={"tenant": "t1"}))
        assert ids_of(docs.search(vectors[0], k=9, partition=None)) == [500]
        assert docs.search(vectors[0], k=9, partition="unknown") == []
        assert docs.count(partition="t2") == 30
        docs.upsert([4], vectors=vectors[4:5], metadata={"tenant": "t2"})
        assert 4 not in ids_of(docs.search(vectors[4], k=40, partition="t1"))
        assert ids_of(docs.search(vectors[4], k=1, partition="t2")) == [4]
        with pytest.raises(TypeError, match="must be an int or a str, as it partitions"):
            docs.add(vectors=vectors[:1], metadata={"tenant": 1.5})
    with nf.Collection(tmp_path / "docs") as docs:
        assert docs.stats()["partitions"] == 4
        assert ids_of(docs.search(vectors[4], k=1, partition="t2")) == [4]


def test_iterate_goes_through_rows_in_the_order_written(docs):
    docs.add(ids=[5, 3, 9], vectors=vectors_of(3), metadata=[{"a": 1}, {"a": 2}, {}])
    docs.upsert([5], vectors=vectors_of(1), metadata={"a": 3})
    assert [item.id for item in docs] == [3, 9, 5]
    assert [item.id for item in docs.iterate({"a": {"exists": True}})] == [3, 5]


def test_a_closed_collection_says_so_and_closes_twice(tmp_path):
    docs = nf.Collection(tmp_path / "docs", dim=DIM)
    docs.close()
    docs.close()
    with pytest.raises(ValueError, match="must be open, got a call after close"):
        docs.search(np.ones(DIM))
    assert repr(docs) == "Collection(closed)"


@pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
def test_scores_lie_in_the_unit_interval_and_order_like_distances(metric):
    distances = np.concatenate([-np.logspace(8, -8, 50), np.logspace(-8, 8, 50)])
    if metric != "dot":
        distances = np.linspace(0, 2, 100)
    scores = [score(metric, distance) for distance in distances.tolist()]
    assert all(0 <= value <= 1 for value in scores)
    assert sorted(scores, reverse=True) == scores


def test_scores_follow_the_documented_formulas():
    assert score("cosine", 0.5) == 0.75
    assert score("l2", 3.0) == 0.25
    assert score("dot", 0.0) == 0.5
    assert score("dot", -2.0) == pytest.approx(1 / (1 + np.exp(-2.0)))
