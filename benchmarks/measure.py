"""How one index is measured: recall, passes over the queries, latencies, memory, pinning."""

from __future__ import annotations

import gc
import os
import resource
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasets import Floats, distances_to

MODES = ("single", "batch", "batch_all")
"""One call a query on one core; one call for all queries on one core; the same on all cores."""

FEWEST_PASSES, MOST_PASSES = 2, 7
TIE = 1e-9  # found distances are computed as the true ones were, so ties are all but exact


def recall_at_k(
    found: NDArray[np.int64],
    queries: Floats,
    vectors: Floats,
    kth_distances: NDArray[np.float64],
    metric: str,
) -> NDArray[np.float64]:
    """Recall of each query: the share of k distinct rows no farther than the true k-th one.

    A tie with the k-th distance counts as a hit; a repeated id and padding with -1 do not.
    """
    rows = np.sort(found, axis=1)
    valid = (rows >= 0) & (rows < len(vectors))
    valid[:, 1:] &= rows[:, 1:] != rows[:, :-1]
    distances = distances_to(queries, vectors, np.where(valid, rows, 0), metric)
    edge = kth_distances + TIE * (1 + np.abs(kth_distances))
    return (valid & (distances <= edge[:, None])).mean(axis=1)


def as_rows(found: Any, nq: int, k: int) -> NDArray[np.int64]:
    """What a peer returned as an (nq, k) array of row numbers, short rows padded with -1."""
    if isinstance(found, np.ndarray) and found.shape == (nq, k):
        return found.astype(np.int64)
    out = np.full((nq, k), -1, np.int64)
    for place, row in enumerate(found):
        row = np.asarray(row).astype(np.int64)[:k]
        out[place, : len(row)] = row
    return out


def pin(cores: set[int]) -> None:
    """Hold every thread of this process to these cores; peers' idle pools are threads too."""
    if not hasattr(os, "sched_setaffinity"):
        return
    for thread in Path("/proc/self/task").iterdir():
        try:
            os.sched_setaffinity(int(thread.name), cores)
        except ProcessLookupError:
            continue


def all_cores() -> set[int]:
    """The cores this process may use, asked before any pinning."""
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))


def peak_rss() -> int:
    """Most memory this process has held, in bytes."""
    # Not getrusage where it can be helped: on Linux its maximum outlives the exec, so that a
    # small process reports its parent's.
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def resident() -> int:
    """Memory this process holds now, in bytes; 0 where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return 0
    return pages * resource.getpagesize()


def run(index: Any, queries: Floats, k: int, mode: str, seconds: float) -> dict[str, Any]:
    """Time a mode for about `seconds`; returns figures and what was found.

    Returns
    -------
    dict
        ``qps``: queries per second, the median of the passes; ``passes``; ``nq``: queries in a
        pass, fewer than given when a pass would outlast `seconds`; ``p50_ms`` and ``p99_ms`` of
        single calls; ``found``: (nq, k) rows.
    """
    if mode == "single":
        return _run_single(index, queries, k, seconds)
    probe = queries[:32]
    index.search(probe, k)
    start = time.perf_counter()
    index.search(probe, k)
    each = (time.perf_counter() - start) / len(probe)
    queries = queries[: _affordable(len(queries), each, seconds)]
    found = as_rows(index.search(queries, k), len(queries), k)
    rates: list[float] = []
    spent = 0.0
    gc.disable()
    while len(rates) < FEWEST_PASSES or (spent < seconds and len(rates) < MOST_PASSES):
        start = time.perf_counter()
        index.search(queries, k)
        took = time.perf_counter() - start
        rates.append(len(queries) / took)
        spent += took
    gc.enable()
    rate = float(np.median(rates))
    return {"qps": rate, "passes": len(rates), "nq": len(queries), "found": found}


def _run_single(index: Any, queries: Floats, k: int, seconds: float) -> dict[str, Any]:
    for query in queries[:16]:
        index.search_one(query, k)
    start = time.perf_counter()
    for query in queries[:16]:
        index.search_one(query, k)
    each = (time.perf_counter() - start) / min(16, len(queries))
    rows = list(queries[: _affordable(len(queries), each, seconds)])
    clock = time.perf_counter_ns
    rates: list[float] = []
    latencies: list[NDArray[np.float64]] = []
    spent = 0.0
    found: list[Any] = []
    gc.disable()
    while len(rates) < FEWEST_PASSES or (spent < seconds and len(rates) < MOST_PASSES):
        found = []
        marks = [clock()]
        for row in rows:
            found.append(index.search_one(row, k))
            marks.append(clock())
        took = (marks[-1] - marks[0]) / 1e9
        rates.append(len(rows) / took)
        latencies.append(np.diff(np.array(marks)) / 1e6)
        spent += took
    gc.enable()
    every = np.concatenate(latencies)
    return {
        "qps": float(np.median(rates)),
        "passes": len(rates),
        "nq": len(rows),
        "p50_ms": float(np.percentile(every, 50)),
        "p99_ms": float(np.percentile(every, 99)),
        "found": as_rows(found, len(rows), k),
    }


def _affordable(nq: int, each: float, seconds: float) -> int:
    return min(nq, max(50, int(seconds / max(each, 1e-9))))
