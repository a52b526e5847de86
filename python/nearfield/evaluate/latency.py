"""How long one query takes, how many a batch answers in a second, how much memory is used."""

import gc
import sys
from collections.abc import Callable
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Latency", "measure_latency", "measure_qps", "peak_rss"]

WARM_UP = 20  # calls before any is timed: caches, lazy pools, the kernels' first choice


class Latency(NamedTuple):
    """Time of single-query searches on one thread, in milliseconds."""

    p50: float
    p95: float
    p99: float
    max: float
    samples: NDArray[np.float64]
    """Every measured time, (n,), in the order of measuring."""


def measure_latency(
    search: Callable[[NDArray[np.float32]], Any],
    queries: NDArray[np.float32],
    *,
    seconds: float = 2.0,
) -> Latency:
    """Time `search` on one query at a time.

    Parameters
    ----------
    search : callable
        Gets one query, (dim,).
    queries : ndarray, shape (nq, dim), nq >= 1
        Each is asked once, after a warm-up; again from the first while fewer than 200 were timed.
    seconds : float, default 2.0
        Stop after about so long; at least 3 queries are timed.
    """
    started = perf_counter()
    for i in range(WARM_UP):
        search(queries[i % len(queries)])
        if perf_counter() - started > seconds / 4:
            break
    times: list[float] = []
    collecting = gc.isenabled()
    gc.disable()  # a collection is not a search
    try:
        started = perf_counter()
        for i in range(max(len(queries), 200)):
            before = perf_counter()
            search(queries[i % len(queries)])
            after = perf_counter()
            times.append((after - before) * 1e3)
            if after - started > seconds and len(times) >= 3:
                break
    finally:
        if collecting:
            gc.enable()
    samples = np.array(times)
    p50, p95, p99 = (float(value) for value in np.percentile(samples, [50, 95, 99]))
    return Latency(p50, p95, p99, float(samples.max()), samples)


def measure_qps(
    search: Callable[[NDArray[np.float32]], Any],
    queries: NDArray[np.float32],
    *,
    seconds: float = 0.5,
    repeats: int = 3,
) -> float:
    """Tell how many queries a second `search` answers, given all of them at once.

    Parameters
    ----------
    search : callable
        Gets all queries, (nq, dim).
    queries : ndarray, shape (nq, dim), nq >= 1
    seconds : float, default 0.5
        Repeat for about so long, after one call that is not timed unless it alone takes longer.
    repeats : int, default 3
        At most so many timed calls of which the median counts, where calls are long; short ones are
        repeated until the time is up.
    """
    times: list[float] = []
    begun = perf_counter()
    while True:
        before = perf_counter()
        search(queries)
        after = perf_counter()
        times.append(after - before)
        if after - begun >= seconds and (len(times) > repeats or times[0] >= seconds):
            break
    timed = times[1:] or times
    return len(queries) / max(float(np.median(timed)), 1e-9)


def peak_rss() -> int | None:
    """Tell the most memory the process ever held, in bytes; None where the system does not say."""
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
