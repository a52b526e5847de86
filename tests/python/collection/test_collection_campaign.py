"""The durability campaign, sized for every push; NEARFIELD_CAMPAIGN=full runs all of it.

tests/README.md has the figures of a full run, tests/soak.py repeats it for hours.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(TESTS / "faults"))
import disk_faults  # noqa: E402
import model_runs  # noqa: E402

FULL = os.environ.get("NEARFIELD_CAMPAIGN") == "full"
needs_faults = pytest.mark.skipif(
    not disk_faults.available(), reason="needs Linux and gcc to stand between process and disk"
)


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return disk_faults.build(tmp_path_factory.mktemp("faults"))


@needs_faults
@pytest.mark.parametrize("mode", ["eio-once", "eio-forever", "enospc-once", "short-once", "kill"])
def test_no_failing_io_call_loses_or_invents_a_row(mode, library):
    out = disk_faults.run(
        "io_faults.py", "--modes", mode, "--every", 1 if FULL else 3, "--seed", os.getpid(),
        library=library, timeout=600,
    )  # fmt: skip
    summary = json.loads(out)
    assert summary["failures"] == []
    assert summary["runs"] >= 40
    assert summary["raised"] > 0 or mode in ("kill", "short-once")


@needs_faults
@pytest.mark.parametrize("durability", ["full", "os"])
def test_no_power_cut_loses_or_invents_a_row(durability, library):
    states = 15_000 if FULL else 500
    out = disk_faults.run(
        "crash_states.py", "--states", states, "--durability", durability,
        "--states-a-workload", 500 if FULL else 250, "--seed", os.getpid(),
        library=library, timeout=1800,
    )  # fmt: skip
    summary = json.loads(out)
    assert summary["failures"] == []
    assert summary["states"] == states


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL")
def test_no_kill_loses_or_invents_a_row():
    kills = 200 if FULL else 12
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", TESTS / "kill_loop.py", "--kills", str(kills),
         "--longest", "0.4", "--seal-rows", "256", "--snapshot-every", "7"],
        capture_output=True, text=True, timeout=1800, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr[-2000:]
    summary = json.loads(ran.stdout)
    assert (summary["kills"], summary["lost"]) == (kills, 0)
    assert summary["calls"] > 0


@pytest.mark.parametrize("kind", ["flat", "hnsw"])
def test_a_collection_does_what_a_dict_and_exact_search_do(kind):
    operations, restarts = (100_000, 200) if FULL else (2_500, 10)
    counts = model_runs.run(operations, restarts, os.getpid(), kind)
    assert counts["restarts"] >= restarts
    assert counts["recall"] >= (1.0 if kind == "flat" else 0.97)


def test_damaged_files_are_told_or_mended_and_never_believed():
    damages = 5_000 if FULL else 120
    ran = subprocess.run(
        [sys.executable, TESTS / "faults" / "damaged_rows.py", "--damages", str(damages),
         "--seed", str(os.getpid())],
        capture_output=True, text=True, timeout=1800, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr[-2000:]
    summary = json.loads(ran.stdout)
    assert summary["whole"] > 0
    assert summary["refused"] > 0
    assert summary["whole"] + summary["partly"] + summary["refused"] == damages
