"""The levels below the text: tokens and words, each with its vector and its place."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearfield.embed.model import Work

__all__ = ["TokenVectors", "token_vectors"]

_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")


@dataclass(frozen=True)
class TokenVectors:
    """The tokens of one text.

    Attributes
    ----------
    text : str
    tokens : list of str, length t
        As the tokenizer names them; after `words`, the words.
    vectors : ndarray, shape (t, dim), float32
    offsets : ndarray, shape (t, 2), int64
        text[start:end] is the token.
    """

    text: str
    tokens: list[str]
    vectors: NDArray[np.float32]
    offsets: NDArray[np.int64]

    def words(self) -> TokenVectors:
        """The text's words, each the mean of its tokens; words that were cut off are left out."""
        names, spans, means = [], [], []
        starts, ends = self.offsets[:, 0], self.offsets[:, 1]
        for word in _WORD.finditer(self.text):
            inside = (starts < word.end()) & (ends > word.start())
            if inside.any():
                names.append(word.group())
                spans.append(word.span())
                means.append(self.vectors[inside].mean(axis=0))
        dim = self.vectors.shape[1]
        return TokenVectors(
            self.text,
            names,
            np.array(means, dtype=np.float32).reshape(-1, dim),
            np.array(spans, dtype=np.int64).reshape(-1, 2),
        )

    def pooled(self, spans: Sequence[tuple[int, int]]) -> NDArray[np.float32]:
        """The mean of the tokens in each span of the text, (len(spans), dim).

        Raises
        ------
        ValueError
            If a span holds no token.
        """
        centres = self.offsets.mean(axis=1)
        vectors = np.empty((len(spans), self.vectors.shape[1]), dtype=np.float32)
        for row, (start, end) in enumerate(spans):
            inside = (centres >= start) & (centres < end)
            if not inside.any():
                raise ValueError(f"spans must each hold a token, got {(start, end)}")
            vectors[row] = self.vectors[inside].mean(axis=0)
        return vectors


def token_vectors(model: Any, texts: Sequence[str], work: Work) -> list[TokenVectors]:
    """Embed the tokens of each text, up to the model's limit.

    Raises TypeError if the model has no token vectors.
    """
    if not hasattr(model, "encode_tokens"):
        raise TypeError(f"model must have token vectors, got {model.name!r}")
    found: list[TokenVectors | None] = [None] * len(texts)
    for row, vectors, offsets, names in model.encode_tokens(texts, work):
        found[row] = TokenVectors(texts[row], names, vectors, offsets)
    return [item for item in found if item is not None]
