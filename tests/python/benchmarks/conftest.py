"""Makes `benchmarks/` importable, as its own programs find each other, and gives it a cache."""

import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    """Keep what data sets and ground truth cache apart from the user's."""
    monkeypatch.setenv("NEARFIELD_BENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("NEARFIELD_DATA", raising=False)


@pytest.fixture
def benchmarks_folder():
    return BENCHMARKS
