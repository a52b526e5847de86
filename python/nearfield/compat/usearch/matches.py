"""`Match`, `Matches` and `BatchMatches`: what a search gives."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["BatchMatches", "Match", "Matches"]


@dataclass
class Match:
    """One key and its distance."""

    key: int
    distance: float

    def to_tuple(self) -> tuple[int, float]:
        """Give (key, distance)."""
        return self.key, self.distance


@dataclass(slots=True)
class Matches:
    """Answer to one query, nearest first."""

    keys: NDArray[np.uint64]
    distances: NDArray[np.float32]
    visited_members: int = 0
    computed_distances: int = 0

    def __len__(self) -> int:
        return len(self.keys)

    def __getitem__(self, index: int) -> Match:
        if isinstance(index, int) and index < len(self):
            return Match(self.keys[index], self.distances[index])
        raise IndexError(f"`index` must be an integer under {len(self)}")

    def __iter__(self) -> Iterator[Match]:
        return (self[i] for i in range(len(self)))

    def to_list(self) -> list[tuple[int, float]]:
        """Give a list of (key, distance)."""
        return list(zip(self.keys.tolist(), self.distances.tolist(), strict=True))

    def __repr__(self) -> str:
        return f"usearch.Matches({len(self)})"


@dataclass
class BatchMatches(Sequence[Matches]):
    """Answers to several queries; row i has counts[i] matches, then key 0 and distance NaN."""

    keys: NDArray[np.uint64]
    """(nq, count)"""
    distances: NDArray[np.float32]
    """(nq, count)"""
    counts: NDArray[np.int64]
    """(nq,)"""
    visited_members: int = 0
    computed_distances: int = 0

    def __len__(self) -> int:
        return len(self.counts)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, int) and index < len(self):
            count = self.counts[index]
            return Matches(self.keys[index, :count], self.distances[index, :count])
        raise IndexError(f"`index` must be an integer under {len(self)}")

    def to_list(self) -> list[tuple[int, float]]:
        """Give (key, distance) of all queries in one list."""
        rows = [self[i] for i in range(len(self))]
        return [match.to_tuple() for matches in rows for match in matches]

    def mean_recall(self, expected: NDArray[Any], count: int | None = None) -> float:
        """Give the share of queries with the expected key among their first `count`."""
        return self.count_matches(expected, count) / len(expected)

    def count_matches(self, expected: NDArray[Any], count: int | None = None) -> int:
        """Count the queries with the expected key among their first `count`."""
        if len(expected) != len(self):
            raise AssertionError(f"expected must have one key a query, got {len(expected)}")
        found = self.keys[:, :count] == np.asarray(expected)[:, None]
        return int(found.any(axis=1).sum())

    def __repr__(self) -> str:
        return f"usearch.BatchMatches({self.counts.sum()} across {len(self)} queries)"
