"""Split long texts into passages that a model can read, and remember where each came from."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from nearfield.embed.sentences import Span, sentence_spans

__all__ = ["Chunk", "Chunker", "chunk"]

_UNITS = ("tokens", "characters", "sentences")
_WORD = re.compile(r"\S+")


@dataclass(frozen=True)
class Chunk:
    """A passage of a text: text[start:end] of what was split."""

    text: str
    start: int
    end: int


@dataclass(frozen=True)
class Chunker:
    """How texts are split; call it with a text.

    Attributes
    ----------
    size : int
        Most units in a chunk.
    unit : "tokens", "characters" or "sentences"
        Tokens are those of `tokens`, else words between blanks.
    overlap : int
        Units, at most, that a chunk repeats from the end of the one before.
    splitter : str or callable
        How sentences are found: see `sentence_spans`.
    tokens : callable or None
        From a text to the (start, end) of its tokens: ``encoder.token_offsets``.

    Raises
    ------
    ValueError
        If size is below 1, overlap is not in 0..size - 1, or the unit is unknown.
    """

    size: int = 256
    unit: str = "tokens"
    overlap: int = 0
    splitter: str | Callable[[str], list[Span]] = "rules"
    tokens: Callable[[str], Any] | None = None

    def __post_init__(self) -> None:
        if self.unit not in _UNITS:
            known = ", ".join(repr(unit) for unit in _UNITS)
            raise ValueError(f"unit must be one of {known}, got {self.unit!r}")
        if self.size < 1:
            raise ValueError(f"size must be at least 1, got {self.size}")
        if not 0 <= self.overlap < self.size:
            raise ValueError(f"overlap must be in 0..{self.size - 1}, got {self.overlap}")

    def __call__(self, text: str) -> list[Chunk]:
        """Split a text: see `chunk`."""
        if not isinstance(text, str):
            raise TypeError(f"text must be a str, got {type(text).__name__}")
        pieces = self._pieces(text)
        chunks: list[Chunk] = []
        for start, end in self._packed(pieces):
            chunks.append(Chunk(text[start:end], start, end))
        return chunks

    def _pieces(self, text: str) -> list[tuple[int, int, int]]:
        """(start, end, size) of sentences, those that are too long cut between words."""
        sentences = sentence_spans(text, self.splitter)
        if self.unit == "sentences":
            return [(start, end, 1) for start, end in sentences]
        spans = self._unit_spans(text)
        pieces = []
        place = 0
        for start, end in sentences:
            inside = []
            while place < len(spans) and spans[place][0] < end:
                if spans[place][1] > start:
                    inside.append((max(spans[place][0], start), min(spans[place][1], end)))
                if spans[place][1] > end:  # the next sentence has its share of the word too
                    break
                place += 1
            size = self._size(inside, start, end)
            if size <= self.size:
                pieces.append((start, end, size))
            else:
                pieces += self._cut(text, inside, start, end)
        return pieces

    def _unit_spans(self, text: str) -> list[Span]:
        if self.unit == "tokens" and self.tokens is not None:
            return [(int(start), int(end)) for start, end in self.tokens(text) if end > start]
        return [match.span() for match in _WORD.finditer(text)]

    def _size(self, inside: Sequence[Span], start: int, end: int) -> int:
        return end - start if self.unit == "characters" else max(1, len(inside))

    def _cut(
        self, text: str, inside: list[Span], start: int, end: int
    ) -> list[tuple[int, int, int]]:
        """A sentence that is longer than a chunk, between words or tokens, else anywhere."""
        pieces: list[tuple[int, int, int]] = []
        if self.unit == "tokens":
            bounds = [start, *(span[0] for span in inside[1:]), end]
            for first in range(0, len(inside), self.size):
                last = min(first + self.size, len(inside))
                pieces.append((bounds[first], bounds[last], last - first))
        else:
            begin = start
            while end - begin > self.size:
                limit = begin + self.size
                stop = max((span[0] for span in inside if begin < span[0] <= limit), default=limit)
                pieces.append((begin, stop, stop - begin))
                begin = stop
            pieces.append((begin, end, end - begin))
        return [_stripped(text, piece) for piece in pieces if text[piece[0] : piece[1]].strip()]

    def _packed(self, pieces: list[tuple[int, int, int]]) -> list[Span]:
        """Pieces side by side joined up to the size, with the overlap repeated."""
        spans: list[Span] = []
        first = 0
        while first < len(pieces):
            last = first
            while last + 1 < len(pieces) and self._total(pieces, first, last + 1) <= self.size:
                last += 1
            spans.append((pieces[first][0], pieces[last][1]))
            if last + 1 == len(pieces):
                break
            following = last + 1
            while (
                following - 1 > first and self._total(pieces, following - 1, last) <= self.overlap
            ):
                if self._total(pieces, following - 1, last + 1) > self.size:
                    break
                following -= 1
            first = following
        return spans

    def _total(self, pieces: list[tuple[int, int, int]], first: int, last: int) -> int:
        if self.unit == "characters":
            return pieces[last][1] - pieces[first][0]
        return sum(size for _, _, size in pieces[first : last + 1])


def _stripped(text: str, piece: tuple[int, int, int]) -> tuple[int, int, int]:
    start, end, size = piece
    part = text[start:end]
    begin = start + len(part) - len(part.lstrip())
    return begin, begin + len(part.strip()), size


def chunk(
    text: str,
    size: int = 256,
    *,
    unit: str = "tokens",
    overlap: int = 0,
    splitter: str | Callable[[str], list[Span]] = "rules",
    tokens: Callable[[str], Any] | None = None,
) -> list[Chunk]:
    """Split a text into passages of whole sentences.

    Parameters
    ----------
    text : str
    size : int, at least 1, default 256
        Most units in a chunk. A longer sentence is cut between words.
    unit : "tokens", "characters" or "sentences", default "tokens"
        Tokens are those of `tokens`, else words between blanks.
    overlap : int, in 0..size - 1, default 0
        Units, at most, that a chunk repeats from the end of the one before, in whole sentences.
    splitter : "rules", "kiwi" or callable, default "rules"
        ``"kiwi"`` knows where Korean sentences end without a mark (extra ``text``).
    tokens : callable, optional
        From a text to the (start, end) of its tokens: ``encoder.token_offsets`` counts as the
        encoder does.

    Returns
    -------
    list of Chunk
        In the text's order; each `chunk.text == text[chunk.start:chunk.end]`, and together they
        hold every character that is not blank. Empty for a blank text.

    Raises
    ------
    ValueError
        If size, overlap, unit or splitter is out of range.
    TypeError
        If text is not a str.

    Examples
    --------
    >>> [part.text for part in chunk("One fox. Two dogs ran. Three.", 4)]
    ['One fox.', 'Two dogs ran. Three.']
    """
    return Chunker(size, unit, overlap, splitter, tokens)(text)
