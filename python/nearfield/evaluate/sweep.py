"""Recall against speed, over an index's search setting."""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nearfield.arrays import as_matrix
from nearfield.evaluate.latency import measure_qps
from nearfield.evaluate.recall import recall_per_query
from nearfield.evaluate.settings import default_grid, search_setting
from nearfield.index import Neighbors

if TYPE_CHECKING:
    from nearfield.index import Index

__all__ = ["SweepRow", "measure_setting", "pareto_front", "sweep"]


class SweepRow(NamedTuple):
    """What one value of the search setting gives."""

    setting: dict[str, int]
    """Such as {"ef_search": 64}; empty for an index without one."""
    recall: float
    qps: float
    """Queries a second of a batch."""
    recalls: NDArray[np.float64]
    """Recall of each query, (nq,)."""


def sweep(
    index: "Index",
    queries: ArrayLike,
    truth: Neighbors | ArrayLike,
    settings: Iterable[int] | None = None,
    *,
    k: int | None = None,
    threads: int = 1,
) -> list[SweepRow]:
    """Measure recall and speed for each value of the index's search setting.

    Parameters
    ----------
    index : Index
    queries : array_like, shape (nq, dim)
    truth : Neighbors or array_like, shape (nq, >= k)
        Exact neighbours, from `ground_truth`, in the index's ids.
    settings : iterable of int, optional
        Values of ef_search or nprobe. None tries powers of two round the present one. An index
        without a setting (Flat) is measured once.
    k : int, optional
        None takes the truth's width.
    threads : int, default 1
        0 means all.

    Returns
    -------
    list of SweepRow
        In ascending order of the setting. `pareto_front` keeps those that are worth having.
    """
    matrix = np.atleast_2d(as_matrix(queries, "queries"))
    if k is None:
        ids = truth.ids if isinstance(truth, Neighbors) else np.asarray(truth)
        k = int(np.atleast_2d(ids).shape[1])
    name = search_setting(index)
    if name is None:
        return [measure_setting(index, matrix, truth, {}, k=k, threads=threads)]
    values = default_grid(index, k) if settings is None else sorted(set(settings))
    return [
        measure_setting(index, matrix, truth, {name: value}, k=k, threads=threads)
        for value in values
    ]


def measure_setting(
    index: Any,
    queries: NDArray[np.float32],
    truth: Neighbors | ArrayLike,
    setting: dict[str, int],
    *,
    k: int,
    threads: int = 1,
    seconds: float = 0.2,
) -> SweepRow:
    """Measure one value of the search setting."""
    found = index.search(queries, k, threads=threads, **setting)
    recalls = recall_per_query(found, truth, k)
    search = partial(index.search, k=k, threads=threads, **setting)
    qps = measure_qps(search, queries, seconds=seconds)
    return SweepRow(setting, float(recalls.mean()), qps, recalls)


def pareto_front(rows: Sequence[SweepRow]) -> list[SweepRow]:
    """Keep the rows that no other beats in both recall and QPS, by ascending recall."""
    front: list[SweepRow] = []
    for row in sorted(rows, key=lambda row: (-row.recall, -row.qps)):
        if not front or row.qps > front[-1].qps:
            front.append(row)
    return front[::-1]
