"""Pictures of vectors and of measurements. matplotlib is imported only when a picture is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nearfield._optional import import_extra
from nearfield.flat import Flat
from nearfield.progress import Progress, reporting

__all__ = ["RecallSpeed", "layout", "plot_recall_qps"]


def layout(
    vectors: ArrayLike,
    *,
    neighbors: int = 15,
    steps: int = 1000,
    seed: int = 0,
    progress: Progress = False,
) -> NDArray[np.float32]:
    """Place vectors on a plane so that near ones stay near.

    Parameters
    ----------
    vectors : array_like, shape (n, dim)
        Compared by cosine distance; no row may be zero.
    neighbors : int, >= 1, default 15
        Nearest neighbours of each vector that pull at it.
    steps : int, >= 1, default 1000
        Moves of each point.
    seed : int, default 0
        The same seed gives the same picture on the same machine.
    progress : bool or callable, default False
        True shows a bar on stderr; a callable is called with ``(done, total)``.

    Returns
    -------
    ndarray, shape (n, 2), float32

    Notes
    -----
    Starts from the two main directions of the vectors, then samples one neighbour and five random
    points for each point and step: the neighbour pulls and the others push, as in [1]_ and [2]_
    with the kernel 1 / (1 + d^2). A step moves all points at once. O(n dim (n + dim)) for the
    exact neighbours, O(n steps) for the moves: 8,000 points take seconds. Distances between far
    groups mean little.

    References
    ----------
    .. [1] Tang et al., "Visualizing Large-scale and High-dimensional Data", arXiv:1602.00370.
    .. [2] McInnes, Healy & Melville, "UMAP", arXiv:1802.03426.
    """
    vectors = np.asarray(vectors, dtype=np.float32)
    n = len(vectors)
    points = _main_directions(vectors)
    if n < 3:
        return points
    tails, cumulated, starts = _sampling_lists(vectors, min(neighbors, n - 1))
    rng = np.random.default_rng(seed)
    with reporting(progress, "laying out the map", "steps") as report:
        for step in range(steps):
            drawn = np.searchsorted(cumulated, starts[:-1] + rng.random(n) * np.diff(starts))
            pull = points - points[tails[np.minimum(drawn, len(tails) - 1)]]
            move = -2 * pull / (1 + _squared(pull))
            push = points[:, None] - points[rng.integers(0, n, (n, 5))]
            squared = _squared(push)
            move += np.clip(2 * push / ((0.01 + squared) * (1 + squared)), -4, 4).sum(axis=1)
            rate = 0.5 * (1 - step / steps)
            points += np.float32(rate) * np.clip(move, -4, 4).astype(np.float32)
            if report is not None:
                report(step + 1, steps)
    return points


def _squared(differences: NDArray[np.float32]) -> NDArray[np.float32]:
    squared: NDArray[np.float32] = np.square(differences).sum(axis=-1, keepdims=True)
    return squared


def _main_directions(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Project on the two directions of most variance, spread to a width that the moves suit."""
    centred = vectors - vectors.mean(axis=0)
    _, directions = np.linalg.eigh(centred.T @ centred)
    points = np.zeros((len(vectors), 2), dtype=np.float32)
    found = centred @ directions[:, :-3:-1]  # one column where dim is 1
    points[:, : found.shape[1]] = found
    return points * np.float32(5 / max(float(points.std()), 1e-9))


def _sampling_lists(
    vectors: NDArray[np.float32], neighbors: int
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Neighbours of each point, and points whose neighbour it is, ready to be drawn by weight.

    Returns `tails`, sorted by the point they belong to; their weights cumulated; and for each
    point, and for the end, where its part of the cumulated weights begins.
    """
    n = len(vectors)
    index = Flat(vectors.shape[1], metric="cosine")
    index.add(vectors)
    hits = index.search(vectors, k=neighbors + 1)
    others = hits.ids != np.arange(n)[:, None]
    others[others.all(axis=1), -1] = False  # a crowd of equal vectors hid the point itself
    ids = hits.ids[others].reshape(n, neighbors)
    distances = hits.distances[others].reshape(n, neighbors)
    nearest, farthest = distances[:, :1], distances[:, -1:]
    weights = np.exp(-2 * (distances - nearest) / np.maximum(farthest - nearest, 1e-9)).ravel()

    owners = np.repeat(np.arange(n), neighbors)
    heads = np.concatenate([owners, ids.ravel()])
    order = np.argsort(heads, kind="stable")
    tails = np.concatenate([ids.ravel(), owners])[order]
    cumulated = np.cumsum(np.concatenate([weights, weights])[order], dtype=np.float64)
    bounds = np.searchsorted(heads[order], np.arange(n + 1))
    return tails, cumulated, np.concatenate([[0.0], cumulated])[bounds]


class RecallSpeed(Protocol):
    """One measured setting."""

    @property
    def name(self) -> str: ...
    @property
    def recall(self) -> float: ...
    @property
    def qps(self) -> float: ...


def plot_recall_qps(rows: Sequence[RecallSpeed], path: str | Path, *, title: str, k: int) -> None:
    """Draw recall@k against queries a second and write the picture to `path`.

    Parameters
    ----------
    rows : sequence
        Each has a `name`, a `recall` in [0, 1] and a `qps` > 0. The part of the name before the
        first comma names a line; what follows names the point on it.
    path : path
        Its suffix decides the format: .png, .svg, .pdf.
    title : str
        What was measured, on what.
    k : int
        Neighbours asked for.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    figure_module = import_extra("matplotlib.figure", "viz", "the recall and speed picture")
    ticker = import_extra("matplotlib.ticker", "viz", "the recall and speed picture")
    figure = figure_module.Figure(figsize=(8, 5), dpi=150, layout="constrained")
    axes = figure.subplots()
    lines: dict[str, list[RecallSpeed]] = {}
    for row in rows:
        lines.setdefault(row.name.split(",")[0], []).append(row)
    for name, points in lines.items():
        knob = all("=" in point.name for point in points)  # settings of one knob make a line
        axes.plot(
            [point.recall for point in points], [point.qps for point in points],
            "o-" if knob else "o", label=name, zorder=3,
        )  # fmt: skip
        for point in points:
            axes.annotate(
                point.name.partition(", ")[2], (point.recall, point.qps),
                (-7, -4) if knob else (-8, 0), textcoords="offset points", ha="right",
                va="top" if knob else "center", fontsize=8, color="#444444",
            )  # fmt: skip
    lowest = min(row.recall for row in rows)
    axes.set_xlim(min(0.94, lowest - 0.02), 1.004)
    axes.set_yscale("log")
    axes.set_ylim(min(row.qps for row in rows) / 2, max(row.qps for row in rows) * 2)
    axes.yaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:,.0f}")
    axes.yaxis.set_minor_formatter(ticker.NullFormatter())
    axes.set_xlabel(f"recall@{k} (further right is better)")
    axes.set_ylabel("queries a second (higher is better)")
    axes.set_title(title, fontsize=10)
    axes.grid(color="#e5e5e5", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=9, loc="lower left")
    figure.savefig(path)
