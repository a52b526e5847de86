"""sentence-transformers: `util.semantic_search` with our search behind it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from nearfield.arrays import as_matrix
from nearfield.flat import Flat
from nearfield.index import Index
from nearfield.integrations._rows import similarity

__all__ = ["semantic_search"]

_METRICS = {
    "cos_sim": "cosine", "cosine": "cosine", "pairwise_cos_sim": "cosine",
    "dot_score": "dot", "dot": "dot", "pairwise_dot_score": "dot",
    "euclidean_sim": "l2", "euclidean": "l2",
}  # fmt: skip


def semantic_search(
    query_embeddings: Any,
    corpus_embeddings: Any,
    query_chunk_size: int = 100,
    corpus_chunk_size: int = 500_000,
    top_k: int = 10,
    score_function: str | Callable[..., Any] = "cos_sim",
) -> list[list[dict[str, int | float]]]:
    """Find for each query the best of a corpus; stands in for `util.semantic_search`.

    Parameters
    ----------
    query_embeddings : tensor, array or list of them, shape (nq, dim) or (dim,)
    corpus_embeddings : tensor, array or list of them, shape (n, dim), or Index
        An array is searched exactly. An index (`nearfield.HNSW` for a corpus searched often) has
        its own metric, and its ids are the answers' corpus_id.
    query_chunk_size, corpus_chunk_size : ignored
        The search takes what memory it needs by itself.
    top_k : int, default 10
    score_function : callable or str, default "cos_sim"
        `util.cos_sim`, `util.dot_score` or `util.euclidean_sim`, or their names.

    Returns
    -------
    list of list of dict
        ``{"corpus_id": ..., "score": ...}``, best first; scores are the function's.
    """
    name = score_function if isinstance(score_function, str) else score_function.__name__
    if name not in _METRICS:
        raise ValueError(f"score_function must be one of {', '.join(_METRICS)}, got {name}")
    queries = np.atleast_2d(as_matrix(query_embeddings, "query_embeddings"))
    if isinstance(corpus_embeddings, Index):
        index = corpus_embeddings
    else:
        corpus = np.atleast_2d(as_matrix(corpus_embeddings, "corpus_embeddings"))
        index = Flat(corpus.shape[1], metric=_METRICS[name])
        index.add(corpus)
    hits = index.search(queries, max(1, min(top_k, len(index))))  # type: ignore[attr-defined]
    return [
        [
            {"corpus_id": id, "score": _score(index.metric, far)}
            for id, far in zip(ids, distances, strict=True)
            if far < np.inf
        ]
        for ids, distances in zip(hits.ids.tolist(), hits.distances.tolist(), strict=True)
    ]


def _score(metric: str, distance: float) -> float:
    return -float(np.sqrt(distance)) if metric == "l2" else similarity(metric, distance)
