"""What a collection answers with."""

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Hit", "Item", "score"]


class Hit(NamedTuple):
    """One answer to a search."""

    id: int | str
    distance: float
    """In the metric's units; smaller is nearer."""
    score: float
    """In [0, 1]; larger is nearer. See `score` for the formulas."""
    text: str | None
    metadata: dict[str, Any]


class Item(NamedTuple):
    """One row as it is stored."""

    id: int | str
    text: str | None
    metadata: dict[str, Any]
    vector: NDArray[np.float32]
    """(dim,) float32, as it was given, before any scaling."""


def score(metric: str, distance: float) -> float:
    """Turn a distance into a number in [0, 1] that grows with nearness.

    cosine: ``1 - distance / 2``, which is ``(1 + cos) / 2``. l2, where the distance is squared:
    ``1 / (1 + distance)``. dot, where it is ``-q.x``: ``1 / (1 + exp(distance))``, the logistic
    function of the inner product. The order is the order of distances; scores of different
    metrics are not comparable.
    """
    if metric == "cosine":
        return min(1.0, max(0.0, 1.0 - distance / 2.0))
    if metric == "l2":
        return 1.0 / (1.0 + max(0.0, distance))
    if distance >= 0:  # each branch takes exp of what is not positive, which cannot overflow
        small = math.exp(-distance)
        return small / (1.0 + small)
    return 1.0 / (1.0 + math.exp(distance))
