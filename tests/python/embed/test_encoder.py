from collections.abc import Generator, Sequence

import numpy as np
import pytest

from nearfield._optional import MissingExtraError, import_extra
from nearfield.embed import Encoder, Kind, default_cache_dir


class CountingModel:
    """Vector of a text: its length and its number of spaces, on the unit circle."""

    name = "counting"
    dim = 2

    def __init__(self, fingerprint: str = "counting-1") -> None:
        self.fingerprint = fingerprint
        self.seen: list[tuple[Kind, list[str]]] = []

    def encode_batches(
        self, batches: Sequence[Sequence[str]], kind: Kind, threads: int
    ) -> Generator[np.ndarray, None, None]:
        for batch in batches:
            self.seen.append((kind, list(batch)))
            rows = np.array([[len(text) + 1, text.count(" ")] for text in batch], np.float32)
            yield rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_encode_document_gives_one_float32_row_a_text_in_the_order_given():
    vectors = Encoder(CountingModel(), batch_size=2).encode_document(["a", "b c", "d e f"])
    assert vectors.dtype == np.float32
    expected = np.array([[2, 0], [4, 1], [6, 2]], np.float32)
    np.testing.assert_allclose(
        vectors, expected / np.linalg.norm(expected, axis=1, keepdims=True), rtol=1e-6
    )


def test_encode_query_gives_a_vector_for_a_single_text():
    encoder = Encoder(CountingModel())
    assert encoder.encode_query("a b").shape == (2,)
    assert encoder.encode_document([]).shape == (0, 2)


def test_encoder_hands_the_model_batches_of_batch_size_and_the_kind():
    model = CountingModel()
    Encoder(model, batch_size=2).encode_query(["a", "b", "c"])
    assert model.seen == [("query", ["a", "b"]), ("query", ["c"])]


def test_progress_is_told_the_texts_done_and_their_total():
    told = []
    Encoder(CountingModel(), batch_size=2).encode_document(
        ["a", "b", "c"], progress=lambda done, total: told.append((done, total))
    )
    assert told == [(2, 3), (3, 3)]


@pytest.mark.parametrize(
    ("texts", "error", "message"),
    [
        (["a", 7], TypeError, r"texts\[1\] must be a str, got int"),
        (["a", "b\ud800"], ValueError, r"texts\[1\] must be valid Unicode, got a lone surrogate"),
    ],
)
def test_encode_rejects_what_is_not_text_before_the_model_sees_any(texts, error, message):
    model = CountingModel()
    with pytest.raises(error, match=message):
        Encoder(model).encode_document(texts)
    assert model.seen == []


def test_encoder_names_the_known_models_when_asked_for_another():
    with pytest.raises(ValueError, match=r"model must be one of 'usem3', got 'word2vec'"):
        Encoder("word2vec")


@pytest.mark.parametrize("argument", ["batch_size", "threads"])
def test_encoder_rejects_negative_numbers(argument):
    with pytest.raises(ValueError, match=f"{argument} must be at least .*, got -1"):
        Encoder(CountingModel(), **{argument: -1})


def test_cache_embeds_no_text_twice(tmp_path):
    first = CountingModel()
    vectors = Encoder(first, cache_dir=tmp_path).encode_document(["a b", "c"])
    second = CountingModel()
    again = Encoder(second, cache_dir=tmp_path).encode_document(["new one", "c", "a b"])
    assert second.seen == [("document", ["new one"])]
    np.testing.assert_array_equal(again[[2, 1]], vectors)


def test_cache_keeps_models_and_kinds_apart(tmp_path):
    Encoder(CountingModel("counting-1"), cache_dir=tmp_path).encode_document(["a"])
    other = CountingModel("counting-2")
    Encoder(other, cache_dir=tmp_path).encode_document(["a"])
    assert other.seen == [("document", ["a"])]
    Encoder(other, cache_dir=tmp_path).encode_query(["a"])
    assert other.seen[1:] == [("query", ["a"])]


def test_cache_that_is_no_database_is_left_aside_with_a_warning(tmp_path):
    Encoder(CountingModel(), cache_dir=tmp_path).encode_document(["a"])
    (file,) = tmp_path.iterdir()
    file.write_bytes(b"not a database" * 100)
    with pytest.warns(RuntimeWarning, match="is not usable and is left aside"):
        vectors = Encoder(CountingModel(), cache_dir=tmp_path).encode_document(["a"])
    np.testing.assert_allclose(vectors, [[1, 0]])


def test_default_cache_dir_follows_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("NEARFIELD_CACHE_DIR", str(tmp_path))
    assert default_cache_dir() == tmp_path


def test_an_absent_package_gives_an_error_that_names_the_extra():
    with pytest.raises(MissingExtraError, match=r"the test needs the package no_such_package: pip"):
        import_extra("no_such_package", "demo", "the test")
    with pytest.raises(MissingExtraError, match=r"pip install 'nearfield\[demo\]'"):
        import_extra("no_such_package.part", "demo", "the test")


def test_a_fault_inside_an_installed_package_is_not_taken_for_its_absence(tmp_path, monkeypatch):
    (tmp_path / "half_installed.py").write_text("import no_such_dependency\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="no_such_dependency") as caught:
        import_extra("half_installed", "demo", "the test")
    assert not isinstance(caught.value, MissingExtraError)
