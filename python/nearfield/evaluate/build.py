"""Choose an index for some vectors, build it, and make it reach a recall."""

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nearfield.arrays import as_matrix
from nearfield.evaluate.tune import Tuning, tune
from nearfield.flat import Flat
from nearfield.kinds import available, make
from nearfield.progress import Progress

if TYPE_CHECKING:
    from nearfield.index import Ids, Index

__all__ = ["build"]

# Below this a full scan answers about as fast as a graph, and exactly.
EXACT_BELOW = 5_000
QUERIES = 1_000  # held out where none are given
# Tried in turn until one reaches the recall: the defaults, then a denser graph of finer codes.
GRAPHS: list[dict[str, int]] = [{}, {"M": 32, "ef_construction": 400, "bits": 8}]


def build(
    vectors: ArrayLike,
    metric: str = "cosine",
    recall: float = 0.95,
    *,
    ids: "Ids | None" = None,
    queries: ArrayLike | None = None,
    k: int = 10,
    seed: int = 0,
    threads: int = 0,
    progress: Progress = False,
) -> "Index":
    """Pick an index and its settings for a recall, and build it.

    Parameters
    ----------
    vectors : array_like, shape (n, dim), n >= 1
    metric : {"cosine", "dot", "l2"}, default "cosine"
    recall : float, in (0, 1], default 0.95
        Mean recall@k of queries to come. 1 means exact.
    ids : sequence of int or str, shape (n,), optional
        As for `Index.add`.
    queries : array_like, shape (nq, dim), optional
        Like those to come. None asks some of the vectors, which is right if the queries to come are
        like the vectors, of an index without them; the one with all is built after it.
    k : int, default 10
    seed : int, default 0
        Of the index and of the choice of held-out vectors.
    threads : int, default 0
        0 means all.
    progress : bool or callable, default False
        As for `Index.add`.

    Returns
    -------
    Index
        Its `choice` says in a line what was chosen and why.

    Examples
    --------
    >>> import nearfield as nf, numpy as np
    >>> index = nf.build(np.eye(8), recall=0.95)
    >>> index.choice
    'Flat: exact, and 8 vectors are few enough to scan'
    """
    matrix = np.atleast_2d(as_matrix(vectors, "vectors"))
    n, dim = matrix.shape
    if n == 0:
        raise ValueError("vectors must have at least one row, got none")
    if not 0 < recall <= 1:
        raise ValueError(f"recall must be in (0, 1], got {recall}")
    if queries is not None:
        queries = np.atleast_2d(as_matrix(queries, "queries"))
        if queries.shape[1] != dim:
            raise ValueError(f"queries must have shape (nq, {dim}), got {queries.shape}")
    reason = _exact_because(n, recall)
    for params in [] if reason else GRAPHS:
        index: Any = make("hnsw", dim, metric=metric, seed=seed, **params)
        tried = index
        if queries is None:
            held = _held_rows(n, seed)
            tried, asked, kept = index._empty_like(), matrix[held], matrix[~held]
        else:
            asked, kept = queries, matrix
        tried.add(kept, ids if tried is index else None, threads=threads, progress=progress)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # the next choice is the answer to it
            found = tune(tried, asked, k, recall, threads=threads)
        if found.reached:
            if tried is not index:
                index.add(matrix, ids, threads=threads, progress=progress)
                index.ef_search = tried.ef_search
            index.choice = _told(params, found)
            return index  # type: ignore[no-any-return]
        reason = f"exact, as graphs gave recall@{found.k} {found.recall.mean:.4f} at most"
    flat = Flat(dim, metric)
    flat.add(matrix, ids, threads=threads, progress=progress)
    flat.choice = f"Flat: {reason}"
    return flat


def _held_rows(n: int, seed: int) -> NDArray[np.bool_]:
    held = np.zeros(n, bool)
    count = min(QUERIES, n // 10)
    held[np.random.default_rng(seed).choice(n, count, replace=False)] = True
    return held


def _exact_because(n: int, recall: float) -> str:
    if recall == 1:
        return "exact, as recall 1 was asked for"
    if n < EXACT_BELOW:
        return f"exact, and {n:,} vectors are few enough to scan"
    return "" if "hnsw" in available() else "exact"


def _told(params: dict[str, int], found: Tuning) -> str:
    settings = {**params, **found.setting}
    said = ", ".join(f"{name}={value}" for name, value in settings.items())
    return (
        f"HNSW({said}): recall@{found.k} {found.recall.mean:.4f} "
        f"(95 % in {found.recall.low:.4f} .. {found.recall.high:.4f}) on {found.n_queries:,} "
        f"queries, {found.qps:,.0f} QPS on one thread"
    )
