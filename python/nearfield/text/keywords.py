"""BM25 over texts that come and go."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearfield._optional import import_extra
from nearfield.text.words import Tokenizer, tokenizer_of

__all__ = ["Keywords"]


class Keywords:
    """Scores of texts for a query by the words they share: BM25 [1]_, computed by bm25s.

    Parameters
    ----------
    tokenizer : str or callable, default "auto"
        See `tokenizer_of`.
    k1 : float, default 1.5
        How soon repeated words stop to count.
    b : float, in [0, 1], default 0.75
        How much long texts are held back.

    Raises
    ------
    MissingExtraError
        If bm25s is not installed.

    Notes
    -----
    Texts are split once. After a change the table of scores is made anew with the next query, in
    time proportional to all words held: change in batches. Not safe from several threads at once.

    References
    ----------
    .. [1] Robertson & Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond",
       Foundations and Trends in Information Retrieval 3 (2009).
    """

    def __init__(
        self, tokenizer: str | Tokenizer = "auto", *, k1: float = 1.5, b: float = 0.75
    ) -> None:
        self._bm25s = import_extra("bm25s", "text", "search by words")
        if not k1 >= 0:
            raise ValueError(f"k1 must be at least 0, got {k1}")
        if not 0 <= b <= 1:
            raise ValueError(f"b must be in [0, 1], got {b}")
        self._split = tokenizer_of(tokenizer)
        self._k1, self._b = k1, b
        self._words: dict[str, int] = {}
        self._held: dict[int, list[int]] = {}  # key -> numbers of words
        self._keys = np.empty(0, dtype=np.int64)
        self._table: Any = None

    def __len__(self) -> int:
        return len(self._held)

    @property
    def keys(self) -> NDArray[np.int64]:
        """Numbers of the texts held, ascending."""
        self._refresh()
        return self._keys

    def add(self, keys: Sequence[int], texts: Sequence[str | None]) -> None:
        """Hold texts under numbers, in the place of those held under them before."""
        for key, text in zip(keys, texts, strict=True):
            words = self._split(text) if text else []
            self._held[int(key)] = [self._words.setdefault(w, len(self._words)) for w in words]
        self._table = None

    def remove(self, keys: Sequence[int]) -> None:
        """Let texts go; numbers that are not held are left aside."""
        for key in keys:
            self._held.pop(int(key), None)
        self._table = None

    def scores(self, query: str) -> NDArray[np.float32]:
        """Score each text held, (n,) float32 in the order of `keys`; 0 shares no word."""
        self._refresh()
        asked = [self._words[word] for word in self._split(query) if word in self._words]
        if not asked or self._table is False:
            return np.zeros(len(self._keys), dtype=np.float32)
        found: NDArray[Any] = self._table.get_scores_from_ids(asked)
        return found.astype(np.float32, copy=False)

    def _refresh(self) -> None:
        if self._table is not None:
            return
        keys = sorted(self._held)
        self._keys = np.array(keys, dtype=np.int64)
        ids = [self._held[key] for key in keys]
        if not any(ids):
            self._table = False  # bm25s takes no corpus without words
            return
        tokens = self._bm25s.tokenization.Tokenized(ids=ids, vocab=self._words)
        table = self._bm25s.BM25(k1=self._k1, b=self._b, method="lucene")
        table.index(tokens, create_empty_token=False, show_progress=False)
        self._table = table
