"""Run the suites of other libraries, and our tests of what we made for them, against the real ones.

Each environment lies over the one that runs this script: it has what that has, nearfield included,
and its own packages beside, so that pins which collide never meet.

    python tests/conformance/run.py [NAME ...] [--keep DIR] [--strict]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import sysconfig
import tempfile
import time
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OWN = "tests/python/integrations"

# name: (packages, modules that must be there beside them, tests)
ENVIRONMENTS = {
    "langchain": (
        ["langchain-core>=1", "langchain-tests>=1.1", "bm25s>=0.2.6"],
        [],
        ["tests/conformance/test_langchain_suite.py", f"{OWN}/test_langchain.py"],
    ),
    "haystack": (
        ["haystack-ai>=3", "pytest-asyncio>=1"],
        [],
        ["tests/conformance/test_haystack_suite.py", f"{OWN}/test_haystack.py"],
    ),
    "llama-index": (
        ["llama-index-core>=0.14", "bm25s>=0.2.6", "pytest-asyncio>=1"],
        [],
        [f"{OWN}/test_llama_index.py"],
    ),
    "tables": (
        ["vicinity>=0.4", "datasets>=4", "faiss-cpu>=1.9", "pandas>=2.2", "polars>=1.20",
         "pyarrow>=15", "openTSNE>=1.0"],
        [],
        [f"{OWN}/test_vicinity.py", f"{OWN}/test_hf_datasets.py", f"{OWN}/test_umap.py",
         "tests/python/index/test_arrays.py"],
    ),
    "encoders": (
        ["txtai>=9", "mteb>=2", "bertopic>=0.17", "umap-learn>=0.5.6", "faiss-cpu>=1.9"],
        ["torch", "sentence_transformers"],  # too large to fetch for this alone
        [f"{OWN}/test_txtai.py", f"{OWN}/test_mteb.py", f"{OWN}/test_bertopic.py",
         f"{OWN}/test_sentence_transformers.py"],
    ),
}  # fmt: skip

SETTINGS = {
    "HAYSTACK_TELEMETRY_ENABLED": "False", "LANGSMITH_TRACING": "false", "HF_HUB_OFFLINE": "1",
    "NEARFIELD_REQUIRE_LIBRARIES": "1", "TOKENIZERS_PARALLELISM": "false",
}  # fmt: skip


def make(folder: Path, packages: list[str]) -> Path:
    """Make an environment over this one; gives its interpreter."""
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    below = sysconfig.get_path("purelib")
    own = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
    (own / "below.pth").write_text(f"import site; site.addsitedir({below!r})\n")
    subprocess.run(
        [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", *packages],
        check=True, text=True, stderr=subprocess.PIPE,
    )  # fmt: skip
    return python


def has(module: str) -> bool:
    """Whether the environment below has a module."""
    found = subprocess.run([sys.executable, "-c", f"import {module}"], capture_output=True)
    return found.returncode == 0


def run(name: str, folder: Path) -> str:
    """Run one environment: 'passed', 'failed', or why it was not run."""
    packages, modules, tests = ENVIRONMENTS[name]
    lacking = [module for module in modules if not has(module)]
    if lacking:
        return f"not run: {', '.join(lacking)} must be installed"
    try:
        python = make(folder / name, packages)
    except subprocess.CalledProcessError as error:
        sys.stderr.write(error.stderr)
        if "No matching distribution" in error.stderr or "Connection" in error.stderr:
            return "not run: its packages cannot be fetched"
        return "failed: its packages cannot be installed"
    command = [
        str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "asyncio_mode=auto",
        "-o", "filterwarnings=default", "-o", "addopts=-ra --disable-warnings", *tests,
    ]  # fmt: skip
    ran = subprocess.run(command, cwd=ROOT, env={**os.environ, **SETTINGS}, check=False)
    return "passed" if ran.returncode == 0 else f"failed: pytest gave {ran.returncode}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(ENVIRONMENTS))
    parser.add_argument("--keep", type=Path, help="make the environments here and leave them")
    parser.add_argument("--strict", action="store_true", help="fail where one is not run")
    options = parser.parse_args()
    unknown = set(options.names) - set(ENVIRONMENTS)
    if unknown:
        parser.error(f"NAME must be one of {', '.join(ENVIRONMENTS)}, got {sorted(unknown)[0]}")
    results = {}
    with tempfile.TemporaryDirectory(prefix="conformance-") as temporary:
        for name in options.names or ENVIRONMENTS:
            started = time.monotonic()
            print(f"== {name}", flush=True)
            result = run(name, options.keep or Path(temporary))
            results[name] = f"{result} ({time.monotonic() - started:.0f} s)"
    for name, result in results.items():
        print(f"conformance {name}: {result}")
    bad = ("failed", "not run") if options.strict else ("failed",)
    return int(any(result.startswith(bad) for result in results.values()))


if __name__ == "__main__":
    sys.exit(main())
