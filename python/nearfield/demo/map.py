"""The map of the demo: passages by language, named by module, with questions and their answers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nearfield.demo.corpus import Passage
from nearfield.explore.page import Group, Label, Question, write_page

__all__ = ["write_map"]

_MIN_GROUP = 25
_LANGUAGES = {"en": Group("English", "#2f6db3"), "ko": Group("Korean", "#d9580d")}


def write_map(
    path: Path,
    passages: Sequence[Passage],
    points: NDArray[np.float32],
    questions: Sequence[Question],
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
    questions : sequence of Question
    title : str
        Heading of the page.
    """
    spoken = [language for language in _LANGUAGES if any(p.language == language for p in passages)]
    write_page(
        path, points, [passage.text for passage in passages], title=title,
        titles=[passage.title for passage in passages], labels=_labels(passages, points),
        members=[spoken.index(passage.language) for passage in passages],
        groups=[_LANGUAGES[language] for language in spoken], grouping="Languages",
        questions=questions,
    )  # fmt: skip


def _labels(passages: Sequence[Passage], points: NDArray[np.float32]) -> list[Label]:
    """Names of modules or files, at the place where their passages are densest, largest first.

    A module whose passages are scattered all over the map gets no label: it would mislead.
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
            labels.append(Label(name, (float(x), float(y)), len(rows)))
    return sorted(labels, key=lambda label: -label.size)
