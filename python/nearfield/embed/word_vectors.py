"""Static word vectors: word2vec, GloVe and fastText files, and texts as the mean of their words.

Files come from strangers: every number in them is checked against limits and against the size of
the file before memory is taken for it.
"""

from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from nearfield.embed.model import Batch, Work, batches_of, prompted
from nearfield.embed.pooling import Pooling, check_pooling, pool

__all__ = ["WordModel", "WordVectors", "read_word_vectors"]

_MAX_DIM = 4096
_MAX_WORDS = 1 << 24
_MAX_WORD_BYTES = 1024
_MAX_LINE = 32 * _MAX_DIM
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


@dataclass(frozen=True)
class WordVectors:
    """Words and their vectors, in the order of the file.

    Attributes
    ----------
    words : list of str, length n
    vectors : ndarray, shape (n, dim), float32
    """

    words: list[str]
    vectors: NDArray[np.float32]

    def __post_init__(self) -> None:
        places: dict[str, int] = {}
        for place, word in enumerate(self.words):
            places.setdefault(word, place)
        object.__setattr__(self, "_places", places)

    def __len__(self) -> int:
        return len(self.words)

    def __contains__(self, word: object) -> bool:
        return word in self._places  # type: ignore[attr-defined]

    def find(self, word: str) -> int:
        """Place of the word as written, else in lower case; -1 where unknown."""
        places: dict[str, int] = self._places  # type: ignore[attr-defined]
        return places.get(word, places.get(word.lower(), -1))

    def __getitem__(self, word: str) -> NDArray[np.float32]:
        place = self.find(word)
        if place < 0:
            raise KeyError(f"{word!r} is not among the {len(self):,} words")
        vector: NDArray[np.float32] = self.vectors[place]
        return vector


def read_word_vectors(path: str | Path, *, limit: int | None = None) -> WordVectors:
    """Read a file of word vectors.

    Parameters
    ----------
    path : path
        ``.bin``: word2vec's binary format. ``.txt`` and ``.vec``: a word and its numbers a line,
        with word2vec's and fastText's first line "n dim" or, as GloVe, without. All may be
        gzipped, ``.gz``.
    limit : int or None, default None
        Read the first so many words: files are sorted by frequency.

    Returns
    -------
    WordVectors

    Raises
    ------
    ValueError
        If the file does not follow its format; line or word is named. fastText's own ``.bin``
        (its model, not its vectors) is refused by name.
    """
    path = Path(path)
    if limit is not None and limit < 1:
        raise ValueError(f"limit must be at least 1, got {limit}")
    most = min(limit or _MAX_WORDS, _MAX_WORDS)
    packed = path.suffix == ".gz"
    kind = path.with_suffix("").suffix if packed else path.suffix
    with gzip.open(path, "rb") if packed else path.open("rb") as file:
        if kind == ".bin":
            size = None if packed else path.stat().st_size
            return _read_binary(file, path, most, size)
        return _read_text(file, path, most)


def _read_binary(file: Any, path: Path, most: int, size: int | None) -> WordVectors:
    head = file.readline(64)
    if head[:4] == b"\xba\x16\x4f\x2f":
        raise ValueError(f"{path} must hold word vectors, got a fastText model: use its .vec file")
    n, dim = _counts(head, path)
    if size is not None and n * (4 * dim + 2) > size:
        raise ValueError(f"{path} must hold {n:,} vectors of {dim}, got a file of {size:,} bytes")
    vectors = []
    words = []
    for number in range(min(n, most)):
        word = _binary_word(file, path, number)
        row = file.read(4 * dim)
        if len(row) != 4 * dim:
            raise ValueError(f"{path} must hold {n:,} vectors, got an end in vector {number:,}")
        words.append(word)
        vectors.append(np.frombuffer(row, dtype="<f4"))
    return _checked(words, np.stack(vectors).astype(np.float32, copy=False), path)


def _binary_word(file: Any, path: Path, number: int) -> str:
    letters = bytearray()
    while (letter := file.read(1)) != b" ":
        if not letter or len(letters) >= _MAX_WORD_BYTES:
            rule = f"{path} must hold a word of at most {_MAX_WORD_BYTES} bytes before vector"
            raise ValueError(f"{rule} {number:,}, got {bytes(letters[:20])!r}")
        if letter != b"\n" or letters:
            letters += letter
    return letters.decode("utf-8", errors="replace")


def _counts(head: bytes, path: Path) -> tuple[int, int]:
    fields = head.split()
    if len(fields) != 2 or not all(field.isdigit() and len(field) < 12 for field in fields):
        raise ValueError(f"{path} must begin with the counts of words and dimensions, got {head!r}")
    n, dim = int(fields[0]), int(fields[1])
    if not 1 <= n <= _MAX_WORDS or not 1 <= dim <= _MAX_DIM:
        rule = f"{path} must hold 1..{_MAX_WORDS:,} vectors of 1..{_MAX_DIM:,} dimensions"
        raise ValueError(f"{rule}, got {n:,} of {dim:,}")
    return n, dim


def _read_text(file: IO[bytes] | Any, path: Path, most: int) -> WordVectors:
    words: list[str] = []
    vectors: list[NDArray[np.float32]] = []
    dim = told = 0
    for number in range(1, most + 3):
        line = file.readline(_MAX_LINE + 1)
        if not line or len(words) == most:
            break
        if len(line) > _MAX_LINE:
            raise ValueError(f"{path} line {number} must have at most {_MAX_LINE:,} bytes")
        fields = line.decode("utf-8", errors="replace").rstrip("\r\n ").split(" ")
        if number == 1 and len(fields) == 2 and all(field.isdigit() for field in fields):
            told, dim = _counts(line, path)
            continue
        dim = dim or len(fields) - 1
        word, values = " ".join(fields[:-dim]), fields[-dim:]
        if not 1 <= dim <= _MAX_DIM or len(fields) <= dim:
            raise ValueError(f"{path} line {number} must hold a word and {dim} numbers")
        try:
            vectors.append(np.array(values, dtype=np.float32))
        except ValueError:
            rule = f"{path} line {number} must hold a word and {dim} numbers"
            raise ValueError(f"{rule}, got {line[:60]!r}") from None
        words.append(word)
    if not words:
        raise ValueError(f"{path} must hold at least one word, got none")
    if told and len(words) < min(told, most):
        raise ValueError(f"{path} must hold the {told:,} words it announces, got {len(words):,}")
    return _checked(words, np.stack(vectors), path)


def _checked(words: list[str], vectors: NDArray[np.float32], path: Path) -> WordVectors:
    wrong = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if wrong.size:
        raise ValueError(f"{path} must hold finite numbers, got others for {words[wrong[0]]!r}")
    return WordVectors(words, vectors)


class WordModel:
    """A text as the pooled vectors of those of its words that are known."""

    prompts: Mapping[str, str] = {}
    name = "word vectors"

    def __init__(self, words: WordVectors, pooling: Pooling = "auto") -> None:
        self.words = words
        self.poolings = check_pooling("mean" if pooling == "auto" else pooling)
        self.dim = words.vectors.shape[1] * len(self.poolings)
        digest = hashlib.blake2b(words.vectors.tobytes(), digest_size=6)
        digest.update("\n".join(words.words).encode("utf-8", errors="replace"))
        self.fingerprint = f"words:{digest.hexdigest()} pooling={'+'.join(self.poolings)}"

    def encode(self, texts: Sequence[str], work: Work) -> Iterator[Batch]:
        """Yield batches in order; a text without known words gets zeros."""
        for batch in batches_of(len(texts), work.batch_size):
            asked = prompted([texts[row] for row in batch], work.prompt)
            found = [[self.words.find(word) for word in _WORD.findall(text)] for text in asked]
            places = [[place for place in row if place >= 0] for row in found]
            longest = max(1, max(len(row) for row in places))
            mask = np.zeros((len(batch), longest), dtype=np.float32)
            filled = np.zeros((len(batch), longest), dtype=np.int64)
            for row, known in enumerate(places):
                filled[row, : len(known)] = known
                mask[row, : len(known)] = 1
            yield batch, pool(self.words.vectors[filled], mask, self.poolings)
