"""Which metric suits the data: retrieval quality on questions whose answers are known."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nearfield.arrays import as_matrix
from nearfield.evaluate.ground_truth import ground_truth
from nearfield.scalars import as_int

__all__ = ["MetricComparison", "MetricScore", "Relevant", "compare_metrics"]

METRICS = ("cosine", "dot", "l2")

Relevant = Sequence[int] | Sequence[Sequence[int]] | Sequence[Mapping[int, float]] | NDArray[Any]


class MetricScore(NamedTuple):
    """Retrieval quality under one metric, as means over queries."""

    metric: str
    recall: float
    """Share of the relevant rows that are among the first k."""
    mrr: float
    """Mean reciprocal rank of the first relevant row, 0 beyond k."""
    ndcg: float
    """Discounted cumulative gain by grade, over the best possible."""


@dataclass(frozen=True)
class MetricComparison:
    """Scores by metric; print() shows the table."""

    k: int
    n_queries: int
    scores: list[MetricScore]
    """Best nDCG first."""

    @property
    def best(self) -> str:
        """The metric with the highest nDCG."""
        return self.scores[0].metric

    def __str__(self) -> str:
        lines = [f"{'metric':<8}  recall@{self.k:<3}  {'MRR':>7}  {'nDCG':>7}"]
        lines += [
            f"{s.metric:<8}  {s.recall:>10.4f}  {s.mrr:7.4f}  {s.ndcg:7.4f}" for s in self.scores
        ]
        return "\n".join([*lines, f"{self.n_queries:,} queries"])


def compare_metrics(
    vectors: ArrayLike,
    queries: ArrayLike,
    relevant: Relevant,
    k: int = 10,
    *,
    threads: int = 0,
) -> MetricComparison:
    """Rank by cosine, dot and l2 and score each ranking against known answers.

    Parameters
    ----------
    vectors : array_like, shape (n, dim)
    queries : array_like, shape (nq, dim)
    relevant : sequence of length nq
        What answers each query: a row number, a list of them, or a mapping from row number to grade
        (more is better, 0 is irrelevant). Queries without any are left out.
    k : int, at least 1, default 10
    threads : int, default 0
        0 means all.

    Returns
    -------
    MetricComparison

    Raises
    ------
    ValueError
        If `relevant` has another length than `queries`, names a row that does not exist, or is
        empty throughout.
    """
    matrix = np.atleast_2d(as_matrix(queries, "queries"))
    rows = np.atleast_2d(as_matrix(vectors, "vectors"))
    grades = _as_grades(relevant, len(matrix), len(rows))
    asked = np.array([i for i, wanted in enumerate(grades) if wanted], dtype=np.int64)
    if not asked.size:
        raise ValueError("relevant must name at least one row, got none")
    as_int(k, "k", 1)
    scores = []
    for metric in METRICS:
        ids = ground_truth(rows, matrix[asked], k, metric, threads=threads).ids
        each = [_score(ids[j], grades[i], k) for j, i in enumerate(asked)]
        recall, mrr, ndcg = (float(value) for value in np.mean(each, axis=0))
        scores.append(MetricScore(metric, recall, mrr, ndcg))
    scores.sort(key=lambda score: -score.ndcg)  # stable: cosine first among equals
    return MetricComparison(k, len(asked), scores)


def _score(ids: NDArray[np.int64], wanted: dict[int, float], k: int) -> tuple[float, float, float]:
    gains = np.array([wanted.get(int(id), 0.0) for id in ids])
    discounts = 1 / np.log2(np.arange(2, k + 2))
    hits = np.flatnonzero(gains > 0)
    best = np.sort(list(wanted.values()))[::-1][:k]
    return (
        len(hits) / len(wanted),
        1 / (hits[0] + 1) if hits.size else 0.0,
        float(gains @ discounts[: len(gains)] / (best @ discounts[: len(best)])),
    )


def _as_grades(relevant: Any, nq: int, n: int) -> list[dict[int, float]]:
    if not hasattr(relevant, "__len__"):
        raise TypeError(f"relevant must be a sequence, got {type(relevant).__name__}")
    if len(relevant) != nq:
        raise ValueError(f"relevant must have one entry a query ({nq}), got {len(relevant)}")
    grades: list[dict[int, float]] = []
    for i, entry in enumerate(relevant):
        if isinstance(entry, Mapping):
            graded = {int(row): float(grade) for row, grade in entry.items() if grade > 0}
        else:
            graded = dict.fromkeys((int(row) for row in np.atleast_1d(np.asarray(entry))), 1.0)
        for row in graded:
            if not 0 <= row < n:
                raise ValueError(f"relevant must name rows in 0..{n - 1}, got {row} for query {i}")
        grades.append(graded)
    return grades
