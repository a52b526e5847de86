"""The part of a text that answers a question, and where it stands."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nearfield.embed.chunk import Chunk, Chunker
from nearfield.text.words import Tokenizer, tokenizer_of

__all__ = ["Snippet", "snippets"]


@dataclass(frozen=True)
class Snippet:
    """A passage of a text.

    Attributes
    ----------
    text : str
        What is at start:end of the text it was taken from.
    start, end : int
    score : float
        Cosine between passage and question, from -1 to 1; without an encoder, the share of the
        question's words that it has.
    """

    text: str
    start: int
    end: int
    score: float


def snippets(
    query: str,
    texts: Sequence[Any],
    encoder: Any = None,
    *,
    chunker: Callable[[str], list[Chunk]] | None = None,
    tokenizer: str | Tokenizer = "auto",
) -> list[Snippet | None]:
    """Find the passage of each text that is nearest to the question.

    Parameters
    ----------
    query : str
    texts : sequence of str or Hit
        Hits of a search give their texts.
    encoder : Encoder, optional
        Compares by meaning; without it shared words are counted.
    chunker : callable, optional
        How texts are split; two sentences at a time, one shared, where not given.
    tokenizer : str or callable, default "auto"
        How words are split where there is no encoder.

    Returns
    -------
    list of Snippet or None
        None for a text that is None or blank.
    """
    split = chunker or Chunker(2, "sentences", 1)
    bodies = [text if isinstance(text, str) or text is None else text.text for text in texts]
    parts = [split(body) if body else [] for body in bodies]
    chunks = [part for some in parts for part in some]
    if not chunks:
        return [None] * len(bodies)
    if encoder is None:
        words = tokenizer_of(tokenizer)
        asked = set(words(query))
        scores = [len(asked & set(words(part.text))) / max(1, len(asked)) for part in chunks]
    else:
        vectors = encoder.encode_document([part.text for part in chunks])
        scores = (vectors @ encoder.encode_query(query)).tolist()
    found: list[Snippet | None] = []
    start = 0
    for some in parts:
        own = scores[start : start + len(some)]
        start += len(some)
        if some:
            best = int(np.argmax(own))
            found.append(Snippet(some[best].text, some[best].start, some[best].end, own[best]))
        else:
            found.append(None)
    return found
