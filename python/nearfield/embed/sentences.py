"""Where sentences begin and end, by rules that need no package, or by Kiwi for Korean."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from typing import Any

from nearfield._optional import import_extra

__all__ = ["Span", "sentence_spans"]

Span = tuple[int, int]

_KNOWN = (
    """mr mrs ms dr prof st vs etc e.g i.e cf fig eq no vol pp ed al approx inc ltd jr sr u.s"""
)
_ABBREVIATIONS = frozenset(_KNOWN.split())
# A mark that ends a sentence, with the quotes and brackets that close after it, before a space or
# the end; after CJK marks no space is needed. A blank line ends a sentence too.
_END = re.compile(r"[.!?…]+[\"'”’)\]]*(?=\s|$)|[。！？]+[」』”’）]*|\n\s*\n")
_WORD_BEFORE = re.compile(r"[\w.]*$")


def sentence_spans(text: str, splitter: str | Callable[[str], list[Span]] = "rules") -> list[Span]:
    """Give (start, end) of each sentence, blanks at its ends left out.

    Parameters
    ----------
    text : str
    splitter : "rules", "kiwi", or callable, default "rules"
        ``"rules"``: marks followed by a space, with an eye on abbreviations, initials and decimal
        points; any language. ``"kiwi"``: kiwipiepy's analysis of Korean, which also finds ends
        without a mark (extra ``text``). A callable gives spans itself.

    Returns
    -------
    list of (int, int)
        Ascending and disjoint; together they hold every character that is not blank.
    """
    if callable(splitter):
        return list(splitter(text))
    if splitter == "rules":
        return _by_rules(text)
    if splitter == "kiwi":
        found = [(int(s.start), int(s.end)) for s in _kiwi().split_into_sents(text)]
        return _whole(text, found)
    raise ValueError(f"splitter must be 'rules', 'kiwi' or a callable, got {splitter!r}")


def _by_rules(text: str) -> list[Span]:
    cuts = []
    for match in _END.finditer(text):
        if match.group()[0] == "." and len(match.group()) == 1:
            word = _WORD_BEFORE.search(text, max(0, match.start() - 20), match.start())
            before = word.group() if word else ""
            initial = len(before) == 1 and before.isupper()
            if initial or before.lower() in _ABBREVIATIONS:
                continue
        cuts.append(match.end())
    return _whole(text, list(zip([0, *cuts], [*cuts, len(text)], strict=True)))


def _whole(text: str, spans: list[Span]) -> list[Span]:
    """Spans without blanks at their ends; what lay between two of them joins the first."""
    found = []
    starts = [start for start, _ in spans]
    for place, start in enumerate(starts):
        start = 0 if place == 0 else start
        end = starts[place + 1] if place + 1 < len(starts) else len(text)
        part = text[start:end]
        if part.strip():
            begin = start + len(part) - len(part.lstrip())
            found.append((begin, begin + len(part.strip())))
    return found


@cache
def _kiwi() -> Any:
    return import_extra("kiwipiepy", "text", "splitting Korean sentences with kiwi").Kiwi()
