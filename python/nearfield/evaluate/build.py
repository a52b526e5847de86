"""Choose an index for some vectors, build it, and make it reach a recall."""

import math
import warnings
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nearfield.arrays import as_matrix
from nearfield.evaluate.index_report import index_truth
from nearfield.evaluate.latency import measure_latency, measure_qps
from nearfield.evaluate.tune import Tuning, tune
from nearfield.flat import Flat
from nearfield.kinds import CLASSES, make
from nearfield.progress import Progress
from nearfield.scalars import as_int, as_real

if TYPE_CHECKING:
    from nearfield.index import Ids, Index, Neighbors

__all__ = ["build"]

# Below this a full scan answers about as fast as a graph, and exactly.
EXACT_BELOW = 5_000
QUERIES = 1_000  # held out where none are given
# Tried in turn until one reaches the recall: the defaults, then a denser graph or finer codes.
CHOICES: dict[str, list[dict[str, int]]] = {
    "ivfpq": [{}, {"bits": 8}],
    "hnsw": [{}, {"M": 32, "ef_construction": 400, "bits": 8}],
}
# So much faster than a graph lists must be to be chosen: timings differ by that much by chance, and
# a graph takes additions in its stride.
CLEARLY = 1.1
SECONDS = 0.2  # to time what was tried


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
        None builds both, asks the queries of both, all at once and one by one, and keeps the
        faster: mostly the graph, but lists on vectors that are hard for graphs (words' vectors such
        as GloVe). That takes a fraction more than the graph alone, and where the two are about as
        fast the choice may differ from run to run: name one to get the same index everywhere.
        "ivfpq" alone is built several times faster, in less memory.
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
    if not 0 < as_real(recall, "recall") <= 1:
        raise ValueError(f"recall must be in (0, 1], got {recall}")
    as_int(k, "k", 1)
    as_int(seed, "seed", 0, 2**64 - 1)
    if queries is not None:
        queries = np.atleast_2d(as_matrix(queries, "queries"))
        if queries.shape[1] != dim:
            raise ValueError(f"queries must have shape (nq, {dim}), got {queries.shape}")
    reason = _exact_because(n, recall, kind)
    if not reason:
        held = _held_rows(n, seed) if queries is None else np.zeros(n, bool)
        contest = _Contest(
            rows=matrix[~held] if held.any() else matrix,
            queries=matrix[held] if queries is None else queries,
            ids=None if held.any() else ids,
            metric=metric, k=k, recall=recall, seed=seed, threads=threads, progress=progress,
            whole=not held.any(),
        )  # fmt: skip
        tried = [contest.run(name) for name in ([kind] if kind else CHOICES)]
        best = _fastest(tried)
        if best is not None:
            index = best.index if contest.whole else contest.of_all(best, matrix, ids)
            index.choice = "; ".join(map(_told, sorted(tried, key=lambda one: one is not best)))
            return index  # type: ignore[no-any-return]
        most = max(tried, key=lambda one: one.found.recall.mean)
        reason = f"exact, as {most.kind} gave recall@{k} {most.found.recall.mean:.4f} at most"
    flat = Flat(dim, metric)
    flat.add(matrix, ids, threads=threads, progress=progress)
    flat.choice = f"Flat: {reason}"
    return flat


@dataclass
class _Tried:
    """A kind with the settings that reach the recall, or come nearest."""

    kind: str
    params: dict[str, int]
    index: Any
    """None where one of all rows is to be built."""
    found: Tuning
    qps: float
    """Of a batch, on one thread."""
    one_by_one: float
    """Queries a second where each is asked alone."""


@dataclass
class _Contest:
    """What the kinds are compared on."""

    rows: NDArray[np.float32]
    queries: NDArray[np.float32]
    ids: "Ids | None"
    whole: bool
    """Whether `rows` are all there are."""
    metric: str
    k: int
    recall: float
    seed: int
    threads: int
    progress: Progress
    truth: "Neighbors | None" = None

    def run(self, kind: str) -> _Tried:
        """Build an index of the kind and set its search, with finer codes where the first fail."""
        for params in CHOICES[kind]:
            index = self._filled(kind, params, self.rows, self.ids)
            if self.truth is None:
                self.truth = index_truth(index, self.queries, self.k, self.threads)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", UserWarning)  # the next choice is the answer to it
                found = tune(
                    index, self.queries, self.k, self.recall,
                    truth=self.truth, threads=self.threads, seconds=0,
                )  # fmt: skip
            if found.reached:
                break
        search = partial(index.search, k=self.k, threads=1)
        qps = measure_qps(search, self.queries, seconds=SECONDS)
        alone = measure_latency(search, self.queries, seconds=SECONDS).p50
        kept = index if self.whole else None
        return _Tried(kind, params, kept, found, qps, 1e3 / alone)

    def of_all(self, best: _Tried, rows: NDArray[np.float32], ids: "Ids | None") -> Any:
        """Build what was best once more, of all rows."""
        index = self._filled(best.kind, best.params, rows, ids)
        for name, value in best.found.setting.items():
            setattr(index, name, min(value, _most(index, name)))
        return index

    def _filled(
        self, kind: str, params: dict[str, int], rows: NDArray[np.float32], ids: "Ids | None"
    ) -> Any:
        index = make(kind, rows.shape[1], metric=self.metric, seed=self.seed, **params)
        if hasattr(index, "train"):
            index.train(rows, threads=self.threads, progress=self.progress)
        index.add(rows, ids, threads=self.threads, progress=self.progress)
        return index


def _fastest(tried: list[_Tried]) -> _Tried | None:
    """Choose lists where they are clearly faster, batches and single queries weighing alike."""

    def speed(one: _Tried) -> float:
        least = 1.0 if one.kind == "hnsw" else CLEARLY
        return math.sqrt(one.qps * one.one_by_one) / least

    return max((one for one in tried if one.found.reached), key=speed, default=None)


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


def _told(one: _Tried) -> str:
    found = one.found
    said = ", ".join(f"{name}={value}" for name, value in {**one.params, **found.setting}.items())
    return (
        f"{CLASSES[one.kind]}({said}): recall@{found.k} {found.recall.mean:.4f} "
        f"(95 % in {found.recall.low:.4f} .. {found.recall.high:.4f}) on {found.n_queries:,} "
        f"queries, {one.qps:,.0f} QPS on one thread, {one.one_by_one:,.0f} asked one by one"
    )
