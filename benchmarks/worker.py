"""One index in a process of its own, told what to measure over a pipe.

A peer may print, crash, hang or eat memory: here it can do no harm to the others. Requests come
as JSON lines on standard input; answers go out as JSON lines on what was standard output, which
the peer itself can no longer reach. `compare.py` is the only caller.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

import measure
import peers


class Worker:
    """Answers requests; each public method is one."""

    def __init__(self, folder: Path, peer: str, problem: peers.Problem) -> None:
        self.cores = measure.all_cores()
        self.folder, self.problem = folder, problem
        self.peer = peers.load(peer)
        self.index: Any = None

    def build(self, settings: dict[str, Any]) -> dict[str, Any]:
        """Build the index on all cores; says what it took."""
        vectors = np.load(self.folder / "vectors.npy")
        gc.collect()
        before = measure.resident()
        start = time.perf_counter()
        self.index = self.peer.Index(vectors, self.problem, len(self.cores), **settings)
        seconds = time.perf_counter() - start
        peak = measure.peak_rss()
        del vectors
        gc.collect()
        self.vectors = np.load(self.folder / "vectors.npy", mmap_mode="r")
        return {
            "build_seconds": seconds,
            "peak_rss": peak,
            "build_rss": max(0, peak - before),
            "version": _version(self.peer.DISTRIBUTION),
        }

    def size(self) -> dict[str, Any]:
        """Bytes of the saved index."""
        with tempfile.TemporaryDirectory() as folder:
            return {"index_bytes": self.index.bytes(Path(folder))}

    def measure(
        self, half: str, setting: dict[str, Any], mode: str, seconds: float
    ) -> dict[str, Any]:
        """Recall and speed at one setting in one mode."""
        queries = np.load(self.folder / f"{half}.npy")
        kth = np.load(self.folder / f"{half}-kth.npy")
        one = mode != "batch_all"
        measure.pin({min(self.cores)} if one else self.cores)
        self.index.set(1 if one else len(self.cores), **setting)
        figures = measure.run(self.index, queries, self.problem.k, mode, seconds)
        found = figures.pop("found")
        nq = len(found)
        recalls = measure.recall_at_k(
            found, queries[:nq], self.vectors, kth[:nq], self.problem.metric
        )
        return {
            **figures,
            "recall": float(recalls.mean()),
            "recall_p1": float(np.percentile(recalls, 1)),
            "recall_p10": float(np.percentile(recalls, 10)),
        }


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return "unknown"


def _answer(worker: Worker, request: dict[str, Any]) -> dict[str, Any]:
    verb = request.pop("verb")
    try:
        return {"ok": getattr(worker, verb)(**request)}
    except ImportError as error:
        return {"skipped": f"not installed ({error.name or error})"}
    except peers.UnsupportedError as error:
        return {"skipped": str(error)}
    except Exception as error:  # a peer may raise anything; the run goes on without it
        return {"failed": f"{type(error).__name__}: {error}".splitlines()[0][:300]}


def main() -> None:
    """Serve requests until standard input ends."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever a peer prints goes to the log
    start = json.loads(sys.stdin.readline())
    problem = peers.Problem(**start["problem"])
    worker = Worker(Path(start["folder"]), start["peer"], problem)
    for line in sys.stdin:
        answers.write(json.dumps(_answer(worker, json.loads(line))) + "\n")


if __name__ == "__main__":
    main()
