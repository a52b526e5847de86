"""Vectors that are almost the same."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearfield.explore.graph import check_index, rows_of
from nearfield.index import Index
from nearfield.scalars import as_real

__all__ = ["components", "near_duplicates"]

_BLOCK = 1024


def near_duplicates(index: Index, threshold: float, *, threads: int = 0) -> list[list[Any]]:
    """Group the ids whose vectors lie within a distance of each other.

    Parameters
    ----------
    index : Index
    threshold : float, >= 0 for "cosine" and "l2"
        Greatest distance, by the index's metric, of two that are taken for the same: 0.05 under
        cosine finds rewordings, 0.001 copies.
    threads : int, default 0
        0 means all.

    Returns
    -------
    list of list of id
        Groups of two and more, the largest first, each in the index's order. A group is joined by
        steps: its ends may lie farther apart than the threshold.

    Raises
    ------
    ValueError
        If the threshold is not a number, or negative under cosine or l2.
    """
    check_index(index)
    if not np.isfinite(as_real(threshold, "threshold")) or (
        threshold < 0 and index.metric != "dot"
    ):
        raise ValueError(f"threshold must be a number of at least 0, got {threshold}")
    ids = index.ids
    n = len(ids)
    if n < 2:
        return []
    order = np.argsort(ids, kind="stable")
    rows = rows_of(index)
    heads, tails = [], []
    for start in range(0, n, _BLOCK):
        block = rows[start : start + _BLOCK]
        found = index.range_search(  # type: ignore[attr-defined]
            block, radius=threshold, threads=threads
        )
        counts = np.diff(found.lims)
        heads.append(np.repeat(np.arange(start, start + len(block)), counts))
        tails.append(order[np.searchsorted(ids[order], found.ids)])
    labels = components(n, np.concatenate(heads), np.concatenate(tails))
    groups: dict[int, list[Any]] = {}
    for row, label in enumerate(labels.tolist()):
        groups.setdefault(label, []).append(row)
    several = [members for members in groups.values() if len(members) > 1]
    several.sort(key=lambda members: (-len(members), members[0]))
    names = ids.tolist()
    return [[names[row] for row in members] for members in several]


def components(n: int, heads: NDArray[np.int64], tails: NDArray[np.int64]) -> NDArray[np.int64]:
    """Label of each of n points, (n,): the smallest point that edges connect it with."""
    labels = np.arange(n)
    while True:
        least = labels.copy()
        np.minimum.at(least, heads, labels[tails])
        np.minimum.at(least, tails, labels[heads])
        least = least[least]  # jump over chains
        if (least == labels).all():
            return labels
        labels = least
