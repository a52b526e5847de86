"""Vectors to files of every format and back."""

import json
import os

import numpy as np
import pytest

import nearfield as nf
from nearfield.formats.whole import whole_file

PLAIN = (".npy", ".fvecs", ".bvecs")
NAMED = (".jsonl", ".safetensors", ".parquet", ".arrow")


def needs(suffix):
    if suffix in (".parquet", ".arrow"):
        pytest.importorskip("pyarrow")


@pytest.mark.parametrize("suffix", [*PLAIN, *NAMED])
def test_vectors_come_back_as_they_were(suffix, tmp_path, rng):
    needs(suffix)
    vectors = rng.integers(0, 256, (20, 7)).astype(np.float32)
    if suffix != ".bvecs":
        vectors += 0.25
    path = tmp_path / f"열 vectors{suffix}"
    nf.write_vectors(path, vectors)
    found = nf.read_vectors(path)
    np.testing.assert_array_equal(found.vectors, vectors)
    assert found.ids is None
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("ids", [[5, -3, 2**62], ["문서", "", 'a\nb\t"c"']])
@pytest.mark.parametrize("suffix", NAMED)
def test_ids_come_back_with_their_vectors(suffix, ids, tmp_path):
    needs(suffix)
    vectors = np.arange(6, dtype=np.float32).reshape(3, 2)
    nf.write_vectors(tmp_path / f"a{suffix}", vectors, ids)
    found = nf.read_vectors(tmp_path / f"a{suffix}")
    np.testing.assert_array_equal(found.vectors, vectors)
    assert list(found.ids) == ids
    index = nf.Flat(2, "l2")
    index.add(found.vectors, ids=found.ids)
    assert index.ids.tolist() == ids


def test_an_index_file_is_a_file_of_vectors_too(tmp_path):
    index = nf.Flat(2, "l2")
    index.add([[1, 2], [3, 4]], ids=["b", "a"])
    index.save(tmp_path / "a.nf")
    found = nf.read_vectors(tmp_path / "a.nf")
    assert (found.vectors.tolist(), found.ids) == ([[1, 2], [3, 4]], ["b", "a"])


@pytest.mark.parametrize("suffix", PLAIN)
def test_ids_are_refused_where_there_is_no_place_for_them(suffix, tmp_path):
    with pytest.raises(ValueError, match=f"ids must be None for {suffix}"):
        nf.write_vectors(tmp_path / f"a{suffix}", [[1.0]], ids=[1])
    assert not list(tmp_path.iterdir())


def test_wrong_vectors_and_names_are_refused_and_leave_no_file(tmp_path):
    (tmp_path / "a.bvecs").write_bytes(b"old")
    with pytest.raises(
        ValueError, match="integers in 0..255 for .bvecs, got 0.5 at row 0, column 1"
    ):
        nf.write_vectors(tmp_path / "a.bvecs", [[1.0, 0.5]])
    with pytest.raises(ValueError, match="file must end in .npy, .*, got .*a.xyz"):
        nf.write_vectors(tmp_path / "a.xyz", [[1.0]])
    with pytest.raises(ValueError, match=r"ids must have one entry a vector \(1\), got 2"):
        nf.write_vectors(tmp_path / "a.jsonl", [[1.0]], ids=[1, 2])
    assert [path.read_bytes() for path in tmp_path.iterdir()] == [b"old"]


def test_safetensors_are_those_of_the_library(tmp_path, rng):
    library = pytest.importorskip("safetensors.numpy")
    vectors = rng.standard_normal((9, 4), dtype=np.float32)
    nf.write_vectors(tmp_path / "a.safetensors", vectors, ids=range(9))
    theirs = library.load_file(tmp_path / "a.safetensors")
    np.testing.assert_array_equal(theirs["vectors"], vectors)
    np.testing.assert_array_equal(theirs["ids"], np.arange(9))
    library.save_file({"embeddings": vectors.astype(np.float16)}, tmp_path / "b.safetensors")
    np.testing.assert_array_equal(
        nf.read_vectors(tmp_path / "b.safetensors").vectors, vectors.astype(np.float16)
    )


HEADERS = [
    {"vectors": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 17]}},
    {"vectors": {"dtype": "F32", "shape": [2, 2], "data_offsets": [16, 0]}},
    {"vectors": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 16]}},
    {"vectors": {"dtype": "F32", "shape": [2**32, 2**32], "data_offsets": [0, 0]}},
    {"vectors": {"dtype": "F32", "shape": [-2, -2], "data_offsets": [0, 16]}},
    {"vectors": {"dtype": "F32", "shape": [2.0, 2], "data_offsets": [0, 16]}},
    {"vectors": {"dtype": "F32", "shape": None, "data_offsets": [0, 16]}},
    {"vectors": {"dtype": "F32", "shape": [2, 2]}},
    {"vectors": {"dtype": "F8_E5M2", "shape": [2, 2], "data_offsets": [0, 4]}},
    {"vectors": 3}, [], {}, 7,
    {"a": {"dtype": "F32", "shape": [2, 1], "data_offsets": [0, 8]},
     "b": {"dtype": "F32", "shape": [2, 1], "data_offsets": [8, 16]}},
]  # fmt: skip


@pytest.mark.parametrize("header", HEADERS)
def test_a_hostile_safetensors_header_is_refused(header, tmp_path):
    text = json.dumps(header).encode()
    path = tmp_path / "a.safetensors"
    path.write_bytes(len(text).to_bytes(8, "little") + text + b"\0" * 16)
    with pytest.raises(ValueError, match="a.safetensors must"):
        nf.read_vectors(path)


@pytest.mark.parametrize(
    "suffix", [".npy", ".fvecs", ".bvecs", ".safetensors", ".parquet", ".arrow"]
)
def test_a_vector_file_cut_at_any_length_is_refused(suffix, tmp_path, rng):
    needs(suffix)
    path = tmp_path / f"a{suffix}"
    nf.write_vectors(path, rng.integers(0, 256, (3, 5)).astype(np.float32))
    whole = path.read_bytes()
    row = 9 if suffix == ".bvecs" else 24
    for n in range(0, len(whole), 1 if len(whole) < 400 else 13):
        if suffix in (".fvecs", ".bvecs") and n and n % row == 0:
            continue  # a file of fewer rows
        path.write_bytes(whole[:n])
        with pytest.raises(ValueError, match="must"):
            nf.read_vectors(path)


def test_arrow_columns_that_are_no_vectors_are_refused(tmp_path):
    arrow = pytest.importorskip("pyarrow")
    feather = pytest.importorskip("pyarrow.feather")
    for column in (
        arrow.array([[1.0, 2.0], [3.0]]), arrow.array([[1.0], None]), arrow.array(["a", "b"]),
        arrow.array([[1.0, None], [2.0, 3.0]]), arrow.array([["a"], ["b"]]),
    ):  # fmt: skip
        feather.write_feather(arrow.table({"vector": column}), tmp_path / "a.arrow")
        with pytest.raises(ValueError, match="a.arrow must"):
            nf.read_vectors(tmp_path / "a.arrow")
    lists = arrow.table({"embedding": [[1, 2], [3, 4]], "id": ["x", "y"]})
    feather.write_feather(lists, tmp_path / "a.arrow")
    found = nf.read_vectors(tmp_path / "a.arrow")
    assert (found.vectors.tolist(), found.ids) == ([[1, 2], [3, 4]], ["x", "y"])


def test_a_file_is_replaced_whole_through_a_link_or_written_to_as_a_pipe(tmp_path):
    (tmp_path / "held").write_bytes(b"before")
    (tmp_path / "link").symlink_to("held")
    with (
        pytest.raises(RuntimeError, match="stop"),
        whole_file(tmp_path / "link") as path,
        path.open("wb") as file,
    ):
        file.write(b"half")
        raise RuntimeError("stop")
    assert (tmp_path / "link").read_bytes() == b"before"
    with whole_file(tmp_path / "link") as path:
        path.write_bytes(b"after")
    assert (tmp_path / "held").read_bytes() == b"after"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["held", "link"]
    os.mkfifo(tmp_path / "pipe")
    with whole_file(tmp_path / "pipe") as path:
        assert path == tmp_path / "pipe"
