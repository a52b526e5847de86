"""Recall: which share of the true nearest neighbours was found."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nearfield.index import Neighbors
from nearfield.scalars import as_int

__all__ = ["Interval", "recall_at_k", "recall_interval", "recall_per_query"]

BLOCK = 1024  # queries compared at a time
TIE = 1e-6  # relative; two kernels may round the same distance differently


class Interval(NamedTuple):
    """A mean and where it lies with the confidence asked for."""

    mean: float
    low: float
    high: float


def recall_at_k(
    found: Neighbors | ArrayLike,
    truth: Neighbors | ArrayLike,
    k: int | None = None,
    *,
    found_distances: ArrayLike | None = None,
    true_distances: ArrayLike | None = None,
) -> float:
    """Tell the mean recall@k: of the k nearest, the share that was found.

    Parameters, errors and the rule for ties are those of `recall_per_query`.

    Returns
    -------
    float
        In 0..1; nan without queries.

    Examples
    --------
    >>> import nearfield as nf
    >>> nf.evaluate.recall_at_k([[3, 8, -1]], [[8, 3, 5]], k=3)
    0.6666666666666666
    """
    recalls = recall_per_query(
        found, truth, k, found_distances=found_distances, true_distances=true_distances
    )
    return float(recalls.mean()) if recalls.size else float("nan")


def recall_per_query(
    found: Neighbors | ArrayLike,
    truth: Neighbors | ArrayLike,
    k: int | None = None,
    *,
    found_distances: ArrayLike | None = None,
    true_distances: ArrayLike | None = None,
) -> NDArray[np.float64]:
    """Tell the recall@k of each query.

    Parameters
    ----------
    found : Neighbors or array_like, shape (nq, >= 1)
        What a search gave: ids, nearest first. -1 or None (padding) is never a hit, an id that
        comes twice is one hit, and columns beyond k do not count. Fewer than k columns miss the
        rest.
    truth : Neighbors or array_like, shape (nq, >= k)
        The exact answer, nearest first; more than k columns settle ties at the k-th distance by id.
        Where it is padded, fewer than k vectors exist and recall is of those.
    k : int, optional
        None takes the truth's width.
    found_distances, true_distances : array_like, optional
        Of the shapes of `found` and `truth`, for those given as ids alone. Distances of `truth`
        make every id at the k-th distance a hit; found distances settle ties beyond the truth's
        columns and must be exact, else leave them out (a `Neighbors` for `found` counts by id).

    Returns
    -------
    ndarray, shape (nq,), float64
        nan where the truth has no neighbor at all.

    Raises
    ------
    ValueError
        If shapes differ or k exceeds the truth's width.
    """
    ids, _ = _as_answers(found, "found", found_distances)
    true_ids, distances = _as_answers(truth, "truth", true_distances)
    if len(ids) != len(true_ids):
        raise ValueError(
            f"found must have one row for each row of truth ({len(true_ids)}), got {len(ids)}"
        )
    width = true_ids.shape[1]
    k = width if k is None else as_int(k, "k")
    if not 1 <= k <= width:
        raise ValueError(f"k must be in 1..{width}, the width of truth, got {k}")
    found_at = None
    if found_distances is not None:
        found_at = np.atleast_2d(np.asarray(found_distances, np.float64))[:, :k]
    return _recalls(ids[:, :k], true_ids, k, distances, found_at)


def recall_interval(recalls: ArrayLike, confidence: float = 0.95) -> Interval:
    """Tell the mean recall and where that of further such queries lies.

    Parameters
    ----------
    recalls : array_like, shape (nq,)
        One a query, in 0..1, of independent queries.
    confidence : float, in (0, 1), default 0.95
        Two-sided.

    Returns
    -------
    Interval
        mean, low, high.

    Notes
    -----
    Wilson's interval (JASA 22, 1927) with as many trials as explain the queries' variance, at least
    one a query: neighbours of one query are found or missed together.
    """
    values = np.asarray(recalls, np.float64).ravel()
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be in (0, 1), got {confidence}")
    if values.size == 0:
        raise ValueError("recalls must hold at least one value, got none")
    mean = float(values.mean())
    spread = float(values.var(ddof=1)) if values.size > 1 else 0.0
    trials = float(values.size)
    if spread > 0:
        trials = max(trials, trials * mean * (1 - mean) / spread)
    z = _normal_quantile((1 + confidence) / 2)
    centre = (mean + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z / (1 + z * z / trials) * np.sqrt(mean * (1 - mean) / trials + (z / (2 * trials)) ** 2)
    return Interval(mean, max(0.0, float(centre - half)), min(1.0, float(centre + half)))


def _normal_quantile(probability: float) -> float:
    from statistics import NormalDist

    return NormalDist().inv_cdf(probability)


def _recalls(
    ids: NDArray[Any],
    true_ids: NDArray[Any],
    k: int,
    distances: NDArray[np.float64] | None,
    found_at: NDArray[np.float64] | None,
) -> NDArray[np.float64]:
    real = _real(true_ids)
    wanted = np.minimum(k, real.sum(axis=1))
    allowed = real.copy()
    allowed[:, k:] = False
    limits = np.full(len(ids), np.inf)
    if distances is not None:
        limits = distances[np.arange(len(ids)), np.maximum(wanted, 1) - 1]
        limits = limits + TIE * np.abs(limits)
        allowed |= real & (distances <= limits[:, None])
    hits = np.empty(len(ids), np.int64)
    for i in range(0, len(ids), BLOCK):
        rows = slice(i, i + BLOCK)
        # A true id is counted once, however often it was found.
        found = (ids[rows, :, None] == true_ids[rows, None, :]).any(axis=1)
        hits[rows] = (found & allowed[rows]).sum(axis=1)
    if found_at is not None and distances is not None:
        hits += _hits_by_distance(ids, true_ids, allowed, found_at, limits)
    with np.errstate(invalid="ignore"):  # nan where no neighbor exists
        return np.asarray(np.minimum(hits, wanted) / wanted, np.float64)


def _hits_by_distance(
    ids: NDArray[Any],
    true_ids: NDArray[Any],
    counted: NDArray[np.bool_],
    found_at: NDArray[np.float64],
    limits: NDArray[np.float64],
) -> NDArray[np.int64]:
    """How many ids are near enough and not among the true ones counted already, per query."""
    near = _real(ids) & (found_at <= limits[:, None])
    extra = [
        set(ids[i][near[i]].tolist()) - set(true_ids[i][counted[i]].tolist())
        for i in range(len(ids))
    ]
    return np.array([len(found) for found in extra], dtype=np.int64)


def _real(ids: NDArray[Any]) -> NDArray[np.bool_]:
    """Which entries are ids and not padding."""
    if ids.dtype == object:
        return np.asarray((ids != None) & (ids != -1), dtype=bool)  # noqa: E711 - elementwise
    return ids != -1 if ids.dtype.kind in "if" else np.ones(ids.shape, bool)


def _as_answers(
    value: Neighbors | ArrayLike, name: str, distances: ArrayLike | None
) -> tuple[NDArray[Any], NDArray[np.float64] | None]:
    if isinstance(value, Neighbors):
        ids = np.atleast_2d(value.ids)
        given: Any = value.distances if distances is None else distances
    else:
        ids = np.atleast_2d(np.asarray(value))
        given = distances
    if ids.ndim != 2:
        raise ValueError(f"{name} must be a (nq, k) array of ids, got shape {ids.shape}")
    if given is None:
        return ids, None
    matrix = np.atleast_2d(np.asarray(given, np.float64))
    if matrix.shape != ids.shape:
        raise ValueError(
            f"distances of {name} must have the shape of the ids, {ids.shape}, got {matrix.shape}"
        )
    return ids, matrix
