"""How well a collection answers questions whose answers are known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from nearfield.text.hybrid import Hybrid

__all__ = ["RetrievalScore", "RetrievalTable", "compare_retrieval"]


class RetrievalScore(NamedTuple):
    """Quality of one way to search, as means over questions."""

    name: str
    recall: float
    """Share of the relevant rows that are among the first k."""
    mrr: float
    """Mean reciprocal rank of the first relevant row, 0 beyond k."""
    ndcg: float
    """Discounted cumulative gain, over the best possible."""


@dataclass(frozen=True)
class RetrievalTable:
    """Scores by way to search; print() shows the table."""

    k: int
    n_queries: int
    scores: list[RetrievalScore]

    def __str__(self) -> str:
        lines = [f"{'search':<18}  recall@{self.k:<3}  {'MRR':>7}  {'nDCG':>7}"]
        lines += [
            f"{s.name:<18}  {s.recall:>10.4f}  {s.mrr:7.4f}  {s.ndcg:7.4f}" for s in self.scores
        ]
        return "\n".join([*lines, f"{self.n_queries:,} questions"])


def compare_retrieval(
    collection: Any,
    questions: Sequence[str],
    relevant: Sequence[Any],
    k: int = 10,
    *,
    ways: Mapping[str, Mapping[str, Any]] | None = None,
) -> RetrievalTable:
    """Search by meaning, by words and by both, and score each against known answers.

    Parameters
    ----------
    collection : Collection
        With an encoder.
    questions : sequence of str
    relevant : sequence of id or list of ids, one entry a question
        What answers it.
    k : int, at least 1, default 10
    ways : mapping from name to keywords of `Collection.search`, optional
        Dense, BM25, and both fusions where not given.

    Returns
    -------
    RetrievalTable

    Raises
    ------
    ValueError
        If `relevant` has another length than `questions`, or an entry is empty.
    """
    if len(relevant) != len(questions):
        rule = f"relevant must have one entry a question ({len(questions)})"
        raise ValueError(f"{rule}, got {len(relevant)}")
    wanted = [{w} if isinstance(w, (str, int, np.integer)) else set(w) for w in relevant]
    for number, answers in enumerate(wanted):
        if not answers:
            raise ValueError(f"relevant[{number}] must name at least one row, got none")
    if ways is None:
        ways = {
            "dense": {}, "BM25": {"hybrid": Hybrid(weight=0)}, "hybrid, RRF": {"hybrid": True},
            "hybrid, weighted": {"hybrid": Hybrid("weighted", 0.7)},
        }  # fmt: skip
    scores = []
    for name, options in ways.items():
        answered = collection.search(list(questions), k=k, **options)
        each = [
            _quality([hit.id for hit in hits], answers, k)
            for hits, answers in zip(answered, wanted, strict=True)
        ]
        recall, mrr, ndcg = (float(value) for value in np.mean(each, axis=0))
        scores.append(RetrievalScore(name, recall, mrr, ndcg))
    return RetrievalTable(k, len(questions), scores)


def _quality(ids: list[Any], answers: set[Any], k: int) -> tuple[float, float, float]:
    places = [place for place, id in enumerate(ids) if id in answers]
    gain = sum(1 / np.log2(place + 2) for place in places)
    best = sum(1 / np.log2(place + 2) for place in range(min(k, len(answers))))
    return len(places) / len(answers), 1 / (places[0] + 1) if places else 0.0, float(gain / best)
