"""Texts of like length together: as little padding as a budget of tokens allows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["by_tokens"]


def by_tokens(lengths: Sequence[int], budget: int, most: int) -> Iterator[NDArray[np.int64]]:
    """Split texts into batches, the longest first.

    Parameters
    ----------
    lengths : sequence of int, length n
        Tokens of each text.
    budget : int
        Most tokens in a batch, padding counted. A longer text makes a batch alone.
    most : int
        Most texts in a batch.

    Yields
    ------
    ndarray of int64
        Numbers of texts; each text is in one batch.
    """
    order = np.argsort(-np.asarray(lengths, dtype=np.int64), kind="stable")
    start = 0
    while start < len(order):
        longest = max(1, int(lengths[order[start]]))
        stop = start + max(1, min(most, budget // longest))
        yield order[start:stop]
        start = stop
