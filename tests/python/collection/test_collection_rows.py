"""Rows go to SQLite and back many at a time, whatever they hold."""

import threading

import numpy as np
import pytest
from collection_tools import DIM, LettersEncoder, ids_of, vectors_of

import nearfield as nf
from nearfield.collection import database, metadata


def statements_of(docs, call):
    """How many statements a call has SQLite run."""
    connection = docs._open.store.rows.database.connection
    ran = []
    connection.set_trace_callback(ran.append)
    try:
        call()
    finally:
        connection.set_trace_callback(None)
    return len(set(ran))  # once more for each statement of a trigger


def test_a_batch_takes_a_few_statements_whatever_its_size(tmp_path):
    """Each step of each statement hands the interpreter lock over, and waits to get it back."""
    vectors = vectors_of(128)
    ids = list(range(128))
    with nf.Collection(tmp_path / "docs", dim=DIM, cache_bytes=0) as docs:
        assert statements_of(docs, lambda: docs.add(ids=ids[:127], vectors=vectors[:127])) <= 2
        assert statements_of(docs, lambda: docs.upsert(ids[:60], vectors=vectors[:60])) <= 3
        assert statements_of(docs, lambda: docs.search(vectors[0], k=50)) <= 1
        assert statements_of(docs, lambda: docs.get(ids[:64])) <= 1
        assert statements_of(docs, lambda: docs.delete(ids[:64])) <= 3


@pytest.mark.parametrize("count", [1, 2, 63, 64, 65, 127, 128, 129, 300])
def test_batches_of_any_size_come_back_whole(count, tmp_path):
    vectors = vectors_of(count)
    with nf.Collection(tmp_path / "docs", dim=DIM) as docs:
        docs.add(
            ids=[f"id {i}" for i in range(count)],
            vectors=vectors,
            texts=[f"text {i}" for i in range(count)],
            metadata=[{"i": i} for i in range(count)],
        )
        found = docs.get([f"id {i}" for i in range(count)][::-1])
        assert [item.metadata["i"] for item in found] == list(range(count))[::-1]
        np.testing.assert_array_equal(np.stack([item.vector for item in found]), vectors[::-1])
        assert docs.delete([f"id {i}" for i in range(0, count, 2)]) == -(-count // 2)
        assert [item.text for item in docs] == [f"text {i}" for i in range(1, count, 2)]
        assert docs.check(deep=True).ok


ODD = [
    "",
    "\0",
    "a\0b",
    '"',
    "\\",
    "\x1f\x7f",
    "\u2028",
    "한글",
    "🙂",
    "null",
    "1",
    "1.0",
    "[1]",
    "?1",
]


def test_texts_ids_and_metadata_of_any_letters_come_back(tmp_path):
    with nf.Collection(tmp_path / "docs", dim=DIM, partition_by="key", cache_bytes=0) as docs:
        metadata = [{"key": text, text: text, "deep": [{"x": text}]} for text in ODD]
        docs.add(ids=ODD, vectors=vectors_of(len(ODD)), texts=ODD, metadata=metadata)
        for item, text, facts in zip(docs.get(ODD), ODD, metadata, strict=True):
            assert (item.id, item.text, item.metadata) == (text, text, facts)
        hits = docs.search(vectors_of(len(ODD))[2], k=len(ODD))
        assert sorted(ids_of(hits)) == sorted(ODD)
        assert docs.count({"key": "a\0b"}) == 1
        docs.upsert(ODD[1:3], vectors=vectors_of(2))
        assert len(docs) == len(ODD)
    with nf.Collection(tmp_path / "docs") as docs:
        assert docs.check(deep=True).ok
        assert docs.search(vectors_of(len(ODD))[5], k=1, partition=ODD[5])[0].text == ODD[5]


@pytest.mark.parametrize("id", [-(2**63), 2**63 - 1, 2**53 + 1, -1])
def test_ids_of_any_int64_keep_their_value(id, tmp_path):
    with nf.Collection(tmp_path / "docs", dim=DIM, partition_by="p") as docs:
        docs.add(ids=[id], vectors=vectors_of(1), metadata={"p": id})
        docs.upsert([id], vectors=vectors_of(1), metadata={"p": id})
        assert docs.get(id).metadata == {"p": id}
        assert ids_of(docs.search(vectors_of(1)[0], k=1, partition=id)) == [id]


def test_metadata_longer_together_than_sqlite_takes_is_read_in_smaller_pages(tmp_path, monkeypatch):
    monkeypatch.setattr(database, "MAX_VALUE_BYTES", 1 << 20)
    with nf.Collection(tmp_path / "docs", dim=DIM) as docs:
        metadata = [{"i": i, "long": '"' * 50_000} for i in range(60)]
        docs.add(vectors=vectors_of(60), metadata=metadata)
        assert docs.count({"i": {"<": 7}}) == 7
        docs.snapshot()
    with nf.Collection(tmp_path / "docs", read_only=True) as docs:
        assert docs.count({"i": {">=": 7}}) == 53


def test_a_value_of_a_type_that_no_row_has_is_told(tmp_path):
    with nf.Collection(tmp_path / "docs", dim=DIM, cache_bytes=0) as docs:
        docs.add(vectors=vectors_of(3), texts=["a", "b", "c"])
        connection = docs._open.store.rows.database.connection
        connection.execute("UPDATE item SET meta = x'00ff' WHERE slot = 2")
        with pytest.raises(nf.CorruptCollection, match="JSON cannot hold BLOB"):
            docs.get(1)
        assert docs.get(2).text == "c"


@pytest.fixture(params=["cosine", "l2"])
def snapshot(request, tmp_path):
    """A snapshot of 200 texts, 50 of which are in no index file; and what the writer found."""
    encoder = LettersEncoder()
    texts = [f"word{i} shared thing{i % 7}" for i in range(200)]
    with nf.Collection(tmp_path / "docs", encoder=encoder, metric=request.param) as docs:
        docs.add(texts=texts[:150])
        docs.compact()
        docs.add(texts=texts[150:])
        docs.snapshot()
    with nf.Collection(tmp_path / "docs", encoder=encoder, read_only=True) as docs:
        yield docs, encoder.encode_document(texts)


def test_a_snapshot_gives_rows_with_vectors_as_the_index_has_them(snapshot):
    docs, expected = snapshot
    found = np.stack([item.vector for item in docs.get(list(range(200)))])
    if docs.metric == "cosine":
        expected = expected / np.linalg.norm(expected, axis=1, keepdims=True)
        found = found / np.linalg.norm(found, axis=1, keepdims=True)
    np.testing.assert_allclose(found, expected, atol=2e-3)
    assert [item.vector.shape for item in docs.iterate()] == [(32,)] * 200


def test_a_snapshot_is_searched_by_words_too(snapshot):
    pytest.importorskip("bm25s")
    from nearfield.text import Hybrid

    docs, _ = snapshot
    for id in (140, 190):
        (hit,) = docs.search(f"word{id}", k=1, hybrid=Hybrid(weight=0, candidates=1))
        near = docs.search(f"word{id}", k=200)
        assert hit.id == id
        assert hit.distance == pytest.approx(
            next(other.distance for other in near if other.id == id), abs=2e-3
        )


def test_a_writer_gets_on_beside_readers_that_never_rest(tmp_path):
    vectors = vectors_of(200)
    stop = threading.Event()
    with nf.Collection(tmp_path / "docs", dim=DIM, cache_bytes=0) as docs:
        docs.add(vectors=vectors)

        def read():
            while not stop.is_set():
                docs.search(vectors[0], k=10)

        readers = [threading.Thread(target=read) for _ in range(2)]
        for reader in readers:
            reader.start()
        try:
            for _ in range(5):
                docs.upsert(list(range(100)), vectors=vectors[:100])
        finally:
            stop.set()
            for reader in readers:
                reader.join()
        assert docs.check(deep=True).ok


def test_a_search_asks_all_segments_at_once_and_answers_as_one_by_one(tmp_path, monkeypatch):
    vectors = np.random.default_rng(3).standard_normal((900, 48), dtype=np.float32)
    with nf.Collection(tmp_path / "c", dim=48, seal_rows=256) as docs:
        docs.add(ids=list(range(600)), vectors=vectors[:600])
        docs.catch_up()
        docs.add(
            ids=list(range(600, 800)), vectors=vectors[600:800],
            metadata=[{"even": i % 2 == 0} for i in range(200)],
        )  # fmt: skip
        docs.delete([5, 700])
        assert len(list(docs._open.store.view.segments())) > 1
        asked = []
        for options in ({}, {"where": {"even": True}}, {"where": {"even": 3}}, {"k": 850}):
            together = docs.search(vectors[:30], **options)
            with monkeypatch.context() as patch:
                for view in docs._open.store.view.segments():
                    patch.setattr(view.segment, "plain", False)
                assert docs.search(vectors[:30], **options) == together
            asked.append([len(hits) for hits in together])
        assert asked == [[10] * 30, [10] * 30, [0] * 30, [798] * 30]


def test_rows_that_are_not_shown_yet_are_in_no_answer(tmp_path):
    vectors = np.random.default_rng(4).standard_normal((300, 48), dtype=np.float32)
    with nf.Collection(tmp_path / "c", dim=48) as docs:
        docs.add(ids=list(range(200)), vectors=vectors[:200])
        tail = docs._open.store.tails[None]
        tail.append(np.arange(201, 301), vectors[200:], {})
        hits = docs.search(vectors[250], k=300)
        assert sorted(hit.id for hit in hits) == list(range(200))


def test_plain_metadata_becomes_the_same_json_by_the_short_way():
    plain = {
        "": "",
        'a"\n': 'b"\\\x1f é 한 \u2028',
        "i": -(2**63),
        "t": True,
        "f": False,
        "n": None,
    }
    assert metadata._plain_json(plain) == metadata._ENCODER.encode(plain)
    for other in ({"x": 1.5}, {"x": 2**63}, {"x": [1]}, {"x": {}}, {1: "x"}):
        assert metadata._plain_json(other) is None


@pytest.mark.parametrize(("kind", "told"), [("hnsw", "signs, int8"), ("flat", "int8")])
def test_a_tail_passes_over_rows_by_signs_unless_answers_must_be_exact(kind, told, tmp_path):
    vectors = np.random.default_rng(4).standard_normal((300, 48), dtype=np.float32)
    with nf.Collection(tmp_path / "c", dim=48, index=kind) as docs:
        docs.add(ids=list(range(300)), vectors=vectors)
        tail = docs._open.store.tails[None]
        assert tail.index.stats()["prefilter"] == told
        assert [docs.search(vector, k=1)[0].id for vector in vectors] == list(range(300))
