"""Find the fastest search setting that reaches a recall."""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nearfield.arrays import as_matrix
from nearfield.evaluate.held_out import held_out
from nearfield.evaluate.index_report import index_truth
from nearfield.evaluate.recall import Interval, recall_interval
from nearfield.evaluate.report import table
from nearfield.evaluate.settings import search_setting, setting_range
from nearfield.evaluate.sweep import SweepRow, measure_setting
from nearfield.index import Neighbors
from nearfield.scalars import as_int, as_real

if TYPE_CHECKING:
    from nearfield.index import Index

__all__ = ["Tuning", "tune"]


@dataclass(frozen=True)
class Tuning:
    """What tuning found; print() shows the recall-QPS table."""

    setting: dict[str, int]
    """What the index uses from now on, such as {"ef_search": 48}; empty for an exact index."""
    recall: Interval
    """Mean recall of that setting and its 95 % interval: fresh queries lie in it."""
    qps: float
    """On one thread, a batch."""
    target: float
    reached: bool
    k: int
    n_queries: int
    rows: list[SweepRow]
    """Every setting that was measured, ascending."""

    def to_dict(self) -> dict[str, Any]:
        """Give plain values, ready for JSON."""
        return {
            "setting": dict(self.setting),
            "recall": self.recall._asdict(),
            "qps": self.qps,
            "target": self.target,
            "reached": self.reached,
            "k": self.k,
            "n_queries": self.n_queries,
            "rows": [{**row.setting, "recall": row.recall, "qps": row.qps} for row in self.rows],
        }

    def __str__(self) -> str:
        interval = (
            f"{self.recall.mean:.4f} (95 % in {self.recall.low:.4f} .. {self.recall.high:.4f})"
        )
        if not self.setting:
            return f"recall@{self.k} {interval}: the index is exact, there is nothing to set"
        said = " ".join(f"{name} {value}" for name, value in self.setting.items())
        verdict = "" if self.reached else f", short of the {self.target:g} asked for"
        return "\n".join(
            [
                f"{said}: recall@{self.k} {interval}{verdict}, {self.qps:,.0f} QPS on one thread, "
                f"{self.n_queries:,} queries",
                table(self.rows, self.setting),
            ]
        )

    def plot(self, path: str | Path) -> None:
        """Draw the curve and the choice; needs matplotlib."""
        from nearfield.evaluate.plot import draw_curve

        draw_curve(self.rows, self.setting, self.k, self.target, path)


def tune(
    index: "Index",
    queries: ArrayLike | None = None,
    k: int = 10,
    recall: float = 0.95,
    *,
    truth: Neighbors | ArrayLike | None = None,
    n_queries: int = 1000,
    seed: int = 0,
    threads: int = 0,
    seconds: float = 0.2,
) -> Tuning:
    """Set the index's ef_search or nprobe to the least value that gives the recall.

    Parameters
    ----------
    index : Index
    queries : array_like, shape (nq, dim), optional
        Like those to come; several hundred make the interval narrow. None takes vectors of the
        index, which is right if the queries to come are like the vectors, and puts them to an index
        that is built without them: time and memory for a second index.
    k : int, default 10
    recall : float, in (0, 1], default 0.95
        Mean recall@k of queries to come. The lower end of the 95 % interval must reach it or, where
        there are too few queries for that, half of what may be missed must be found.
    truth : Neighbors or array_like, shape (nq, >= k), optional
        Exact neighbours as ids of the index; only with `queries`.
    n_queries : int, default 1000
        Vectors to hold out where no queries are given, a tenth of the index at most.
    seed : int, default 0
        Of the choice of vectors to hold out.
    threads : int, default 0
        0 means all. Speeds are told for one thread in any case.
    seconds : float, default 0.2
        Time to measure the speed of one setting, of about a dozen.

    Returns
    -------
    Tuning

    Warns
    -----
    UserWarning
        If no setting reaches the recall; the greatest is set then.
    """
    if not 0 < as_real(recall, "recall") <= 1:
        raise ValueError(f"recall must be in (0, 1], got {recall}")
    if queries is not None:
        matrix = np.atleast_2d(as_matrix(queries, "queries"))
        if not len(matrix):
            raise ValueError("queries must hold at least one row, got none")
        found = _tune(index, matrix, k, recall, truth, threads, seconds)
    else:
        if truth is not None:
            raise ValueError("truth must come with its queries, got truth alone")
        other, rows = held_out(index, n_queries, seed, threads)
        found = _tune(other, rows, k, recall, None, threads, seconds)
    for name, value in found.setting.items():
        setattr(index, name, value)
    if not found.reached:
        warnings.warn(
            f"recall {recall:g} was not reached, got {found.recall.mean:.4f} with {found.setting}; "
            "a larger M, ef_construction or bits gives more",
            stacklevel=3,
        )
    return found


def _tune(
    index: Any,
    queries: NDArray[np.float32],
    k: int,
    recall: float,
    truth: Neighbors | ArrayLike | None,
    threads: int,
    seconds: float,
) -> Tuning:
    if not 1 <= as_int(k, "k") <= len(index):
        raise ValueError(f"k must be in 1..{len(index)}, the vectors that the index holds, got {k}")
    if truth is None:
        truth = index_truth(index, queries, k, threads)
    name = search_setting(index)
    rows: dict[int, SweepRow] = {}

    def reaches(value: int) -> bool:
        setting = {} if name is None else {name: value}
        rows[value] = measure_setting(index, queries, truth, setting, k=k, seconds=seconds)
        return _enough(rows[value].recalls, recall)

    chosen, reached = 0, True
    if name is None:
        reaches(0)
    else:
        chosen, reached = _least(reaches, *setting_range(index, k))
    best = rows[chosen]
    return Tuning(
        setting=best.setting,
        recall=recall_interval(best.recalls),
        qps=best.qps,
        target=recall,
        reached=reached,
        k=k,
        n_queries=len(queries),
        rows=[rows[value] for value in sorted(rows)],
    )


def _enough(recalls: NDArray[np.float64], target: float) -> bool:
    interval = recall_interval(recalls)
    return interval.low >= target or interval.mean >= (1 + target) / 2


def _least(reaches: Any, low: int, high: int) -> tuple[int, bool]:
    """Find the least value that reaches: doubling, then halving down to a twentieth."""
    value, below = low, low - 1
    while not reaches(value):
        if value == high:
            return value, False
        below, value = value, min(high, 2 * value)
    while value - below > max(1, value // 20):
        middle = (below + value) // 2
        if reaches(middle):
            value = middle
        else:
            below = middle
    return value, True
