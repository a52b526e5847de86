"""`nearfield info, verify, convert, build` and searching a saved index."""

import json
import sqlite3
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import nearfield as nf
from nearfield.cli import main

FOREIGN = Path(__file__).parents[1] / "golden" / "foreign"


@pytest.fixture
def vectors(rng, tmp_path):
    values = rng.standard_normal((300, 8), dtype=np.float32)
    np.save(tmp_path / "data.npy", values)
    return values


def test_build_then_search_finds_what_search_of_the_vectors_finds(vectors, tmp_path, capsys):
    data, index, queries = (str(tmp_path / name) for name in ("data.npy", "a.nf", "q.npy"))
    np.save(queries, vectors[:3])
    assert main(["build", data, index, "--kind", "flat", "--metric", "l2"]) == 0
    assert "wrote" in capsys.readouterr().err
    assert main(["search", index, queries, "--k", "4"]) == 0
    found = capsys.readouterr().out
    assert main(["search", data, queries, "--k", "4", "--metric", "l2"]) == 0
    assert capsys.readouterr().out == found
    assert main(["search", index, queries, "--metric", "dot"]) == 1
    assert "metric must be the index's, l2, got dot" in capsys.readouterr().err


def test_build_without_a_kind_chooses_one_and_says_why(vectors, tmp_path, capsys):
    assert main(["build", str(tmp_path / "data.npy"), str(tmp_path / "a.nf")]) == 0
    index = nf.load(tmp_path / "a.nf")
    assert len(index) == 300
    assert index.choice is not None
    assert index.choice in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore:sample should have")
def test_build_makes_inverted_lists_where_they_are_asked_for(vectors, tmp_path, capsys):
    data, path = str(tmp_path / "data.npy"), str(tmp_path / "a.nf")
    assert main(["build", data, path, "--kind", "ivfpq", "--metric", "l2"]) == 0
    index = nf.load(path)
    assert isinstance(index, nf.IVFPQ)
    assert index.search(vectors[:5], k=1, nprobe=index.nlist).ids.ravel().tolist() == [
        0,
        1,
        2,
        3,
        4,
    ]
    assert main(["tune", data, "--kind", "ivfpq", "--metric", "l2", "--recall", "0.9"]) == 0
    assert "nprobe" in capsys.readouterr().out


def test_info_tells_kind_parameters_and_sections(vectors, tmp_path, capsys):
    main(["build", str(tmp_path / "data.npy"), str(tmp_path / "a.nf"), "--kind", "hnsw"])
    capsys.readouterr()
    assert main(["info", str(tmp_path / "a.nf")]) == 0
    shown = capsys.readouterr().out
    for word in ("hnsw", "graph.links", "ef_construction", "vectors.rows", "float16"):
        assert word in shown
    assert main(["info", str(tmp_path / "a.nf"), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["kind"] == "hnsw"
    assert facts["fields"]["vectors"] == 300
    assert {"name", "dtype", "elements", "offset", "bytes"} == set(facts["sections"][0])


def test_verify_goes_through_all_files_and_fails_if_one_is_damaged(vectors, tmp_path, capsys):
    for name in ("a.nf", "b.nf"):
        main(["build", str(tmp_path / "data.npy"), str(tmp_path / name), "--kind", "flat"])
    capsys.readouterr()
    paths = [str(tmp_path / "a.nf"), str(tmp_path / "b.nf")]
    assert main(["verify", *paths]) == 0
    assert capsys.readouterr().out.count("ok  ") == 2
    data = bytearray((tmp_path / "a.nf").read_bytes())
    data[-5000] ^= 1
    (tmp_path / "a.nf").write_bytes(data)
    assert main(["verify", *paths, str(tmp_path / "none.nf")]) == 1
    out, err = capsys.readouterr()
    assert "BAD" in out
    assert "vectors.rows" in out
    assert "ok  " in out
    assert "2 of 3 did not pass" in err


def test_verify_finds_faults_planted_in_a_collection(vectors, tmp_path, capsys):
    folder = tmp_path / "docs"
    with nf.Collection(folder, dim=8, seal_rows=64) as docs:
        docs.add(ids=list(range(300)), vectors=vectors, texts=["text"] * 300)
        docs.compact()
    assert main(["verify", str(folder)]) == 0
    assert "collection, 300 rows" in capsys.readouterr().out

    (index,) = folder.glob("index-*.nf")
    whole = index.read_bytes()
    index.write_bytes(whole[:5000] + bytes([whole[5000] ^ 4]) + whole[5001:])
    assert main(["verify", str(folder)]) == 1
    assert "is not usable" in capsys.readouterr().out

    index.write_bytes(whole)
    assert main(["verify", str(folder)]) == 0
    with sqlite3.connect(folder / "rows.db") as rows:
        rows.execute("UPDATE content SET text = 'other' WHERE slot = 8")
    rows.close()
    assert main(["verify", str(folder)]) == 1
    assert "a damaged row in slot 8" in capsys.readouterr().out
    (tmp_path / "empty").mkdir()
    assert main(["verify", str(tmp_path / "empty")]) == 1
    assert "must be a collection" in capsys.readouterr().out
    assert not list((tmp_path / "empty").iterdir())


def test_convert_goes_between_vectors_and_indexes(vectors, tmp_path, capsys):
    steps = ["data.npy", "a.fvecs", "b.safetensors", "c.nf", "d.jsonl", "e.npy"]
    for source, target in pairwise(steps):
        arguments = ["--metric", "l2", "--no-ids"]
        assert main(["convert", str(tmp_path / source), str(tmp_path / target), *arguments]) == 0
    np.testing.assert_allclose(np.load(tmp_path / "e.npy"), vectors, rtol=1e-6)


def test_convert_takes_indexes_of_other_programs(tmp_path, capsys):
    target = str(tmp_path / "a.nf")
    source = str(FOREIGN / "l2.hnswlib")
    assert main(["convert", source, target]) == 1
    assert "metric must be given for a file of hnswlib" in capsys.readouterr().err
    assert main(["convert", source, target, "--metric", "l2"]) == 0
    assert (type(nf.load(target)), len(nf.load(target))) == (nf.HNSW, 59)
    assert main(["convert", str(FOREIGN / "ivf-pq.faiss"), target, "--kind", "hnsw"]) == 0
    assert (type(nf.load(target)), len(nf.load(target))) == (nf.HNSW, 60)
    renamed = tmp_path / "x"
    renamed.write_bytes((FOREIGN / "flat.faiss").read_bytes())
    out = str(tmp_path / "a.npy")
    assert main(["convert", str(renamed), out, "--from", "faiss", "--no-ids"]) == 0
    np.testing.assert_array_equal(np.load(out), np.load(FOREIGN / "vectors.npy"))


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["build", "data.npy", "missing/a.nf"], "No such file or directory: 'missing'"),
        (["build", "data.npy", "a.txt"], "OUT must end in .nf, got a.txt"),
        (["build", "data.npy", "folder.nf"], "Is a directory: 'folder.nf'"),
        (
            ["build", "folder.nf", "a.nf"],
            "DATA must be a file, or a folder with --text, got folder",
        ),
        (
            ["eval", "data.npy", "--plot", "a.doc"],
            "plot must end in .png or .svg or .pdf, got a.doc",
        ),
        (["tune", "data.npy", "--plot", "missing/a.png"], "No such file or directory: 'missing'"),
        (["search", "missing", "q"], "No such file or directory: 'missing'"),
        (
            ["search", "data.npy", "a question"],
            "QUERY must be a file of vectors where DATA is no fol",
        ),
        (
            ["search", "folder.nf", "a question"],
            "DATA must be a collection, as `nearfield build --te",
        ),
        (["topics", "folder.nf"], "DIR must be a collection, as `nearfield build"),
        (["map", "folder.nf"], "DIR must be a collection, as `nearfield build"),
        (["verify", "folder.nf"], "1 of 1 did not pass"),
        (
            ["info", "folder.nf"],
            "FILE must be an index file, got the folder folder.nf; `nearfield ver",
        ),
    ],
)
def test_a_wrong_path_is_named_before_any_work_and_nothing_is_made(
    vectors, tmp_path, monkeypatch, capsys, command, message
):
    monkeypatch.chdir(tmp_path)
    Path("folder.nf").mkdir()
    assert main(command) == 1
    told = capsys.readouterr()
    assert message in told.err
    assert "recall" not in told.out + told.err
    assert sorted(path.name for path in Path().rglob("*")) == ["data.npy", "folder.nf"]


def test_converting_to_bare_vectors_leaves_out_ids_that_are_row_numbers_only(
    vectors, tmp_path, capsys
):
    target = str(tmp_path / "a.npy")
    for ids, code in ((None, 0), (range(1, 301), 1)):
        index = nf.Flat(8, "l2")
        index.add(vectors, ids=ids)
        index.save(tmp_path / "a.nf")
        assert main(["convert", str(tmp_path / "a.nf"), target]) == code
    assert "--no-ids must be given for .npy" in capsys.readouterr().err
    np.testing.assert_array_equal(np.load(target), vectors)
