"""Searches with a Python function that says which labels may be results."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearfield.flat import Flat
from nearfield.hnsw import HNSW
from nearfield.index import Neighbors

__all__ = ["Allow", "search_filtered"]

Allow = Callable[[int], Any]

_MOST_BEAM = 65_536


def search_filtered(
    index: HNSW | Flat, rows: NDArray[np.float32], k: int, ef: int, threads: int, allow: Allow
) -> Neighbors:
    """The k nearest of each row among the labels that `allow` lets in.

    First the nearest few are looked at, then more; once that would be an eighth of all labels,
    every label is asked about and those let in are searched. A label is asked about once a call.
    """
    n = len(index)
    verdicts: dict[int, bool] = {}
    ids = np.full((len(rows), k), -1, np.int64)
    distances = np.full((len(rows), k), np.inf, np.float32)
    open_rows = np.arange(len(rows))
    wanted = max(4 * k, ef)
    while len(open_rows) and isinstance(index, HNSW) and wanted <= min(n // 8, _MOST_BEAM):
        found = index.search(rows[open_rows], wanted, ef_search=wanted, threads=threads)
        allowed = _verdicts(found.ids, allow, verdicts)
        done = allowed.sum(axis=1) >= k
        for at in np.flatnonzero(done):
            places = np.flatnonzero(allowed[at])[:k]
            ids[open_rows[at]] = found.ids[at, places]
            distances[open_rows[at]] = found.distances[at, places]
        open_rows = open_rows[~done]
        wanted *= 4
    if len(open_rows):
        mask = _verdicts(index.ids, allow, verdicts)
        options = {"ef_search": max(ef, k)} if isinstance(index, HNSW) else {}
        found = index.search(rows[open_rows], k, filter=mask, threads=threads, **options)
        ids[open_rows], distances[open_rows] = found
    return Neighbors(ids, distances)


def _verdicts(ids: NDArray[np.int64], allow: Allow, known: dict[int, bool]) -> NDArray[np.bool_]:
    distinct, where = np.unique(ids, return_inverse=True)
    answers = np.empty(len(distinct), np.bool_)
    for i, label in enumerate(distinct.view(np.uint64).tolist()):
        verdict = known.get(label)
        if verdict is None:
            verdict = known[label] = bool(allow(label))
        answers[i] = verdict
    return answers[where].reshape(ids.shape)
