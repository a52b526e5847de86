"""Choose an index for some vectors, build it, and make it reach a recall."""

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nearfield.arrays import as_matrix
from nearfield.evaluate.tune import Tuning, tune
from nearfield.flat import Flat
from nearfield.kinds import make
from nearfield.progress import Progress

if TYPE_CHECKING:
    from nearfield.index import Ids, Index

__all__ = ["build"]

# Below this a full scan answers about as fast as a graph, and exactly.
EXACT_BELOW = 5_000
QUERIES = 1_000  # held out where none are given
# Tried in turn until one reaches the recall: the defaults, then a denser graph of finer codes.
CHOICES: dict[str, list[dict[str, int]]] = {
    "hnsw": [{}, {"M": 32, "ef_construction": 400, "bits": 8}],
    "ivfpq": [{}, {"bits": 8}],
}


def build(
    vectors: ArrayLike,
    metric: str = "cosine",
    recall: float = 0.95,
    *,
    kind: str | None = None,
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
    kind : {"hnsw", "ivfpq"}, optional
        None takes a graph; "ivfpq" takes a third of its memory and builds several times faster.
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
    if kind is not None and kind not in CHOICES:
        raise ValueError(f"kind must be 'hnsw' or 'ivfpq', got {kind!r}")
    if not 0 < recall <= 1:
        raise ValueError(f"recall must be in (0, 1], got {recall}")
    if queries is not None:
        queries = np.atleast_2d(as_matrix(queries, "queries"))
        if queries.shape[1] != dim:
            raise ValueError(f"queries must have shape (nq, {dim}), got {queries.shape}")
    reason = _exact_because(n, recall, kind)
    choices = CHOICES[kind or "hnsw"]
    for params in [] if reason else choices:
        index: Any = make(kind or "hnsw", dim, metric=metric, seed=seed, **params)
        tried = index
        if queries is None:
            held = _held_rows(n, seed)
            tried, asked, kept = index._empty_like(), matrix[held], matrix[~held]
        else:
            asked, kept = queries, matrix
        _fill(tried, kept, ids if tried is index else None, threads, progress)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # the next choice is the answer to it
            found = tune(tried, asked, k, recall, threads=threads)
        if found.reached:
            if tried is not index:
                _fill(index, matrix, ids, threads, progress)
                for name in found.setting:
                    setattr(index, name, min(getattr(tried, name), _most(index, name)))
            index.choice = f"{type(index).__name__}{_told(params, found)}"
            return index  # type: ignore[no-any-return]
        reason = f"exact, as {kind or 'hnsw'} gave recall@{found.k} {found.recall.mean:.4f} at most"
    flat = Flat(dim, metric)
    flat.add(matrix, ids, threads=threads, progress=progress)
    flat.choice = f"Flat: {reason}"
    return flat


def _fill(index: Any, rows: Any, ids: "Ids | None", threads: int, progress: Progress) -> None:
    if hasattr(index, "train"):
        index.train(rows, threads=threads, progress=progress)
    index.add(rows, ids, threads=threads, progress=progress)


def _most(index: Any, name: str) -> int:
    return int(index.nlist) if name == "nprobe" else 65_536


def _held_rows(n: int, seed: int) -> NDArray[np.bool_]:
    held = np.zeros(n, bool)
    count = min(QUERIES, n // 10)
    held[np.random.default_rng(seed).choice(n, count, replace=False)] = True
    return held


def _exact_because(n: int, recall: float, kind: str | None) -> str:
    if recall == 1:
        return "exact, as recall 1 was asked for"
    if kind is None and n < EXACT_BELOW:
        return f"exact, and {n:,} vectors are few enough to scan"
    return ""


def _told(params: dict[str, int], found: Tuning) -> str:
    settings = {**params, **found.setting}
    said = ", ".join(f"{name}={value}" for name, value in settings.items())
    return (
        f"({said}): recall@{found.k} {found.recall.mean:.4f} "
        f"(95 % in {found.recall.low:.4f} .. {found.recall.high:.4f}) on {found.n_queries:,} "
        f"queries, {found.qps:,.0f} QPS on one thread"
    )
