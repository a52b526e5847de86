"""Our graph as the layered graph that hnswlib and faiss keep: for writing their files.

Layer 0 has the links of our own graph. The layers above, which take a search near to its query,
are graphs of the same kind over random samples, each M times smaller than the one below.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from nearfield import _core
from nearfield.hnsw import HNSW
from nearfield.persistence import from_bytes, to_bytes

__all__ = ["Layer", "Layers", "as_layers", "packed_links", "upper_sizes"]

Links = NDArray[np.int32]

_FEW = 256  # below this there is no graph: every vector is measured
_NO_LINK = 2**32 - 1


class Layer(NamedTuple):
    """One layer of a graph."""

    rows: NDArray[np.int64]
    """Rows in it, ascending; all of them in layer 0."""
    links: Links
    """(len(rows), most links) rows linked to; -1 where there are fewer."""


class Layers(NamedTuple):
    """A layered graph over rows 0..n - 1."""

    layers: list[Layer]
    """From layer 0 up; none where there is no row."""
    levels: NDArray[np.int64]
    """(n,) highest layer of each row."""
    entry: int
    """Row where a search begins; -1 where there is none."""


def as_layers(index: HNSW, M: int, seed: int = 0) -> Layers:
    """Give the graph of an index over its rows in the order of `index.ids`.

    Parameters
    ----------
    index : HNSW
        Made with this M, or with the nearest that it takes.
    M : int
        Links in upper layers; layer 0 has twice as many.
    seed : int, default 0
        Of the samples.
    """
    n = len(index)
    if n == 0:
        return Layers([], np.empty(0, np.int64), -1)
    rng = np.random.default_rng(seed)
    layers = [Layer(np.arange(n), _own_links(index, 2 * M))]
    levels = np.zeros(n, np.int64)
    rows = layers[0].rows
    ids = index.ids
    for size in upper_sizes(n, M):
        rows = np.sort(rng.choice(rows, size, replace=False))
        levels[rows] += 1
        vectors = index.get(ids[rows])
        links = _links_of(vectors, M, seed)
        layers.append(Layer(rows, np.where(links >= 0, rows[links], -1).astype(np.int32)))
    vectors = index.get(ids[rows])
    entry = rows[((vectors - vectors.mean(axis=0)) ** 2).sum(axis=1).argmin()]
    return Layers(layers, levels, int(entry))


def upper_sizes(n: int, M: int) -> list[int]:
    """How many rows each layer above layer 0 has."""
    sizes = []
    while n // max(M, 2) >= 1 and n > 2 * M:
        n //= max(M, 2)
        sizes.append(n)
    return sizes


def packed_links(links: Links, degree: int) -> NDArray[np.uint8]:
    """The count and the links of each row as uint32, (n, 4 * degree + 4) bytes."""
    out = np.zeros((len(links), degree + 1), "<u4")
    out[:, 0] = (links >= 0).sum(axis=1)
    out[:, 1 : links.shape[1] + 1] = np.maximum(links, 0)
    return out.view(np.uint8)


def _links_of(vectors: NDArray[np.float32], degree: int, seed: int) -> Links:
    if len(vectors) < _FEW:
        return _measured_links(vectors, degree)
    graph = HNSW(vectors.shape[1], "l2", M=min(max(degree // 2, 4), 128), seed=seed)
    graph.add(vectors)
    return _own_links(graph, degree)


def _own_links(index: HNSW, degree: int) -> Links:
    """The links of the index among its rows."""
    _, fields, arrays = _core.state(index._core)
    if fields["graph.linked"] and fields["graph.dead"]:
        index = from_bytes(to_bytes(index))  # walked through the dead; a copy is mended
        index.optimize()
        _, fields, arrays = _core.state(index._core)
    ids = index.ids
    if not fields["graph.linked"]:
        return _measured_links(index.get(ids), degree)
    nodes = arrays["graph.slots"]
    links = arrays["graph.links"].reshape(len(nodes), -1)
    links = links[:, : links.shape[1] // 2]  # factors follow
    live = nodes != _NO_LINK
    # Slots in ascending order are the rows in the order of ids.
    row_of = np.full(len(nodes), -1, np.int32)
    row_of[live] = np.argsort(np.argsort(nodes[live]))
    out = np.full((len(ids), degree), -1, np.int32)
    found = links[live][:, :degree]
    rows = np.where(found != _NO_LINK, row_of[np.where(found != _NO_LINK, found, 0)], -1)
    out[row_of[live], : rows.shape[1]] = rows
    return out


def _measured_links(vectors: NDArray[np.float32], degree: int) -> Links:
    """Links for few rows: a path through all of them, then the nearest in differing directions."""
    n = len(vectors)
    apart = ((vectors[:, None, :] - vectors[None, :, :]) ** 2).sum(axis=2, dtype=np.float64)
    np.fill_diagonal(apart, np.inf)
    chosen: list[list[int]] = [[] for _ in range(n)]
    at, left = 0, set(range(1, n))
    while left:
        order = np.argsort(apart[at], kind="stable")
        following = next(int(row) for row in order if int(row) in left)
        chosen[at].append(following)
        chosen[following].append(at)
        left.remove(following)
        at = following
    out = np.full((n, degree), -1, np.int32)
    for row in range(n):
        order = np.argsort(apart[row], kind="stable")[: n - 1]
        kept = chosen[row][:degree]
        for spare in (False, True):  # those that no kept one is nearer to, then the nearest
            for other in map(int, order):
                if len(kept) >= degree:
                    break
                hidden = any(apart[other, k] < apart[row, other] for k in kept)
                if other not in kept and (spare or not hidden):
                    kept.append(other)
        out[row, : len(kept)] = kept
    return out
