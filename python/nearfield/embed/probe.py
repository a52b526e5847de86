"""Which layer, pooling and metric suit the data: retrieval quality on known answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nearfield._optional import import_extra
from nearfield.embed.pooling import POOLINGS, Layer, check_pooling, layer_weights
from nearfield.evaluate.metrics import Relevant, compare_metrics

__all__ = ["Probe", "ProbeRow", "probe"]


class ProbeRow(NamedTuple):
    """Quality of one way to read the model, as means over queries."""

    layer: str
    pooling: str
    metric: str
    recall: float
    """Share of the relevant documents that are among the first k."""
    mrr: float
    """Mean reciprocal rank of the first relevant document, 0 beyond k."""
    ndcg: float
    """Discounted cumulative gain by grade, over the best possible."""


@dataclass(frozen=True)
class Probe:
    """The table; print() shows it, best nDCG first."""

    model: str
    k: int
    n_queries: int
    rows: list[ProbeRow]

    @property
    def best(self) -> ProbeRow:
        """The way with the highest nDCG."""
        return self.rows[0]

    def __str__(self) -> str:
        head = f"{'layer':>6}  {'pooling':<13}  {'metric':<6}  recall@{self.k:<3}  {'MRR':>7}"
        lines = [f"{head}  {'nDCG':>7}"]
        lines += [
            f"{r.layer:>6}  {r.pooling:<13}  {r.metric:<6}  {r.recall:>10.4f}  {r.mrr:7.4f}"
            f"  {r.ndcg:7.4f}"
            for r in self.rows
        ]
        return "\n".join([*lines, f"{self.model}, {self.n_queries:,} queries"])

    def plot(self, path: str | Path) -> None:
        """Draw nDCG by layer and pooling, the best metric of each; PNG, SVG or PDF by the suffix.

        Raises
        ------
        MissingExtraError
            If matplotlib is not installed.
        """
        figures = import_extra("matplotlib.figure", "viz", "the picture of a probe")
        layers = sorted({row.layer for row in self.rows}, key=_layer_order)
        poolings = list(dict.fromkeys(sorted(row.pooling for row in self.rows)))
        table = np.zeros((len(poolings), len(layers)))
        metrics = {}
        for way in reversed(self.rows):  # the best comes last and stays
            place = poolings.index(way.pooling), layers.index(way.layer)
            table[place], metrics[place] = way.ndcg, way.metric
        size = (2.4 + 0.95 * len(layers), 1.7 + 0.55 * len(poolings))
        figure = figures.Figure(figsize=size, dpi=150, layout="constrained")
        axes: Any = figure.subplots()
        shown = axes.imshow(table, cmap="viridis", aspect="auto")
        middle = (table.min() + table.max()) / 2
        for (row, column), metric in metrics.items():
            dark = table[row, column] < middle
            axes.text(
                column, row, f"{table[row, column]:.3f}\n{metric}", ha="center", va="center",
                fontsize=7, color="white" if dark else "black",
            )  # fmt: skip
        axes.set_xticks(range(len(layers)), layers)
        axes.set_yticks(range(len(poolings)), poolings)
        axes.set_xlabel("layer (0 is the embedding layer)")
        axes.set_title(f"{self.model}: nDCG@{self.k}, {self.n_queries:,} queries", fontsize=10)
        figure.colorbar(shown, ax=axes, fraction=0.04)
        figure.savefig(path)


def probe(
    encoder: Any,
    queries: Sequence[str] | Sequence[tuple[str, str]],
    documents: Sequence[str] | None = None,
    relevant: Relevant | None = None,
    *,
    layers: Sequence[Layer] | None = None,
    poolings: Sequence[str] = POOLINGS,
    k: int = 10,
    threads: int = 0,
) -> Probe:
    """Score every layer, pooling and metric by questions whose answers are known.

    Each text goes through the model once, whatever the number of layers and poolings.

    Parameters
    ----------
    encoder : Encoder
        Of a transformer run by torch; its own layer and pooling are left aside.
    queries : sequence of str, or of (query, document) pairs
        Of pairs, the documents are the corpus, and each query's own answers it.
    documents : sequence of str, optional
        The corpus, where `queries` are plain.
    relevant : sequence, one entry a query, optional
        The documents that answer it: a number, a list of them, or a mapping to grades.
    layers : sequence of layers, optional
        Numbers, or what `Encoder` takes as layer; every layer where not given.
    poolings : sequence of str, default all
    k : int, at least 1, default 10
    threads : int, default 0
        0 means all.

    Returns
    -------
    Probe

    Raises
    ------
    TypeError
        If the encoder's model has no layers.
    ValueError
        If a layer or pooling does not exist, or documents and relevant are not both given.
    """
    model = encoder.model
    if not hasattr(model, "encode_grid"):
        raise TypeError(f"encoder must be of a transformer run by torch, got {encoder.name!r}")
    asked, corpus, answers = _as_relevance(queries, documents, relevant)
    ways = list(range(model.layers + 1)) if layers is None else list(layers)
    for layer in ways:
        layer_weights(layer, model.layers)
    names = check_pooling(poolings)
    found_documents = _grid(encoder, corpus, "document", ways, names)
    found_queries = _grid(encoder, asked, "query", ways, names)
    rows = []
    for (layer, pooling), vectors in found_documents.items():
        compared = compare_metrics(
            vectors, found_queries[layer, pooling], answers, k, threads=threads
        )
        rows += [ProbeRow(layer, pooling, *score) for score in compared.scores]
    rows.sort(key=lambda row: -row.ndcg)
    return Probe(encoder.name, k, len(asked), rows)


def _as_relevance(
    queries: Any, documents: Any, relevant: Any
) -> tuple[list[str], list[str], Relevant]:
    if (documents is None) != (relevant is None):
        raise ValueError("documents and relevant must be given together, got one of them")
    if documents is not None:
        return list(queries), list(documents), relevant
    pairs = list(queries)
    for number, pair in enumerate(pairs):
        if isinstance(pair, str) or len(pair) != 2:
            rule = "queries must be (query, document) pairs where documents are not given"
            raise ValueError(f"{rule}, got {pair!r:.60} at {number}")
    corpus = list(dict.fromkeys(document for _, document in pairs))
    places = {document: place for place, document in enumerate(corpus)}
    return [query for query, _ in pairs], corpus, [places[document] for _, document in pairs]


def _grid(
    encoder: Any, texts: list[str], kind: str, layers: list[Any], poolings: tuple[str, ...]
) -> dict[tuple[str, str], NDArray[np.float32]]:
    found: dict[tuple[str, str], NDArray[np.float32]] = {}
    for rows, vectors in encoder.model.encode_grid(texts, encoder.work(kind), layers, poolings):
        for key, some in vectors.items():
            if key not in found:
                found[key] = np.empty((len(texts), some.shape[1]), dtype=np.float32)
            found[key][rows] = some
    return found


def _layer_order(layer: str) -> tuple[int, str]:
    return (int(layer), "") if layer.lstrip("-").isdigit() else (10**6, layer)
