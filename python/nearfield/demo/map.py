"""The map of the embedding space: one HTML file that needs nothing else, not even a network."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nearfield.demo.corpus import Passage

__all__ = ["MapQuestion", "write_map"]

_MIN_GROUP = 25
_SHOWN_CHARACTERS = 240


@dataclass(frozen=True)
class MapQuestion:
    """A question, where it lies, and the rows of the passages that answer it."""

    text: str
    point: tuple[float, float]
    answers: Sequence[int]


def write_map(
    path: Path,
    passages: Sequence[Passage],
    points: NDArray[np.float32],
    questions: Sequence[MapQuestion],
    title: str,
) -> None:
    """Write the map.

    Parameters
    ----------
    path : Path
        The .html file, overwritten.
    passages : sequence of Passage, length n
    points : ndarray, shape (n, 2)
        Where each passage lies.
    questions : sequence of MapQuestion
        Drawn as stars, with lines to their answers.
    title : str
        Heading of the page.
    """
    content = {
        "title": title,
        "points": [
            [round(float(x), 3), round(float(y), 3), passage.language, passage.title,
             _shortened(passage.text)]
            for (x, y), passage in zip(points, passages, strict=True)
        ],
        "questions": [
            {"text": question.text, "x": question.point[0], "y": question.point[1],
             "answers": list(question.answers)}
            for question in questions
        ],
        "labels": _labels(passages, points),
    }  # fmt: skip
    template = files("nearfield.demo").joinpath("map.html").read_text("utf-8")
    # "</script>" in a text must not end the script, whatever its case.
    data = json.dumps(content, ensure_ascii=False).replace("<", "\\u003c")
    path.write_text(template.replace("/*DATA*/null", data), "utf-8")


def _shortened(text: str) -> str:
    if len(text) <= _SHOWN_CHARACTERS:
        return text
    return text[:_SHOWN_CHARACTERS].rsplit(" ", 1)[0] + " ..."


def _labels(
    passages: Sequence[Passage], points: NDArray[np.float32]
) -> list[tuple[str, float, float, int]]:
    """Names of modules or files, at the place where their passages are densest.

    A module whose passages are scattered all over the map gets no label: it would mislead.
    Gives (name, x, y, passages), the largest first.
    """
    groups: dict[str, list[int]] = {}
    for row, passage in enumerate(passages):
        groups.setdefault(passage.title.split(".")[0], []).append(row)
    radius = 0.06 * float(np.ptp(points, axis=0).max())
    labels = []
    for name, rows in groups.items():
        if len(rows) < _MIN_GROUP:
            continue
        members = points[rows]
        distances = np.linalg.norm(members[:, None] - members[None], axis=2)
        near = distances < radius
        densest = int(near.sum(axis=1).argmax())
        if near[densest].mean() >= 0.3:
            x, y = np.median(members[near[densest]], axis=0)
            labels.append((name, float(x), float(y), len(rows)))
    return sorted(labels, key=lambda label: -label[3])
