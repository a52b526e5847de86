"""The indexes that are compared: one small file each, ours among them.

A peer's file has

``DISTRIBUTION``
    the package to install, for the version in the result file;
``variants(problem)``
    the builds to try, each with the search settings to sweep: the grids that the peer's own
    authors or public benchmarks use;
``Index``
    the adapter: built by ``Index(vectors, problem, threads, **build)``, then asked with
    ``set(threads, **setting)``, ``search(queries, k)`` and ``search_one(query, k)``.

A peer that cannot do what the problem asks raises `UnsupportedError`; one that is not installed
raises ImportError. Either becomes one line of the report.

Vectors and queries of a cosine problem come with unit length, so an adapter may use whichever of
inner product and squared Euclidean distance its library does best.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

NAMES = (
    "nearfield",
    "faiss",
    "hnswlib",
    "usearch",
    "voyager",
    "scann",
    "svs",
    "vsag",
    "rabitq",
    "turbovec",
    "zvec",
    "ngt",
    "pynndescent",
    "annoy",
)
"""Every peer, ours first."""

EF = (10, 12, 16, 20, 26, 34, 44, 60, 80, 110, 150, 200, 300, 450, 700, 1000)
"""Beam widths for graphs, about 1.35 apart: fine enough to interpolate between."""


class UnsupportedError(Exception):
    """The peer cannot do what the problem asks; the message says why."""


@dataclass(frozen=True)
class Problem:
    """What is to be searched.

    Attributes
    ----------
    n, dim, k : int
    metric : {"cosine", "l2", "dot"}
    quick : bool
        Whether a smaller grid is wanted.
    """

    n: int
    dim: int
    k: int
    metric: str
    quick: bool


@dataclass(frozen=True)
class Variant:
    """One way to build a peer, and the settings to search it with.

    Attributes
    ----------
    name : str
    build : dict
        Keyword arguments of ``Index``.
    sweeps : sequence of sequences of dict
        Keyword arguments of ``Index.set``; within a sweep recall rises, so that a sweep stops
        where it has nothing more to gain.
    """

    name: str
    build: dict[str, Any]
    sweeps: Sequence[Sequence[dict[str, Any]]]


def load(name: str) -> ModuleType:
    """The peer's module; the library behind it is imported only when an index is built."""
    return importlib.import_module(f"peers.{name}")


def sweep(parameter: str, values: Sequence[Any], **fixed: Any) -> list[dict[str, Any]]:
    """Settings that differ in one parameter."""
    return [{parameter: value, **fixed} for value in values]


def need_metric(problem: Problem, *supported: str) -> None:
    """Raise UnsupportedError unless the problem's metric is one of these."""
    if problem.metric not in supported:
        raise UnsupportedError(f"has no {problem.metric} metric")


def file_bytes(path: Path) -> int:
    """Size of a file, or of all files in a folder."""
    if path.is_dir():
        return sum(part.stat().st_size for part in path.rglob("*") if part.is_file())
    return path.stat().st_size


class OneByOne:
    """Batch search for a library that takes one query a call: a loop, on Python threads."""

    threads = 1

    def search_one(self, query: NDArray[np.float32], k: int) -> Any:
        raise NotImplementedError

    def search(self, queries: NDArray[np.float32], k: int) -> Any:
        def loop(part: NDArray[np.float32]) -> list[Any]:
            return [self.search_one(query, k) for query in part]

        if self.threads == 1:
            return loop(queries)
        with ThreadPoolExecutor(self.threads) as pool:
            parts = pool.map(loop, np.array_split(queries, self.threads))
            return [row for part in parts for row in part]
