"""Searching a collection by meaning and by words at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nearfield.collection.hits import Hit, score
from nearfield.text.fusion import Ranking, by_ranks, by_scores
from nearfield.text.keywords import Keywords
from nearfield.text.words import Tokenizer

if TYPE_CHECKING:
    from nearfield.collection.store import Store
    from nearfield.collection.where import Where

__all__ = ["Hybrid", "Scope", "WordSide", "hybrid_hits"]

Rerank = Callable[[str, Sequence[str]], Any]


@dataclass(frozen=True)
class Hybrid:
    """How the two rankings are made one.

    Attributes
    ----------
    fusion : "rrf" or "weighted"
        By ranks, or by scores stretched to [0, 1].
    weight : float, in [0, 1]
        Of meaning; the words have the rest. 0 is BM25 alone, 1 vectors alone.
    candidates : int, >= 1
        Taken from each side; at least k.
    tokenizer : str or callable
        See `nearfield.text.tokenizer_of`.
    """

    fusion: str = "rrf"
    weight: float = 0.5
    candidates: int = 100
    tokenizer: str | Tokenizer = "auto"

    def __post_init__(self) -> None:
        if self.fusion not in ("rrf", "weighted"):
            raise ValueError(f"fusion must be 'rrf' or 'weighted', got {self.fusion!r}")
        if not 0 <= self.weight <= 1:
            raise ValueError(f"weight must be in [0, 1], got {self.weight}")
        if self.candidates < 1:
            raise ValueError(f"candidates must be at least 1, got {self.candidates}")

    def fuse(self, dense: Ranking, words: Ranking) -> Ranking:
        """One ranking; a side that weighs nothing adds nothing."""
        sides = [(dense, self.weight), (words, 1 - self.weight)]
        kept = [(ranking, weight) for ranking, weight in sides if weight > 0]
        join = by_ranks if self.fusion == "rrf" else by_scores
        return join([ranking for ranking, _ in kept], [weight for _, weight in kept])


@dataclass(frozen=True)
class Scope:
    """Which rows of a collection a search may find, and what it hands to the index."""

    where: Where | None
    part: Any
    every: bool
    options: dict[str, Any]


class WordSide:
    """The words of a collection's texts, brought up to date before each search.

    Nothing of it is stored: the first search after opening splits all texts, later ones those
    that are new.
    """

    def __init__(self, tokenizer: str | Tokenizer) -> None:
        self._keywords = Keywords(tokenizer)
        self._seq = -1
        self._locking = threading.Lock()

    def search(self, store: Store, text: str, scope: Scope, k: int) -> Ranking:
        """The k slots whose texts share most with the query; none that shares no word."""
        with self._locking:
            self._catch_up(store)
            keys, scores = self._keywords.keys, self._keywords.scores(text)
        allowed = _allowed(store, scope)
        found = np.flatnonzero(scores > 0)
        found = found[np.isin(keys[found], allowed)]
        if len(found) > k:
            found = found[np.argpartition(-scores[found], k - 1)[:k]]
        order = np.lexsort((keys[found], -scores[found]))
        return keys[found][order], scores[found][order]

    def _catch_up(self, store: Store) -> None:
        view = store.view
        if view.seq == self._seq:
            return
        slots = [segment.live_slots() for segment in view.segments()]
        live = np.concatenate(slots) if slots else np.empty(0, dtype=np.int64)
        held = self._keywords.keys if len(self._keywords) else live[:0]
        self._keywords.remove(np.setdiff1d(held, live).tolist())
        fresh = np.setdiff1d(live, held)
        for start in range(0, len(fresh), 1024):
            some = fresh[start : start + 1024].tolist()
            # A row that was deleted since the view was taken has no words.
            self._keywords.add(some, store.rows.texts(some))
        self._seq = view.seq


def _allowed(store: Store, scope: Scope) -> NDArray[np.int64]:
    fields = store.fields if scope.where is None else store.ensure_fields(scope.where.fields)
    slots = [
        view.segment.slots.view(view.n)[view.matching(scope.where, fields)]
        for view in store.view.segments(scope.part, scope.every)
    ]
    return np.concatenate(slots) if slots else np.empty(0, dtype=np.int64)


def hybrid_hits(
    store: Store,
    words: WordSide | None,
    nearest: Callable[[int], tuple[NDArray[np.int64], NDArray[np.float32]]],
    query: tuple[str, NDArray[np.float32]],
    k: int,
    hybrid: Hybrid,
    rerank: Rerank | None,
    scope: Scope,
) -> list[Hit] | None:
    """Answer one query; None if a row was replaced meanwhile.

    Parameters
    ----------
    store, words
        The collection's rows, and its words; without words the vectors alone rank.
    nearest : callable
        From a number to the slots and distances of so many nearest rows.
    query : (str, ndarray of shape (dim,))
    k, hybrid, rerank, scope
        As the search was told.
    """
    text, vector = query
    most = max(k, hybrid.candidates)
    slots, distances = nearest(most)
    distances = distances[slots >= 0]
    slots = slots[slots >= 0]
    far = dict(zip(slots.tolist(), distances.tolist(), strict=True))
    metric = store.settings.metric
    dense = slots, np.array([score(metric, d) for d in distances.tolist()], dtype=np.float32)
    if words is None:
        found, scores = dense
    else:
        found, scores = hybrid.fuse(dense, words.search(store, text, scope, most))
    if rerank is None:
        found, scores = found[:k], scores[:k]
    else:
        found, scores = found[:most], scores[:most]
    rows = store.entries(found.tolist())
    if rows is None or not _measure(store, vector, found.tolist(), far):
        return None
    hits = [
        Hit(id, far[slot], float(value), body, metadata)
        for (id, body, metadata), slot, value in zip(rows, found.tolist(), scores, strict=True)
    ]
    return hits if rerank is None else _reranked(text, hits, rerank)[:k]


def _measure(
    store: Store, vector: NDArray[np.float32], slots: list[int], far: dict[int, float]
) -> bool:
    """Add the distances of rows that were found by words alone; False if one is gone."""
    missing = [slot for slot in slots if slot not in far]
    kept, vectors = store.vectors(missing)
    if len(kept) != len(missing):
        return False
    rows, query = vectors.astype(np.float64), vector.astype(np.float64)
    inner = rows @ query
    if store.settings.metric == "cosine":
        distances = 1 - inner / (np.linalg.norm(rows, axis=1) * np.linalg.norm(query))
    elif store.settings.metric == "dot":
        distances = -inner
    else:
        distances = np.square(rows - query).sum(axis=1)
    far.update(zip(kept, distances.tolist(), strict=True))
    return True


def _reranked(text: str, hits: list[Hit], rerank: Rerank) -> list[Hit]:
    """Hits in the order of the reranker's scores; those without text come last, unscored."""
    told = [hit for hit in hits if hit.text]
    scores = np.asarray(rerank(text, [hit.text or "" for hit in told]), dtype=np.float64)
    if scores.shape != (len(told),) or not np.isfinite(scores).all():
        rule = f"rerank must give {len(told)} finite scores"
        raise ValueError(f"{rule}, got an array of shape {scores.shape}")
    order = np.argsort(-scores, kind="stable")
    ranked = [told[place]._replace(score=float(scores[place])) for place in order]
    return ranked + [hit._replace(score=0.0) for hit in hits if not hit.text]
