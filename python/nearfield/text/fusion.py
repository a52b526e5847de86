"""One ranking from two: by ranks, or by scores."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["by_ranks", "by_scores"]

Ranking = tuple[NDArray[np.int64], NDArray[np.float32]]
"""Keys, best first, and their scores; larger is better."""


def by_ranks(rankings: Sequence[Ranking], weights: Sequence[float], constant: int = 60) -> Ranking:
    """Reciprocal rank fusion [1]_: a key scores weight / (constant + rank) in each ranking.

    Scores are divided by the best possible, so that they lie in [0, 1]; ties go to the smaller
    key.

    References
    ----------
    .. [1] Cormack, Clarke & Buettcher, "Reciprocal Rank Fusion outperforms Condorcet and
       individual Rank Learning Methods", SIGIR 2009.
    """
    total: dict[int, float] = {}
    for (keys, _), weight in zip(rankings, weights, strict=True):
        for rank, key in enumerate(keys.tolist(), start=1):
            total[key] = total.get(key, 0.0) + weight / (constant + rank)
    return _sorted(total, sum(weights) / (constant + 1))


def by_scores(rankings: Sequence[Ranking], weights: Sequence[float]) -> Ranking:
    """Weighted sum of the scores, each ranking's stretched to [0, 1] over what it found.

    The worst that a ranking found still gets more than what it did not find: its scores are
    stretched from 0 where it found a single key, else from the lowest less a tenth of the range.
    """
    total: dict[int, float] = {}
    for (keys, scores), weight in zip(rankings, weights, strict=True):
        if not len(keys):
            continue
        low, high = float(scores.min()), float(scores.max())
        low -= 0.1 * (high - low)
        spread = high - low
        for key, score in zip(keys.tolist(), scores.tolist(), strict=True):
            part = (score - low) / spread if spread > 0 else 1.0
            total[key] = total.get(key, 0.0) + weight * part
    return _sorted(total, sum(weights))


def _sorted(total: dict[int, float], most: float) -> Ranking:
    order = sorted(total, key=lambda key: (-total[key], key))
    scores = [total[key] / most for key in order]
    return np.array(order, dtype=np.int64), np.array(scores, dtype=np.float32)
