"""Recall, speed and memory of the ways to search the demo's vectors, and how to print them."""

from __future__ import annotations

import time
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median

import numpy as np
from numpy.typing import NDArray

from nearfield._optional import import_extra
from nearfield.flat import Flat
from nearfield.hnsw import HNSW
from nearfield.index import Neighbors

__all__ = ["Measurement", "fitted", "measure", "table"]

_SECONDS_A_ROUND = 0.1
_ROUNDS = 3

# What is kept of each vector, dtype, and whether 8-bit codes are scanned first.
_FLAT = (
    ("float32", "float32", False),
    ("float32 + codes", "float32", True),
    ("float16", "float16", False),
    ("int8", "int8", False),
)
_EF_SEARCH = (10, 16, 32, 64, 128)

Search = Callable[[NDArray[np.float32], int], NDArray[np.int64]]
"""Of queries, (dim,) or (nq, dim), and threads: the ids of the nearest, (k,) or (nq, k)."""


@dataclass(frozen=True)
class Measurement:
    """One way to search, measured.

    Attributes
    ----------
    name : str
        The index, and after a comma its setting.
    recall : float
        Part of the k nearest by the exact distances that was found, in [0, 1].
    qps : float
        Queries a second, one after another, on one thread.
    batch_qps : float
        Queries a second, all at once, on all threads.
    bytes_per_vector : float
        Memory of the index divided by its vectors.
    """

    name: str
    recall: float
    qps: float
    batch_qps: float
    bytes_per_vector: float


def measure(
    vectors: NDArray[np.float32], queries: NDArray[np.float32], k: int
) -> list[Measurement]:
    """Measure exact search by numpy, then each index of nearfield, on the same unit vectors.

    Parameters
    ----------
    vectors : ndarray, shape (n, dim)
        Unit vectors.
    queries : ndarray, shape (nq, dim)
        Unit vectors, none of them a row of `vectors`.
    k : int, in [1, n]
    """
    similarity = queries @ vectors.T
    threshold = np.partition(similarity, -k, axis=1)[:, -k]
    measurements = []
    for name, search, size in _contenders(vectors, k):
        found = np.take_along_axis(similarity, search(queries, 0), axis=1)
        # By distance, not by id: equally near vectors are equally right answers.
        recall = float((found >= threshold[:, None] - 1e-6).mean())
        one, batch = _speed(search, queries)
        measurements.append(Measurement(name, recall, one, batch, size / len(vectors)))
    return measurements


def _contenders(vectors: NDArray[np.float32], k: int) -> list[tuple[str, Search, int]]:
    """Name, search, bytes."""
    dim = vectors.shape[1]
    found: list[tuple[str, Search, int]] = [("numpy", _by_numpy(vectors, k), vectors.nbytes)]
    for name, dtype, prefilter in _FLAT:
        flat = Flat(dim, metric="cosine", dtype=dtype, prefilter=prefilter)
        flat.add(vectors)
        size = flat.stats()["bytes"]["total"]
        found.append((f"Flat, {name}", _by_index(partial(flat.search, k=k)), size))
    graph = HNSW(dim, metric="cosine")
    graph.add(vectors)
    size = graph.stats()["bytes"]["total"]
    for ef_search in _EF_SEARCH:
        if ef_search >= k:
            search = _by_index(partial(graph.search, k=k, ef_search=ef_search))
            found.append((f"HNSW, ef_search={ef_search}", search, size))
    return found


def _by_numpy(vectors: NDArray[np.float32], k: int) -> Search:
    def search(queries: NDArray[np.float32], threads: int) -> NDArray[np.int64]:
        similarity = queries @ vectors.T
        best = np.argpartition(similarity, -k, axis=-1)[..., -k:]
        order = np.argsort(-np.take_along_axis(similarity, best, axis=-1), axis=-1)
        return np.take_along_axis(best, order, axis=-1)

    return search


def _by_index(find: Callable[..., Neighbors]) -> Search:
    return lambda queries, threads: find(queries, threads=threads).ids


def _speed(search: Search, queries: NDArray[np.float32]) -> tuple[float, float]:
    """Queries a second one by one on one thread, and in one batch on all: medians of rounds."""
    threadpoolctl = import_extra("threadpoolctl", "demo", "the demo")
    with threadpoolctl.threadpool_limits(1, user_api="blas"):  # numpy must keep to one thread too
        one = median(_rounds(lambda done: search(queries[done % len(queries)], 1), 1))
    return one, median(_rounds(lambda done: search(queries, 0), len(queries)))


def _rounds(work: Callable[[int], object], queries: int) -> list[float]:
    """Queries a second in each round of `work`, which is told how many queries are done."""
    speeds = []
    for _ in range(_ROUNDS):
        done, started = 0, time.perf_counter()
        while (seconds := time.perf_counter() - started) < _SECONDS_A_ROUND:
            work(done)
            done += queries
        speeds.append(done / seconds)
    return speeds


def table(measurements: Sequence[Measurement], k: int) -> str:
    """Lay the measurements out for a terminal."""
    head = ("index", f"recall@{k}", "queries/s", "in batches", "bytes/vector")
    rows = [
        (m.name, f"{m.recall:.4f}", f"{m.qps:,.0f}", f"{m.batch_qps:,.0f}",
         f"{m.bytes_per_vector:,.0f}")
        for m in measurements
    ]  # fmt: skip
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    lines = []
    for row in [head, tuple("-" * width for width in widths), *rows]:
        first, *others = (text.rjust(width) for text, width in zip(row, widths, strict=True))
        lines.append("  ".join([first.strip().ljust(widths[0]), *others]))
    return "\n".join(lines)


def fitted(text: str, width: int) -> str:
    """Pad or cut `text` to `width` terminal columns, of which a Hangul syllable takes two."""
    text = " ".join(text.split())
    used = 0
    for position, letter in enumerate(text):
        columns = 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        if used + columns > width - 1 and _columns(text[position:]) > width - used:
            return text[:position] + "…" + " " * (width - used - 1)
        used += columns
    return text + " " * (width - used)


def _columns(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)
