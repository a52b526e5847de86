"""What the suite's files share: the data set, kept by `setup_cache`, and indexes over it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import nearfield as nf

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import datasets
from measure import recall_at_k

K = 10
KINDS: dict[str, dict[str, Any]] = {
    "Flat": {},
    "Flat, no prefilter": {"prefilter": False},
    "HNSW": {"M": 16, "ef_construction": 200, "seed": 0},
}
SEARCHES = {
    "Flat": ("Flat", {}),
    "Flat, no prefilter": ("Flat, no prefilter", {}),
    "HNSW ef_search=32": ("HNSW", {"ef_search": 32}),
    "HNSW ef_search=128": ("HNSW", {"ef_search": 128}),
}
"""What is searched: a kind of index and the keyword arguments of `search`."""

Arrays = dict[str, Any]


def prepare() -> Arrays:
    """Load the suite's data set with its exact neighbours; for `setup_cache`.

    Real vectors: the set named by NEARFIELD_SUITE_DATA, else the first to be had here. "made" is
    a small set made on the spot, so that a smoke run needs nothing; no figure comes from it.
    """
    asked = os.environ.get("NEARFIELD_SUITE_DATA")
    if asked == "made":
        data = _made()
    else:
        data = _first_available((asked,) if asked else ("fashion-mnist", "wordllama-docs"))
    _, distances = datasets.ground_truth(data, data.reporting, K)
    return {
        "metric": data.metric,
        "vectors": data.vectors,
        "queries": data.reporting,
        "kth": distances[:, -1],
    }


def make_index(kind: str, data: Arrays) -> Any:
    """Build an index of a kind in KINDS; NotImplementedError, which asv skips, if there is none."""
    name = kind.partition(",")[0]
    if not hasattr(nf, name):
        raise NotImplementedError(f"this version has no {name}")
    index = getattr(nf, name)(dim=data["vectors"].shape[1], metric=data["metric"], **KINDS[kind])
    index.add(data["vectors"])
    return index


def recall(found: NDArray[np.int64], data: Arrays) -> float:
    """Mean recall@10 over the queries."""
    return float(
        recall_at_k(found, data["queries"], data["vectors"], data["kth"], data["metric"]).mean()
    )


def _first_available(names: tuple[str, ...]) -> datasets.Dataset:
    missing = []
    for name in names:
        try:
            return datasets.load(name, limit=20_000, queries=500)
        except datasets.UnavailableError as why:
            missing.append(f"{name} {why}")
    raise RuntimeError("no data set to measure with: " + "; ".join(missing))


def _made() -> datasets.Dataset:
    rng = np.random.default_rng(0)
    spread = rng.standard_normal((12, 48)).astype(np.float32)
    rows = rng.standard_normal((2200, 12)).astype(np.float32) @ spread
    return datasets.Dataset("made", "l2", rows[:2000], rows[2000:2100], rows[2100:])
