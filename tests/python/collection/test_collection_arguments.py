"""What a user hands to a collection is refused by name, before anything changes."""

import copy
import pickle

import numpy as np
import pytest
from collection_tools import DIM, LettersEncoder, vectors_of

import nearfield as nf


@pytest.fixture
def folder(tmp_path):
    """A closed collection of 50 rows."""
    with nf.Collection(tmp_path / "docs", dim=DIM) as docs:
        docs.add(vectors=vectors_of(50))
    return tmp_path / "docs"


@pytest.mark.parametrize(
    "metadata,error,message",
    [
        ([{"x": "a" * (1 << 20)}], ValueError, r"metadata\[0\] must take at most 1,048,576 bytes"),
        ([{"x": object()}], TypeError, r"metadata\[0\]\['x'\] must be JSON .* got object"),
        ([{"x": np.int64(3)}], TypeError, r"metadata\[0\]\['x'\] must be JSON .* got int64"),
        ([{1: 2}], TypeError, r"metadata\[0\] must have str keys, got 1"),
        ([{"x": [float("inf")]}], ValueError, r"metadata\[0\]\['x'\].* must be finite, got inf"),
        ([{"x": 2**63}], ValueError, r"metadata\[0\]\['x'\] must fit int64, got 92233720"),
        ([{"x": "\ud800"}], ValueError, r"metadata\[0\] must be valid Unicode"),
        (["text"], TypeError, r"metadata\[0\] must be a dict or None, got str"),
        ("text", TypeError, "metadata must be a list of dicts, got str"),
        ([{}, {}], ValueError, r"metadata must have one dict a row \(1\), got 2"),
    ],
    ids=lambda value: getattr(value, "__name__", None) if isinstance(value, type) else None,
)  # fmt: skip
def test_metadata_that_is_not_json_or_too_large_is_refused(metadata, error, message, folder):
    with nf.Collection(folder) as docs:
        with pytest.raises(error, match=message):
            docs.add(ids=[900], vectors=vectors_of(1), metadata=metadata)
        deep = {}
        for _ in range(40):
            deep = {"x": deep}
        with pytest.raises(ValueError, match=r"^metadata\[0\] must be at most 32 levels deep"):
            docs.add(ids=[900], vectors=vectors_of(1), metadata=[deep])
        assert 900 not in docs
        docs.add(ids=[900], vectors=vectors_of(1), metadata=[{"x": "a" * ((1 << 20) - 8)}])
        assert len(docs.get(900).metadata["x"]) == (1 << 20) - 8


def test_other_arguments_are_refused_by_name(folder):
    vectors = vectors_of(2)
    with nf.Collection(folder) as docs:
        cases = [
            (lambda: docs.add(), ValueError, "texts or vectors must be given, got neither"),
            (lambda: docs.add(ids=[1, 2, 3], vectors=vectors), ValueError,
             r"ids must have one entry a row \(2\), got 3"),
            (lambda: docs.add(ids=[91, 91], vectors=vectors), ValueError,
             "ids must be distinct, got 91 more than once"),
            (lambda: docs.add(vectors=vectors[:, :5]), ValueError, r"must have shape \(n, 16"),
            (lambda: docs.add(vectors=vectors, texts=["one"]), ValueError,
             r"texts must have one entry a vector \(2\), got 1"),
            (lambda: docs.add(vectors=vectors, texts=["a", 3]), TypeError,
             r"texts\[1\] must be a str, got int"),
            (lambda: docs.add(vectors=vectors, texts=["a", "\udcff"]), ValueError,
             r"texts\[1\] must be valid Unicode, got a lone surrogate at 0"),
            (lambda: docs.add(texts=["a"]), ValueError, "texts must come with vectors or an enc"),
            (lambda: docs.upsert(None, vectors=vectors), ValueError, "ids must be given to upsert"),
            (lambda: docs.search(vectors[0], k=0), ValueError, "k must be at least 1, got 0"),
            (lambda: docs.search(vectors[0], k="3"), TypeError, "k must be an int, got '3'"),
            (lambda: docs.search(vectors[0], threads=1.5), TypeError, "threads must be an int"),
            (lambda: docs.search(vectors[0], threads=-1), ValueError, "threads must be in 0..1024"),
            (lambda: docs.search(vectors[0], ef_search=0), ValueError, "ef_search must be in 1.."),
            (lambda: docs.search("text"), ValueError, "query must be a vector, or come with one"),
            (lambda: docs.search(vectors[0], partition="x"), ValueError, "no partition_by"),
            (lambda: docs.delete([1, 1]), ValueError, "ids must be distinct, got 1 more than once"),
            (lambda: docs.delete([1], missing="x"), ValueError, "missing must be 'raise' or"),
            (lambda: docs.get([1, 999]), nf.UnknownId, "must be in the collection, got 999"),
        ]  # fmt: skip
        before = docs.stats()
        for call, error, message in cases:
            with pytest.raises(error, match=message):
                call()
        assert docs.stats() == before
    for arguments, message in [
        ({"durability": "none"}, "durability must be 'full' or 'os', got 'none'"),
        ({"seal_rows": 1}, "seal_rows must be at least 64, got 1"),
        (
            {"seal_rows": 100, "max_waiting": 99},
            r"max_waiting must be at least seal_rows \(100\), got 99",
        ),
        ({"cache_bytes": -1}, "cache_bytes must be at least 0, got -1"),
        ({"threads": -1}, r"threads must be in 0..1024, got -1"),
        ({"fields": ["$x"]}, r"fields must be names that do not begin with '\$', got '\$x'"),
        ({"fields": ["x", "x"]}, "fields must be distinct"),
    ]:
        with pytest.raises(ValueError, match=message):
            nf.Collection(folder, **arguments)
    with pytest.raises(TypeError, match="encoder must have encode_document, got object"):
        nf.Collection(folder, encoder=object())
    for name in ("seal_rows", "max_waiting", "cache_bytes", "threads"):
        with pytest.raises(TypeError, match=f"{name} must be an int, got '9999'"):
            nf.Collection(folder, **{name: "9999"})
    with pytest.raises(TypeError, match="dim must be an int, got 8.5"):
        nf.Collection(folder.with_name("fresh"), dim=8.5)
    with pytest.raises(TypeError, match="path must be a str or a Path, got NoneType"):
        nf.Collection(None, dim=8)


def test_a_bad_encoder_answer_is_refused(tmp_path):
    encoder = LettersEncoder()
    with nf.Collection(tmp_path / "docs", encoder=encoder) as docs:
        encoder.encode_document = lambda texts: np.ones((len(texts), 5), np.float32)
        with pytest.raises(ValueError, match=r"encoder must give vectors of shape \(1, 32\), got"):
            docs.add(texts=["x"])
        assert len(docs) == 0


@pytest.mark.parametrize(
    "arguments,error,message",
    [
        ({}, ValueError, "dim or an encoder must be given to make a collection"),
        ({"dim": 0}, ValueError, "dim must be in 1..65536, got 0"),
        ({"dim": 8, "metric": "manhattan"}, ValueError, "metric must be one of"),
        ({"dim": 8, "index": "tree"}, ValueError, "index must be one of"),
        ({"dim": 8, "index_params": {"M": -1}}, ValueError, "M must be"),
        ({"dim": 8, "index_params": {"trees": 3}}, TypeError, "trees"),
        ({"dim": 8, "index_params": ["M"]}, TypeError, "index_params must be a dict, got list"),
        (
            {"dim": 8, "index_params": {"M": np.int64(8)}},
            TypeError,
            "index_params must be str, int",
        ),
        ({"dim": 8, "partition_by": "$x"}, ValueError, r"fields must be names"),
        ({"dim": 8, "fields": ["x", "x"]}, ValueError, "fields must be distinct"),
        ({"dim": 8, "encoder": LettersEncoder()}, ValueError, r"dim must be the encoder's \(32\)"),
        ({"dim": 8, "seal_rows": 1}, ValueError, "seal_rows must be at least 64"),
    ],
    ids=lambda value: "" if isinstance(value, type) else None,
)
def test_a_collection_that_is_refused_leaves_nothing_behind(arguments, error, message, tmp_path):
    with pytest.raises(error, match=message):
        nf.Collection(tmp_path / "above" / "docs", **arguments)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "docs").mkdir()
    with pytest.raises(error, match=message):
        nf.Collection(tmp_path / "docs", **arguments)
    assert list((tmp_path / "docs").iterdir()) == []


def test_what_no_row_can_be_named_is_not_in_a_collection(folder):
    with nf.Collection(folder) as docs:
        assert 0 in docs and np.uint8(49) in docs
        for id in (50, 2**63, -(2**63) - 1, 10**30, np.uint64(2**63), "0", "\ud800", "x" * 5000):
            assert id not in docs
        assert None not in docs and 0.0 not in docs and True not in docs


@pytest.mark.parametrize("take", [pickle.dumps, copy.copy, copy.deepcopy])
def test_a_collection_is_neither_pickled_nor_copied_but_opened_by_its_path(take, folder):
    with (
        nf.Collection(folder) as docs,
        pytest.raises(TypeError, match="a Collection must be opened by its path"),
    ):
        take(docs)


def test_rows_are_given_back_as_they_were_read_with_and_without_texts(folder):
    with nf.Collection(folder) as docs:
        docs.upsert([0, 1], vectors=vectors_of(2), texts=["zero", None], metadata=[{"a": 1}, {}])
        rows = docs.get([0, 1, 2])
        docs.upsert(
            [row.id for row in rows],
            texts=[row.text for row in rows],
            vectors=[row.vector for row in rows],
            metadata=[{**row.metadata, "read": True} for row in rows],
        )
        again = docs.get([0, 1, 2])
        assert [row.text for row in again] == ["zero", None, None]
        assert [row.metadata for row in again] == [
            {"a": 1, "read": True},
            {"read": True},
            {"read": True},
        ]
        for row, before in zip(again, rows, strict=True):
            np.testing.assert_array_equal(row.vector, before.vector)
        with pytest.raises(ValueError, match="got neither; a row is replaced whole, and get"):
            docs.upsert([0], metadata=[{"read": False}])
        assert docs.check(deep=True).ok


def test_texts_to_embed_have_no_gaps(tmp_path):
    with (
        nf.Collection(tmp_path / "docs", encoder=LettersEncoder()) as docs,
        pytest.raises(TypeError, match=r"texts\[1\] must be a str, got NoneType"),
    ):
        docs.add(texts=["one", None])


@pytest.mark.parametrize("name", ["dim", "seal_rows", "max_waiting", "cache_bytes", "threads"])
@pytest.mark.parametrize("flag", [True, False, np.True_], ids=repr)
def test_a_bool_is_no_number_of_a_collection(name, flag, tmp_path):
    with pytest.raises(TypeError, match=f"^{name} must be an int, got {flag!r}$"):
        nf.Collection(tmp_path / "docs", **({"dim": DIM} | {name: flag}))
    assert not (tmp_path / "docs").exists()


def test_a_bool_is_no_k_and_no_ef_search(folder):
    with nf.Collection(folder) as docs:
        for name in ("k", "ef_search", "threads"):
            with pytest.raises(TypeError, match=f"^{name} must be an int, got True$"):
                docs.search(vectors_of(1)[0], **{name: True})
