"""The map as a page: one HTML file that needs nothing else, not even a network."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = ["GREY", "Group", "Label", "Question", "write_page"]

GREY = "#b8bec7"
_SHOWN_CHARACTERS = 300


@dataclass(frozen=True)
class Group:
    """Points of one colour, named beside the map."""

    name: str
    colour: str


@dataclass(frozen=True)
class Label:
    """A name written on the map, larger for more points; with a group, hidden where that is."""

    name: str
    at: tuple[float, float]
    size: int
    group: int | None = None


@dataclass(frozen=True)
class Question:
    """Drawn as a star with lines to the rows that answer it."""

    text: str
    at: tuple[float, float]
    answers: Sequence[int]


def write_page(
    path: Path,
    points: NDArray[np.floating],
    texts: Sequence[str],
    *,
    title: str,
    titles: Sequence[str] | None,
    labels: Sequence[Label],
    members: Sequence[int],
    groups: Sequence[Group],
    grouping: str,
    rest: str = "in none",
    questions: Sequence[Question] = (),
) -> None:
    """Write the page.

    Parameters
    ----------
    path : Path
        The .html file, overwritten.
    points : ndarray, shape (n, 2)
    texts : sequence of str, length n
    title : str
    titles : sequence of str, length n, or None
    labels : sequence of Label
        The most important first: those that would cover an earlier one are left out.
    members : sequence of int, length n
        The group of each point; negative for none.
    groups : sequence of Group
    grouping : str
        What the groups are, for a heading.
    rest : str
        What points of no group are called.
    questions : sequence of Question
    """
    rows = [
        [round(float(x), 3), round(float(y), 3), int(member), name, _shortened(text)]
        for (x, y), member, name, text in zip(
            points, members, titles if titles is not None else [""] * len(texts), texts, strict=True
        )
    ]
    content = {
        "title": title,
        "points": rows,
        "groups": [{"name": group.name, "colour": group.colour} for group in groups],
        "grouping": grouping,
        "rest": rest,
        "grey": GREY,
        "labels": [[one.name, *one.at, one.size, one.group] for one in labels],
        "questions": [
            {"text": one.text, "x": one.at[0], "y": one.at[1], "answers": list(one.answers)}
            for one in questions
        ],
    }
    template = files("nearfield.explore").joinpath("map.html").read_text("utf-8")
    # "</script>" in a text must not end the script, whatever its case.
    data = json.dumps(content, ensure_ascii=False).replace("<", "\\u003c")
    path.write_text(template.replace("/*DATA*/null", data), "utf-8")


def _shortened(text: str) -> str:
    if len(text) <= _SHOWN_CHARACTERS:
        return text
    return text[:_SHOWN_CHARACTERS].rsplit(" ", 1)[0] + " …"
