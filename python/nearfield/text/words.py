"""From a text to the words that are counted in it."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import cache
from typing import Any

from nearfield._optional import import_extra

__all__ = ["Tokenizer", "tokenizer_of"]

Tokenizer = Callable[[str], list[str]]

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_HANGUL = re.compile(r"[가-힣]+")
# Parts of speech that carry meaning, by Kiwi's tags: nouns, roots, verbs, adjectives, adverbs,
# foreign words, numbers, Chinese characters. Particles and endings are left out.
_KIWI_TAGS = ("NNG", "NNP", "NR", "XR", "VV", "VA", "MAG", "SL", "SN", "SH")


def tokenizer_of(name: str | Tokenizer = "auto") -> Tokenizer:
    """Give the function that splits texts.

    Parameters
    ----------
    name : "auto", "words", "korean" or callable, default "auto"
        ``"words"``: words in lower case. ``"auto"``: the same, and runs of Hangul as pairs of
        syllables besides, so that 정렬하는 meets 정렬 without a dictionary. ``"korean"``: Kiwi's
        morphemes, without particles and endings (extra ``text``). A callable takes a text and
        gives a list of str.

    Raises
    ------
    ValueError
        If the name is unknown.
    MissingExtraError
        If "korean" is asked for and kiwipiepy is not installed.
    """
    if callable(name):
        return name
    if name == "auto":
        return _words_and_pairs
    if name == "words":
        return _words
    if name == "korean":
        return _korean()
    raise ValueError(f"tokenizer must be 'auto', 'words', 'korean' or a callable, got {name!r}")


def _words(text: str) -> list[str]:
    if text.isascii():  # NFKC leaves it as it is
        return _WORD.findall(text.lower())
    return _WORD.findall(unicodedata.normalize("NFKC", text).lower())


def _words_and_pairs(text: str) -> list[str]:
    words = _words(text)
    if text.isascii():
        return words
    found = []
    for word in words:
        hangul = _HANGUL.search(word)
        if hangul is None or len(word) < 3:
            found.append(word)
        else:
            found += [word[i : i + 2] for i in range(len(word) - 1)]
    return found


@cache
def _korean() -> Tokenizer:
    kiwi: Any = import_extra("kiwipiepy", "text", "Korean tokenisation").Kiwi()

    def morphemes(text: str) -> list[str]:
        normal = unicodedata.normalize("NFKC", text)
        return [
            found.form.lower()
            for found in kiwi.tokenize(normal)
            if found.tag.split("-")[0] in _KIWI_TAGS
        ]

    return morphemes
