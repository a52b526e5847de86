"""The C++ tests of the core, built as a user's compiler would, and again under sanitizers."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# The sanitizers take minutes to build: .ci/run and developers ask for them by name.
BUILDS = ["plain", *os.environ.get("NEARFIELD_TEST_SANITIZERS", "").split()]


def run(*command, **options):
    ran = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    assert ran.returncode == 0, f"{command}\n{ran.stdout[-5000:]}\n{ran.stderr[-5000:]}"
    return ran.stdout


@pytest.mark.parametrize("build", BUILDS)
def test_the_core_passes_its_own_tests(build, tmp_path):
    cmake = shutil.which("cmake")
    if cmake is None:
        pytest.skip("cmake is not installed")
    sanitize = "" if build == "plain" else build
    generator = ["-G", "Ninja"] if shutil.which("ninja") else []
    run(
        cmake, "-S", ROOT, "-B", tmp_path, *generator,
        "-DNEARFIELD_PYTHON=OFF", "-DNEARFIELD_TESTS=ON",
        f"-DNEARFIELD_SANITIZE={sanitize}",
    )  # fmt: skip
    run(cmake, "--build", tmp_path, "--parallel", str(len(os.sched_getaffinity(0))))
    options = {"ASAN_OPTIONS": "detect_leaks=0", "UBSAN_OPTIONS": "halt_on_error=1"}
    output = run(tmp_path / "tests/csrc/nearfield_tests", env={**os.environ, **options})
    assert " 0 failed" in output
