"""The comparison end to end, over made-up peers: one works, the others fail in every way."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

EXACT = """
from pathlib import Path
import numpy as np
from peers import Problem, Variant
DISTRIBUTION = "numpy"

def variants(problem):
    return [Variant("scan", {}, [[{"share": 0.5}, {"share": 1.0}]])]

class Index:
    def __init__(self, vectors, problem, threads):
        print("a peer may print")
        self.vectors = vectors.copy()
    def set(self, threads, share):
        self.share = share
    def search(self, queries, k):
        return np.stack([self.search_one(query, k) for query in queries])
    def search_one(self, query, k):
        kept = self.vectors[: int(self.share * len(self.vectors))]
        return np.argsort(((kept - query) ** 2).sum(1))[:k]
    def bytes(self, folder):
        return self.vectors.nbytes
"""
BROKEN = """
from peers import UnsupportedError, Variant
DISTRIBUTION = "numpy"

def variants(problem):
    {variants}
    return [Variant("only", {{}}, [[{{}}]])]

class Index:
    def __init__(self, vectors, problem, threads):
        {build}
    def set(self, threads): pass
    def search(self, queries, k):
        {search}
"""
WAYS = {
    "crasher": {"build": "import os; os.abort()"},
    "hanger": {"build": "import time; time.sleep(60)"},
    "absent": {"build": "import a_library_that_is_not_there"},
    "raiser": {"search": "raise ValueError('no such thing')"},
    "unfit": {"variants": "raise UnsupportedError('has no l2 metric')"},
}


@pytest.fixture(scope="module")
def outcome(tmp_path_factory, request):
    """Run compare.py in a copy of its folder that holds the made-up peers."""
    source = request.path.parents[3] / "benchmarks"
    folder = tmp_path_factory.mktemp("compared")
    for path in source.glob("*.py"):
        shutil.copy(path, folder)
    (folder / "peers").mkdir()
    shutil.copy(source / "peers" / "__init__.py", folder / "peers")
    (folder / "peers" / "exact.py").write_text(EXACT)
    for name, parts in WAYS.items():
        filled = {"variants": "pass", "build": "pass", "search": "pass", **parts}
        (folder / "peers" / f"{name}.py").write_text(BROKEN.format(**filled))
    np.save(folder / "rows.npy", np.random.default_rng(0).standard_normal((300, 8)).astype("f4"))
    return compare(folder, "--peers", ",".join([*WAYS, "exact"])), folder


def compare(folder, *options):
    """Run compare.py of that folder on its rows."""
    return subprocess.run(
        [sys.executable, "compare.py", "--data", "rows.npy", "--queries", "10", "--quick",
         "--build-timeout", "4", "--results", "out", *options],
        cwd=folder, capture_output=True, text=True, timeout=120,
        env={"NEARFIELD_BENCH_CACHE": str(folder / "cache"), "PATH": ""},
    )  # fmt: skip


def test_the_peer_that_works_is_measured_after_all_others_failed(outcome):
    done, folder = outcome
    assert done.returncode == 0, done.stderr
    result = json.loads((folder / "out" / "rows-quick.json").read_text())
    assert [entry["peer"] for entry in result["entries"]] == ["exact"]
    best = max(point["recall"] for point in result["entries"][0]["reporting"])
    assert best == 1.0
    assert result["data"]["n"] == 280


def test_result_file_says_machine_versions_and_seed(outcome):
    result = json.loads((outcome[1] / "out" / "rows-quick.json").read_text())
    assert result["seed"] == 0
    assert result["machine"]["cores"] >= 1
    assert result["entries"][0]["version"] == np.__version__
    assert result["entries"][0]["index_bytes"] == 280 * 8 * 4


@pytest.mark.parametrize(
    ("peer", "line"),
    [
        ("crasher", "died at build with SIGABRT"),
        ("hanger", "timed out: no answer to build within 4 s"),
        ("absent", "skipped: not installed (a_library_that_is_not_there)"),
        ("raiser", "failed: ValueError: no such thing"),
        ("unfit", "skipped: has no l2 metric"),
    ],
)
def test_a_peer_that_fails_is_one_line_of_the_report(outcome, peer, line):
    notes = json.loads((outcome[1] / "out" / "rows-quick.json").read_text())["notes"]
    assert [note for note in notes if note.startswith(peer) and line in note], notes
    assert line in outcome[0].stdout


def test_table_gives_every_target_recall_and_the_plot_is_drawn(outcome):
    done, folder = outcome
    for recall in ("recall 0.90", "recall 0.95", "recall 0.99"):
        assert recall in done.stdout
    assert (folder / "out" / "rows-quick.png").stat().st_size > 10_000


def test_a_result_becomes_a_table_for_a_readme(outcome):
    from readme_table import readme_table

    result = json.loads((outcome[1] / "out" / "rows-quick.json").read_text())
    ratio = {"target": 0.95, "mode": "batch", "first": "nearfield", "second": "exact", "ratio": 1.5}
    text = readme_table({**result, "paired": [ratio]})
    row = next(line for line in text.splitlines() if line.startswith("| exact"))
    assert row.count("|") == 6
    assert "| exact | - / - / - | - / 1.50 / - |" in text
    assert "unfit skipped: has no l2 metric." in text


def test_a_later_run_can_keep_the_other_peers_of_an_earlier_one(outcome, tmp_path):
    folder = tmp_path / "again"
    shutil.copytree(outcome[1], folder)
    path = folder / "out" / "rows-quick.json"
    earlier = json.loads(path.read_text())
    earlier["entries"].append({**earlier["entries"][0], "peer": "other"})
    path.write_text(json.dumps(earlier))
    done = compare(folder, "--peers", "exact", "--add")
    assert done.returncode == 0, done.stderr
    result = json.loads(path.read_text())
    assert sorted(entry["peer"] for entry in result["entries"]) == ["exact", "other"]
    assert result["notes"] == earlier["notes"]


def test_our_peer_builds_and_answers_as_the_worker_asks():
    import peers

    problem = peers.Problem(n=200, dim=8, k=3, metric="l2", quick=True)
    ours = peers.load("nearfield")
    vectors = np.random.default_rng(0).standard_normal((200, 8)).astype("f4")
    flat = next(v for v in ours.variants(problem) if v.name == "Flat")
    index = ours.Index(vectors, problem, 1, **flat.build)
    index.set(1, **flat.sweeps[0][0])
    np.testing.assert_array_equal(index.search(vectors[:5], 3)[:, 0], np.arange(5))
    assert index.search_one(vectors[7], 3)[0] == 7


def test_every_named_peer_has_its_file_and_offers_variants():
    import peers

    problem = peers.Problem(n=10_000, dim=64, k=10, metric="cosine", quick=True)
    for name in peers.NAMES:
        module = peers.load(name)
        assert module.DISTRIBUTION
        assert module.variants(problem)
