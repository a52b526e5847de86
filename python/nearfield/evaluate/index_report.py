"""Evaluate one index."""

import platform
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nearfield import config
from nearfield._core import __version__
from nearfield.arrays import as_matrix
from nearfield.evaluate.ground_truth import ground_truth
from nearfield.evaluate.held_out import held_out
from nearfield.evaluate.latency import measure_latency, measure_qps, peak_rss
from nearfield.evaluate.recall import recall_interval, recall_per_query
from nearfield.evaluate.report import Report
from nearfield.evaluate.settings import current_setting, search_setting
from nearfield.evaluate.sweep import SweepRow, sweep
from nearfield.index import Neighbors
from nearfield.scalars import as_int

if TYPE_CHECKING:
    from nearfield.index import Index

__all__ = ["evaluate", "index_truth"]

CHUNK_BYTES = 2**25  # of rows taken out of an index at a time


def evaluate(
    index: "Index",
    queries: ArrayLike | None = None,
    k: int = 10,
    *,
    truth: Neighbors | ArrayLike | None = None,
    settings: Iterable[int] | None = None,
    n_queries: int = 1000,
    seed: int = 0,
    threads: int = 0,
    seconds: float = 2.0,
) -> Report:
    """Measure recall, latency, speed and memory of an index.

    Parameters
    ----------
    index : Index
    queries : array_like, shape (nq, dim), optional
        None takes vectors of the index (`n_queries` and `seed` say which) and, unless the index is
        exact, measures one like it that is built without them: time and memory for a second index.
    k : int, default 10
    truth : Neighbors or array_like, shape (nq, >= k), optional
        Exact neighbours as ids of the index, where they are known; only with `queries`. None finds
        them among the stored vectors, so what storing in a smaller dtype loses is not counted: for
        that, give the truth of the original vectors.
    settings : iterable of int, optional
        Values of ef_search or nprobe to draw the recall-speed curve from. None takes powers of two;
        an empty one leaves it out.
    n_queries : int, default 1000
    seed : int, default 0
    threads : int, default 0
        0 means all. Latency, curve and first speed are measured on one thread in any case.
    seconds : float, default 2.0
        Time for the latencies; a quarter of it for each speed.

    Returns
    -------
    Report

    Raises
    ------
    ValueError
        If the index is empty, shapes differ, or k exceeds what there is.
    """
    if not len(index):
        raise ValueError("index must hold vectors to be evaluated, got none")
    if queries is None:
        if truth is not None:
            raise ValueError("truth must come with its queries, got truth alone")
        other, rows = held_out(index, n_queries, seed, threads)
        report = _measure(other, rows, k, None, settings, threads, seconds, "held out")
        whole = index.stats()
        built = index._build_seconds or None
        return replace(report, n=whole["n"], bytes=whole["bytes"], build_seconds=built)
    matrix = np.atleast_2d(as_matrix(queries, "queries"))
    if not len(matrix):
        raise ValueError("queries must hold at least one row, got none")
    return _measure(index, matrix, k, truth, settings, threads, seconds, "given")


def index_truth(
    index: "Index", queries: NDArray[np.float32], k: int, threads: int = 0
) -> Neighbors:
    """Find the exact neighbours among the vectors as the index stores them, in its ids.

    More than k columns, so that ties at the k-th distance are known.
    """
    ids = index.ids
    step = max(1024, CHUNK_BYTES // (4 * index.dim))
    rows = (index.get(ids[i : i + step]) for i in range(0, len(ids), step))
    width = min(len(ids), k + max(10, k // 2))
    found = ground_truth(rows, queries, width, index.metric, threads=threads)
    return Neighbors(ids[found.ids], found.distances)


def _measure(
    index: Any,
    queries: NDArray[np.float32],
    k: int,
    truth: Neighbors | ArrayLike | None,
    settings: Iterable[int] | None,
    threads: int,
    seconds: float,
    source: str,
) -> Report:
    if not 1 <= as_int(k, "k") <= len(index):
        raise ValueError(f"k must be in 1..{len(index)}, the vectors that the index holds, got {k}")
    if truth is None:
        truth = index_truth(index, queries, k, threads)
    recalls = recall_per_query(index.search(queries, k, threads=threads), truth, k)
    curve: list[SweepRow] = []
    values = None if settings is None else list(settings)
    if search_setting(index) is not None and values != []:
        curve = sweep(index, queries, truth, values, k=k)
    all_threads = threads or config.get_num_threads()
    stats = index.stats()
    return Report(
        kind=stats["kind"],
        metric=index.metric,
        n=len(index),
        dim=index.dim,
        k=k,
        n_queries=len(queries),
        queries_from=source,
        setting=current_setting(index),
        recall=recall_interval(recalls),
        recalls=recalls,
        latency=measure_latency(partial(index.search, k=k, threads=1), queries, seconds=seconds),
        qps={
            count: measure_qps(
                partial(index.search, k=k, threads=count), queries, seconds=seconds / 4
            )
            for count in sorted({1, all_threads})
        },
        bytes=stats["bytes"],
        build_seconds=index._build_seconds or None,  # a loaded index was built elsewhere
        peak_rss=peak_rss(),
        work=index.count_work(queries[:100], k),
        sweep=curve,
        machine=_machine(),
    )


def _machine() -> dict[str, Any]:
    built = config.build_config()
    return {
        "processor": platform.processor() or platform.machine(),
        "isa": built["isa"],
        "threads": config.get_num_threads(),
        "system": platform.system(),
        "python": platform.python_version(),
        "nearfield": __version__,
    }
