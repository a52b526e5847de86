"""Long documents: the vectors of their passages, each read alone or in its whole context."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearfield.embed.chunk import Chunk, Chunker

__all__ = ["Documents", "embed_documents", "late_vectors"]


@dataclass(frozen=True)
class Documents:
    """Vectors on two levels.

    Attributes
    ----------
    chunks : list of Chunk, length m
        Passages of all documents, one document after another.
    owner : ndarray, shape (m,), int64
        Number of the document that chunk i is of.
    chunk_vectors : ndarray, shape (m, dim), float32
    document_vectors : ndarray, shape (n, dim), float32
        The mean of a document's chunks, each weighing as it is long; unit length.
    """

    chunks: list[Chunk]
    owner: NDArray[np.int64]
    chunk_vectors: NDArray[np.float32]
    document_vectors: NDArray[np.float32]


def embed_documents(
    encoder: Any,
    texts: Sequence[str],
    chunker: Callable[[str], list[Chunk]] | None = None,
    *,
    late: bool = False,
) -> Documents:
    """Embed documents of any length, passage by passage and as a whole.

    Parameters
    ----------
    encoder : Encoder
    texts : sequence of str
        None of them blank.
    chunker : callable, optional
        From a text to its chunks; `Chunker()` where not given.
    late : bool, default False
        Late chunking [1]_: read each document in one pass as far as the model's limit allows, in
        overlapping windows beyond, and pool the tokens of each chunk, so that a passage knows what
        stood before it. Needs an encoder with token vectors.

    Returns
    -------
    Documents

    Raises
    ------
    ValueError
        If a text is blank; the message names it.
    TypeError
        If `late` is asked of an encoder without token vectors.

    References
    ----------
    .. [1] Günther et al., "Late Chunking: Contextual Chunk Embeddings Using Long-Context
       Embedding Models", arXiv:2409.04701.
    """
    split = [(chunker or Chunker())(text) for text in texts]
    for number, parts in enumerate(split):
        if not parts:
            raise ValueError(
                f"texts[{number}] must hold more than blanks, got {texts[number][:20]!r}"
            )
    chunks = [part for parts in split for part in parts]
    owner = np.repeat(np.arange(len(texts)), [len(parts) for parts in split])
    if late:
        vectors = np.concatenate(
            [late_vectors(encoder, text, parts) for text, parts in zip(texts, split, strict=True)]
            or [np.empty((0, encoder.dim), np.float32)]
        )
    else:
        vectors = encoder.encode_document([part.text for part in chunks])
    weights = np.array([[part.end - part.start] for part in chunks], dtype=np.float32)
    whole = np.zeros((len(texts), vectors.shape[1]), dtype=np.float32)
    np.add.at(whole, owner, vectors * weights.reshape(-1, 1))
    lengths = np.linalg.norm(whole, axis=1, keepdims=True)
    return Documents(chunks, owner, vectors, whole / np.maximum(lengths, 1e-12))


def late_vectors(encoder: Any, text: str, chunks: Sequence[Chunk]) -> NDArray[np.float32]:
    """The unit vectors of a text's chunks, pooled from passes over the whole text, (m, dim)."""
    windows = _windows(encoder, text)
    found = encoder.encode_tokens([text[start:end] for start, end in windows])
    parts, offsets, margins = [], [], []
    for (start, end), tokens in zip(windows, found, strict=True):
        places = tokens.offsets + start
        centres = places.mean(axis=1)
        # A window's edge hides half of the context: the window where a token lies deeper wins.
        left = centres - start if start else np.full(len(centres), np.inf)
        right = end - centres if end < len(text) else np.full(len(centres), np.inf)
        parts.append(tokens.vectors)
        offsets.append(places)
        margins.append(np.minimum(left, right))
    vectors, spans = np.concatenate(parts), np.concatenate(offsets)
    kept = _deepest(spans, np.concatenate(margins))
    vectors, centres = vectors[kept], spans[kept].mean(axis=1)
    pooled = np.empty((len(chunks), vectors.shape[1]), dtype=np.float32)
    for row, part in enumerate(chunks):
        inside = (centres >= part.start) & (centres < part.end)
        if not inside.any():
            raise ValueError(f"chunks must each hold a token, got {part.text[:20]!r}")
        pooled[row] = vectors[inside].mean(axis=0)
    unit: NDArray[np.float32] = pooled / np.linalg.norm(pooled, axis=1, keepdims=True)
    return unit


def _windows(encoder: Any, text: str) -> list[tuple[int, int]]:
    """Spans of the text that fit the model, each sharing a quarter with the next."""
    spans = encoder.token_offsets(text)
    prompt = len(encoder.token_offsets(encoder.prompts.get("document", "")))
    most = max(8, encoder.max_tokens - prompt - 8)  # room for special tokens and words cut anew
    windows = []
    first = 0
    while True:
        last = min(first + most, len(spans))
        start = 0 if first == 0 else int(spans[first][0])
        end = len(text) if last == len(spans) else int(spans[last - 1][1])
        windows.append((start, end))
        if last == len(spans):
            return windows
        first = last - most // 4


def _deepest(spans: NDArray[np.int64], margins: NDArray[np.float64]) -> NDArray[np.int64]:
    """Of tokens that several windows hold, the one farthest from its window's edge."""
    order = np.lexsort((-margins, spans[:, 1], spans[:, 0]))
    ordered = spans[order]
    fresh = np.ones(len(order), dtype=np.bool_)
    fresh[1:] = (ordered[1:] != ordered[:-1]).any(axis=1)
    return order[fresh]
