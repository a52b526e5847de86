"""More like these, less like those; and answers that differ from each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nearfield.arrays import as_matrix
from nearfield.explore.graph import check_index
from nearfield.filters import exclude
from nearfield.index import Index, Neighbors
from nearfield.scalars import as_int, as_real

__all__ = ["mmr", "recommend"]


def recommend(
    index: Index,
    positive: Any,
    negative: Any = (),
    k: int = 10,
    *,
    weights: ArrayLike | None = None,
    push: float = 0.5,
    **options: Any,
) -> Neighbors:
    """Find what is near to the items liked and not to those disliked.

    One positive id asks from item to item; what a user has bought, with how much she liked it as
    weights, asks from user to item.

    Parameters
    ----------
    index : Index
    positive : id or sequence of ids, at least one
    negative : id or sequence of ids, default none
    k : int, default 10
    weights : array_like, shape (positive,), optional
        What each positive item counts; none negative, not all 0.
    push : float, >= 0, default 0.5
        What the mean of the negative items counts against that of the positive ones (Rocchio).
    **options
        Passed to `index.search`: ef_search, nprobe, threads.

    Returns
    -------
    Neighbors
        (k,), nearest first, without the items given; padded where there are fewer.

    Raises
    ------
    UnknownId
        If an id is not in the index.
    ValueError
        If there is no positive id, weights are out of range, or likes and dislikes cancel out.
    """
    check_index(index)
    liked, disliked = _listed(positive), _listed(negative)
    if not liked:
        raise ValueError("positive must name at least one id, got none")
    if not as_real(push, "push") >= 0:
        raise ValueError(f"push must be at least 0, got {push}")
    counts = np.ones(len(liked)) if weights is None else np.asarray(weights, dtype=np.float64)
    if counts.shape != (len(liked),):
        raise ValueError(f"weights must have shape ({len(liked)},), got {counts.shape}")
    if not (np.isfinite(counts).all() and (counts >= 0).all() and counts.any()):
        raise ValueError(f"weights must be at least 0 and not all 0, got {counts.tolist()}")
    wanted = counts @ _rows(index, liked) / counts.sum()
    if disliked:
        wanted = wanted - push * _rows(index, disliked).mean(axis=0)
    if index.metric == "cosine" and np.linalg.norm(wanted) < 1e-6:
        raise ValueError("positive and negative must not cancel out, got a vector of zeros")
    given = exclude(_array([*liked, *disliked]))
    found: Neighbors = index.search(  # type: ignore[attr-defined]
        wanted.astype(np.float32), k, filter=given, **options
    )
    return found


def mmr(
    index: Index,
    query: ArrayLike,
    k: int = 10,
    *,
    diversity: float = 0.3,
    fetch: int | None = None,
    **options: Any,
) -> Neighbors:
    """Search, and choose answers that are near to the query and far from each other.

    Maximal marginal relevance [1]_: each answer is the candidate with the greatest
    ``(1 - diversity) * nearness to the query - diversity * nearness to the nearest one chosen``.
    Nearness is the cosine, the inner product, or ``-distance`` under l2, by the metric.

    Parameters
    ----------
    index : Index
    query : array_like, shape (dim,)
    k : int, at least 1, default 10
    diversity : float, in [0, 1], default 0.3
        0 is a plain search.
    fetch : int, at least k, optional
        Candidates; 5 k where not given.
    **options
        Passed to `index.search`.

    Returns
    -------
    Neighbors
        (at most k,), in the order chosen; distances are from the query.

    References
    ----------
    .. [1] Carbonell & Goldstein, "The Use of MMR, Diversity-Based Reranking for Reordering
       Documents and Producing Summaries", SIGIR 1998.
    """
    check_index(index)
    as_int(k, "k", 1)
    if not 0 <= as_real(diversity, "diversity") <= 1:
        raise ValueError(f"diversity must be in [0, 1], got {diversity}")
    fetch = 5 * k if fetch is None else as_int(fetch, "fetch")
    if fetch < k:
        raise ValueError(f"fetch must be at least k ({k}), got {fetch}")
    vector = as_matrix(query, "query")
    if vector.size != index.dim:
        raise ValueError(f"query must have shape ({index.dim},), got {vector.shape}")
    vector = vector.reshape(-1)
    most = max(1, min(fetch, len(index)))
    hits = index.search(vector, most, **options)  # type: ignore[attr-defined]
    held = np.isfinite(hits.distances)
    ids, distances = hits.ids[held], hits.distances[held]
    if not len(ids):
        return Neighbors(ids, distances)
    rows = _rows(index, ids.tolist())
    relevance = -distances.astype(np.float64) + (1 if index.metric == "cosine" else 0)
    chosen = _order(relevance, rows, index.metric, k, diversity)
    return Neighbors(ids[chosen], distances[chosen])


def choose(
    query: NDArray[np.float32],
    rows: NDArray[np.float32],
    metric: str,
    k: int,
    diversity: float,
) -> list[int]:
    """Places of at most k rows (n, dim) by maximal marginal relevance, in the order chosen."""
    asked, near = query.astype(np.float64), rows.astype(np.float64)
    if metric == "cosine":
        asked /= np.linalg.norm(asked)
        near /= np.linalg.norm(near, axis=1, keepdims=True)
    relevance = -np.square(near - asked).sum(axis=1) if metric == "l2" else near @ asked
    return _order(relevance, near, metric, k, diversity)


def _order(
    relevance: NDArray[np.float64],
    rows: NDArray[np.float64],
    metric: str,
    k: int,
    diversity: float,
) -> list[int]:
    """Begin with the most relevant row; `rows` (n, dim) have norm 1 under cosine."""
    near = rows @ rows.T
    if metric == "l2":
        squares = np.square(rows).sum(axis=1)
        near = 2 * near - squares[:, None] - squares
    chosen = [int(relevance.argmax())]
    closest = near[chosen[0]].copy()
    while len(chosen) < min(k, len(rows)):
        gain = (1 - diversity) * relevance - diversity * closest
        gain[chosen] = -np.inf
        best = int(gain.argmax())
        chosen.append(best)
        np.maximum(closest, near[best], out=closest)
    return chosen


def _rows(index: Index, ids: Sequence[Any]) -> NDArray[np.float64]:
    """Vectors of these ids; of length 1 under cosine."""
    rows = np.atleast_2d(np.asarray(index.get(_array(ids)), dtype=np.float64))
    if index.metric == "cosine":
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def _array(ids: Sequence[Any]) -> Any:
    return list(ids) if isinstance(ids[0], str) else np.asarray(ids, dtype=np.int64)


def _listed(ids: Any) -> list[Any]:
    if isinstance(ids, (str, int, np.integer)):
        return [ids]
    return list(ids)
