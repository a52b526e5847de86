"""`nearfield eval`, `tune` and `bench`."""

import importlib
import json

import numpy as np
import pytest

from nearfield.cli import main


@pytest.fixture
def files(tmp_path):
    vectors = np.random.default_rng(3).standard_normal((600, 8), dtype=np.float32)
    np.save(tmp_path / "data.npy", vectors)
    np.save(tmp_path / "queries.npy", vectors[:20] + 0.1)
    return tmp_path


def test_eval_prints_the_report(files, capsys):
    assert main(["eval", str(files / "data.npy"), "--kind", "flat", "--metric", "l2"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("flat, 600 x 8 l2")
    assert "recall@10" in shown


def test_eval_gives_json_and_a_picture(files, capsys):
    pytest.importorskip("matplotlib")
    picture = files / "report.svg"
    arguments = ["eval", str(files / "data.npy"), "--queries", str(files / "queries.npy")]
    assert main([*arguments, "--kind", "flat", "--json", "--plot", str(picture)]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["recall"]["mean"] == 1.0
    assert told["n_queries"] == 20
    assert "<svg" in picture.read_text()


def test_tune_says_that_an_exact_index_has_nothing_to_set(files, capsys):
    assert main(["tune", str(files / "data.npy"), "--kind", "flat", "--recall", "0.9"]) == 0
    assert "nothing to set" in capsys.readouterr().out
    assert main(["tune", str(files / "data.npy"), "--kind", "flat", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["recall"]["mean"] == 1.0


def test_bench_prints_a_line_for_each_kind(files, capsys):
    assert main(["bench", str(files / "data.npy")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("kind")
    assert lines[1].split()[0] == "flat"
    assert len({len(line) for line in lines}) == 1


def test_bench_without_data_takes_the_demos_vectors(monkeypatch, capsys):
    vectors = np.random.default_rng(4).standard_normal((300, 8), dtype=np.float32)
    demo = importlib.import_module("nearfield.demo.run")  # the package has a function of that name
    monkeypatch.setattr(demo, "demo_vectors", lambda: (vectors, vectors[:7]))
    assert main(["bench", "--json"]) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {report["kind"] for report in told} >= {"flat", "hnsw"}
    assert all(report["n"] == 300 and report["n_queries"] == 7 for report in told)


def test_bench_wants_data_with_queries(files, capsys):
    assert main(["bench", "--queries", str(files / "queries.npy")]) == 1
    assert "--queries must come with DATA, got" in capsys.readouterr().err


def test_a_recall_out_of_range_is_said(files, capsys):
    assert main(["tune", str(files / "data.npy"), "--recall", "95"]) == 1
    assert "recall must be in (0, 1], got 95.0" in capsys.readouterr().err
