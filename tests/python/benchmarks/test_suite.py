"""The asv suite runs: every benchmark once here, and asv itself where it is installed."""

import importlib
import json
import os
import shutil
import subprocess
import sys
from itertools import product

import pytest

FILES = ("bench_kernels", "bench_build", "bench_search", "bench_encode", "bench_load")


def classes():
    """(file, class name) of each benchmark class."""
    for file in FILES:
        module = importlib.import_module(f"suite.{file}")
        for name, value in vars(module).items():
            if isinstance(value, type) and value.__module__ == module.__name__:
                yield file, name


@pytest.mark.parametrize("file", FILES)
def test_every_benchmark_of_the_suite_runs_once(file, monkeypatch, tmp_path):
    monkeypatch.setenv("NEARFIELD_SUITE_DATA", "made")
    monkeypatch.chdir(tmp_path)
    module = importlib.import_module(f"suite.{file}")
    ran = 0
    for name in [name for found, name in classes() if found == file]:
        benchmark = getattr(module, name)
        cache = [benchmark().setup_cache()] if hasattr(benchmark, "setup_cache") else []
        for values in product(*getattr(benchmark, "params", ())):
            ran += run_methods(benchmark(), [*cache, *values])
    assert ran


def run_methods(instance, arguments):
    """Call the timed and tracked methods of one benchmark; how many there were."""
    if hasattr(instance, "setup"):
        try:
            instance.setup(*arguments)
        except NotImplementedError:  # asv's way to skip
            return 0
    methods = [name for name in dir(instance) if name.startswith(("time", "track_"))]
    methods.remove("timeout") if "timeout" in methods else None
    for name in methods:
        value = getattr(instance, name)(*arguments)
        if name.startswith("track_"):
            assert value > 0
        if name.startswith("timeraw_"):
            exec(value, {})
    return len(methods)


def test_every_timed_search_has_its_recall_beside_it():
    for file, name in classes():
        methods = dir(getattr(importlib.import_module(f"suite.{file}"), name))
        if file == "bench_search":
            assert "track_recall_at_10" in methods


@pytest.mark.skipif(shutil.which("git") is None, reason="asv needs git")
def test_asv_runs_the_suite_in_this_environment(benchmarks_folder, tmp_path):
    pytest.importorskip("asv")
    if not (benchmarks_folder.parent / ".git").exists():
        pytest.skip("asv needs a git checkout")
    config = json.loads((benchmarks_folder / "asv.conf.json").read_text())
    config |= {
        "repo": str(benchmarks_folder.parent),
        "benchmark_dir": str(benchmarks_folder / "suite"),
        "results_dir": str(tmp_path / "results"),
    }
    (tmp_path / "asv.conf.json").write_text(json.dumps(config))
    environment = {**os.environ, "HOME": str(tmp_path), "NEARFIELD_SUITE_DATA": "made"}

    def asv(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "asv", *arguments],
            cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=200,
        )  # fmt: skip

    asv("machine", "--yes")
    ran = asv("run", "--quick", "--python=same", "--bench", "Search.*(recall|one_query)")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "track_recall_at_10" in ran.stdout
    assert "failed" not in ran.stdout
