"""Maps of texts: points on a plane, near where their vectors are, as a page or a picture."""

from __future__ import annotations

import colorsys
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nearfield._optional import import_extra
from nearfield.arrays import as_matrix
from nearfield.explore.graph import KnnGraph, knn_graph
from nearfield.explore.page import GREY, Group, Label, write_page
from nearfield.explore.topics import Topics
from nearfield.viz import layout

__all__ = ["map_points", "write_map"]

# Fonts with Hangul, where they are installed, after matplotlib's own.
_FONTS = ("DejaVu Sans", "Noto Sans CJK KR", "Noto Sans CJK JP", "NanumGothic", "Malgun Gothic",
          "Apple SD Gothic Neo")  # fmt: skip


def map_points(
    vectors: ArrayLike,
    *,
    method: str = "auto",
    neighbors: int = 15,
    metric: str = "cosine",
    seed: int = 0,
) -> NDArray[np.float32]:
    """Place vectors on a plane so that near ones stay near.

    Parameters
    ----------
    vectors : array_like, shape (n, dim)
    method : "auto", "umap", "tsne" or "layout", default "auto"
        UMAP [1]_ by umap-learn and t-SNE by scikit-learn (extra ``viz``) are fed with our graph of
        nearest neighbours and do not search for them again. ``"layout"`` is `nearfield.viz.layout`
        and needs neither; "auto" takes UMAP if it is installed, else that.
    neighbors : int, at least 2, default 15
    metric : str, default "cosine"
    seed : int, default 0

    Returns
    -------
    ndarray, shape (n, 2), float32

    Raises
    ------
    ValueError
        If the method is unknown or neighbors below 2.
    MissingExtraError
        If the method's package is not installed.

    References
    ----------
    .. [1] McInnes, Healy & Melville, arXiv:1802.03426.
    """
    known = ("auto", "umap", "tsne", "layout")
    if method not in known:
        names = ", ".join(repr(name) for name in known)
        raise ValueError(f"method must be one of {names}, got {method!r}")
    if neighbors < 2:
        raise ValueError(f"neighbors must be at least 2, got {neighbors}")
    rows = np.atleast_2d(as_matrix(vectors, "vectors"))
    if method == "auto":
        method = "umap" if _has_umap() else "layout"
    if method == "layout" or len(rows) < 2 * neighbors:  # too few for a graph of them
        return layout(rows, neighbors=neighbors, seed=seed)
    place = _umap if method == "umap" else _tsne
    return place(rows, knn_graph(rows, neighbors, metric=metric), seed)


def _has_umap() -> bool:
    from importlib.util import find_spec

    return find_spec("umap") is not None


def _with_self(graph: KnnGraph) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Neighbours with the point itself first, as UMAP and scikit-learn count them."""
    n = len(graph.neighbors)
    ids = np.concatenate([np.arange(n)[:, None], graph.neighbors], axis=1)
    far = np.maximum(graph.distances, 0)
    distances = np.concatenate([np.zeros((n, 1), np.float32), far], axis=1)
    return ids, distances


def _umap(rows: NDArray[np.float32], graph: KnnGraph, seed: int) -> NDArray[np.float32]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about one thread for a fixed seed, and others' futures
        umap = import_extra("umap", "viz", "a map by UMAP")
        ids, distances = _with_self(graph)
        model = umap.UMAP(
            n_neighbors=ids.shape[1], metric="cosine", random_state=seed,
            precomputed_knn=(ids, distances, None),
        )  # fmt: skip
        points: NDArray[np.float32] = np.asarray(model.fit_transform(rows), dtype=np.float32)
    return points


def _tsne(rows: NDArray[np.float32], graph: KnnGraph, seed: int) -> NDArray[np.float32]:
    manifold = import_extra("sklearn.manifold", "viz", "a map by t-SNE")
    sparse = import_extra("scipy.sparse", "viz", "a map by t-SNE")
    ids, distances = _with_self(graph)
    n, k = ids.shape
    # Equal vectors are at distance 0, which a sparse matrix would take for no neighbour.
    values = np.maximum(distances, 1e-7)
    values[:, 0] = 0
    matrix = sparse.csr_matrix(
        (values.ravel(), ids.ravel(), np.arange(0, n * k + 1, k)), shape=(n, n)
    )
    model = manifold.TSNE(
        metric="precomputed", init="random", random_state=seed, perplexity=max(1.0, (k - 2) / 3)
    )
    points: NDArray[np.float32] = np.asarray(model.fit_transform(matrix), dtype=np.float32)
    return points


def write_map(
    path: str | Path,
    points: ArrayLike,
    texts: Sequence[str],
    *,
    topics: Topics | None = None,
    titles: Sequence[str] | None = None,
    title: str = "Map of texts",
) -> None:
    """Write the map of texts.

    Parameters
    ----------
    path : path
        ``.html``: one page that needs nothing else, to point at, search, zoom and colour by topic.
        ``.png``, ``.svg`` or ``.pdf``: a picture (extra ``viz``).
    points : array_like, shape (n, 2)
        Of `map_points`.
    texts : sequence of str, length n
    topics : Topics, optional
        Colours and names.
    titles : sequence of str, length n, optional
        A line that names each text.
    title : str, default "Map of texts"

    Raises
    ------
    ValueError
        If lengths differ, points are not finite, or the suffix is another.
    """
    path = Path(path)
    places = np.asarray(points, dtype=np.float64)
    n = len(texts)
    if places.shape != (n, 2) or not np.isfinite(places).all():
        raise ValueError(f"points must be finite and of shape ({n}, 2), got {places.shape}")
    if titles is not None and len(titles) != n:
        raise ValueError(f"titles must have one entry a text ({n}), got {len(titles)}")
    if topics is not None and len(topics.labels) != n:
        raise ValueError(f"topics must have one label a text ({n}), got {len(topics.labels)}")
    labels = np.zeros(n, np.int64) if topics is None else topics.labels
    names = ["texts"] if topics is None else [topics.name(i) for i in range(len(topics))]
    colours = _colours(len(names))
    if path.suffix == ".html":
        shown = [
            Label(name, _middle(places[labels == number]), int((labels == number).sum()), number)
            for number, name in enumerate(names if len(names) > 1 else [])
        ]
        write_page(
            path, places, texts, title=title, titles=titles, labels=shown, members=labels.tolist(),
            groups=[Group(*both) for both in zip(names, colours, strict=True)], grouping="Topics",
            rest="in no topic",
        )  # fmt: skip
    elif path.suffix in (".png", ".svg", ".pdf"):
        _write_picture(path, places, labels, names, colours, title)
    else:
        raise ValueError(f"path must end in .html, .png, .svg or .pdf, got {path}")


def _colours(count: int) -> list[str]:
    """Hues a golden angle apart, so that topics of like size differ; three shades in turn."""
    found = []
    for number in range(count):
        light, strong = ((0.42, 0.75), (0.58, 0.65), (0.34, 0.55))[number % 3]
        rgb = colorsys.hls_to_rgb((0.58 + number * 0.381966) % 1, light, strong)
        found.append("#" + "".join(f"{round(255 * part):02x}" for part in rgb))
    return found


def _middle(places: NDArray[np.float64]) -> tuple[float, float]:
    """The member nearest to the median: a name stands where there are points."""
    if not len(places):
        return 0.0, 0.0
    centre = np.median(places, axis=0)
    nearest = places[np.square(places - centre).sum(axis=1).argmin()]
    return round(float(nearest[0]), 3), round(float(nearest[1]), 3)


def _write_picture(
    path: Path,
    places: NDArray[np.float64],
    labels: NDArray[np.int64],
    names: list[str],
    colours: list[str],
    title: str,
) -> None:
    figure_module = import_extra("matplotlib.figure", "viz", "a picture of the map")
    figure = figure_module.Figure(figsize=(10, 8), dpi=150, layout="constrained")
    axes: Any = figure.subplots()
    size = float(np.clip(3000 / max(1, len(places)), 1.5, 30))
    manager = import_extra("matplotlib.font_manager", "viz", "a picture of the map").fontManager
    known = {font.name for font in manager.ttflist}
    fonts = [name for name in _FONTS if name in known]
    rest = labels < 0
    axes.scatter(*places[rest].T, s=size, c=GREY, alpha=0.5, linewidths=0)
    for number, colour in enumerate(colours):
        axes.scatter(*places[labels == number].T, s=size, c=colour, alpha=0.75, linewidths=0)
    for number, name in enumerate(names[:20]):
        if len(names) > 1:
            x, y = _middle(places[labels == number])
            axes.annotate(
                name, (x, y), ha="center", fontsize=7.5, color="#1f2933", fontfamily=fonts,
                bbox={"boxstyle": "round,pad=0.2", "fc": "white", "ec": "none", "alpha": 0.75},
            )  # fmt: skip
    axes.set_title(title, loc="left", fontsize=11, fontfamily=fonts)
    axes.set_axis_off()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # shown as boxes
        figure.savefig(path)
