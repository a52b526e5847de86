"""BM25 over texts that come and go."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from nearfield.text.words import Tokenizer, tokenizer_of

__all__ = ["Keywords"]


class Keywords:
    """Scores of texts for a query by the words they share: BM25 [1]_, as Lucene computes it.

    Parameters
    ----------
    tokenizer : str or callable, default "auto"
        See `tokenizer_of`.
    k1 : float, default 1.5
        How soon repeated words stop to count.
    b : float, in [0, 1], default 0.75
        How much long texts are held back.

    Notes
    -----
    Texts are split once. Those added since the last query become a block of lists of places by
    word; blocks of about one size are joined, so a change costs what it holds and not what all
    texts hold. Not safe from several threads at once.

    References
    ----------
    .. [1] Robertson & Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond",
       Foundations and Trends in Information Retrieval 3 (2009).
    """

    def __init__(
        self, tokenizer: str | Tokenizer = "auto", *, k1: float = 1.5, b: float = 0.75
    ) -> None:
        if not k1 >= 0:
            raise ValueError(f"k1 must be at least 0, got {k1}")
        if not 0 <= b <= 1:
            raise ValueError(f"b must be in [0, 1], got {b}")
        self._split = tokenizer_of(tokenizer)
        self._k1, self._b = k1, b
        self._words = _Numbers()
        self._held: set[int] = set()
        self._fresh: dict[int, list[int]] = {}  # key -> numbers of words, in no block yet
        self._blocks: list[_Block] = []
        self._keys = np.empty(0, dtype=np.int64)
        self._changed = False

    def __len__(self) -> int:
        return len(self._held)

    @property
    def keys(self) -> NDArray[np.int64]:
        """Numbers of the texts held, ascending."""
        self._refresh()
        return self._keys

    def add(self, keys: Sequence[int], texts: Sequence[str | None]) -> None:
        """Hold texts under numbers, in the place of those held under them before."""
        self.remove(keys)
        number = self._words.__getitem__
        for key, text in zip(keys, texts, strict=True):
            self._fresh[int(key)] = list(map(number, self._split(text))) if text else []
        self._held.update(map(int, keys))
        self._changed = True

    def remove(self, keys: Sequence[int]) -> None:
        """Let texts go; numbers that are not held are left aside."""
        gone = {int(key) for key in keys} & self._held
        self._held -= gone
        for key in gone & self._fresh.keys():
            del self._fresh[key]
        for block in self._blocks if gone else ():
            block.drop(np.array(sorted(gone), np.int64))
        self._changed = self._changed or bool(gone)

    def scores(self, query: str) -> NDArray[np.float32]:
        """Score each text held, (n,) float32 in the order of `keys`; 0 shares no word."""
        self._refresh()
        n = len(self._keys)
        out = np.zeros(n)
        asked = Counter(self._words[word] for word in self._split(query) if word in self._words)
        mean = sum(int(block.lengths[block.live].sum()) for block in self._blocks) / max(n, 1)
        for word, times in asked.items():
            found = [block.find(word) for block in self._blocks]
            df = sum(len(places) for places, _ in found)
            weight = times * np.log1p((n - df + 0.5) / (df + 0.5))
            for block, (places, counts) in zip(self._blocks, found, strict=True):
                if len(places):
                    length = 1 - self._b + self._b * block.lengths[places] / mean
                    out[block.rank[places]] += weight * counts / (counts + self._k1 * length)
        return out.astype(np.float32)

    def _refresh(self) -> None:
        if not self._changed:
            return
        if self._fresh:
            self._blocks.append(_block_of(self._fresh))
            self._fresh = {}
        self._blocks = [block for block in self._blocks if block.live.any()]
        while len(self._blocks) > 1 and self._blocks[-2].size <= 2 * self._blocks[-1].size:
            self._blocks[-2:] = [_joined(self._blocks[-2], self._blocks[-1])]
        keys = np.concatenate([self._keys[:0], *(block.keys[block.live] for block in self._blocks)])
        order = np.argsort(keys, kind="stable")
        rank = np.empty(len(keys), np.int64)
        rank[order] = np.arange(len(keys))
        for block in self._blocks:
            block.rank[block.live] = rank[: block.size]
            rank = rank[block.size :]
        self._keys = keys[order]
        self._changed = False


class _Numbers(dict[str, int]):
    """Words, numbered as they come."""

    def __missing__(self, word: str) -> int:
        number = self[word] = len(self)
        return number


class _Block:
    """Some texts: for each word the places of those that have it, and how often they do."""

    def __init__(
        self,
        keys: NDArray[np.int64],
        lengths: NDArray[np.int64],
        words: NDArray[np.int64],
        places: NDArray[np.int64],
        counts: NDArray[np.int64],
    ) -> None:
        """`words`, `places` and `counts` have an entry a pair, ascending by word, then place."""
        self.keys = keys  # ascending
        self.lengths = lengths
        self.live = np.ones(len(keys), np.bool_)
        self.rank = np.zeros(len(keys), np.int64)  # among all keys held
        self.size = len(keys)  # live ones
        self.words, self.places, self.counts = words, places, counts

    def drop(self, keys: NDArray[np.int64]) -> None:
        at = np.searchsorted(self.keys, keys)
        inside = at < len(self.keys)
        at = at[inside]
        self.live[at[self.keys[at] == keys[inside]]] = False
        self.size = int(self.live.sum())

    def find(self, word: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Places and counts of the live texts that have a word."""
        start, stop = np.searchsorted(self.words, [word, word + 1])
        places, counts = self.places[start:stop], self.counts[start:stop]
        if self.size < len(self.keys):
            live = self.live[places]
            places, counts = places[live], counts[live]
        return places, counts


def _block_of(texts: dict[int, list[int]]) -> _Block:
    keys = sorted(texts)
    listed = [texts[key] for key in keys]
    lengths = np.fromiter(map(len, listed), np.int64, len(keys))
    words = np.fromiter(chain.from_iterable(listed), np.int64, int(lengths.sum()))
    pairs, counts = np.unique(
        words * len(keys) + np.repeat(np.arange(len(keys)), lengths), return_counts=True
    )
    return _Block(np.array(keys, np.int64), lengths, pairs // len(keys), pairs % len(keys), counts)


def _joined(one: _Block, other: _Block) -> _Block:
    """The live texts of two blocks."""
    keys = np.concatenate([one.keys[one.live], other.keys[other.live]])
    order = np.argsort(keys, kind="stable")
    rank = np.empty(len(keys), np.int64)
    rank[order] = np.arange(len(keys))
    parts = []
    for block, first in ((one, 0), (other, one.size)):
        live = block.live[block.places]
        fresh = rank[first + np.cumsum(block.live) - 1][block.places[live]]
        parts.append((block.words[live], fresh, block.counts[live]))
    words, places, counts = (np.concatenate(columns) for columns in zip(*parts, strict=True))
    lengths = np.concatenate([one.lengths[one.live], other.lengths[other.live]])
    pairs = np.lexsort((places, words))
    return _Block(keys[order], lengths[order], words[pairs], places[pairs], counts[pairs])
