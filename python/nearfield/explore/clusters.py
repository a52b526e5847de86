"""Groups of any shape and number, read from the graph of nearest neighbours: HDBSCAN."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nearfield.explore.graph import KnnGraph

__all__ = ["hdbscan"]


def hdbscan(
    graph: KnnGraph, min_cluster_size: int = 10, min_samples: int | None = None
) -> NDArray[np.int64]:
    """Find dense groups and what lies between them.

    HDBSCAN [1]_ on the edges of a graph of nearest neighbours instead of all pairs: distances
    are raised to the core distances of both ends, a minimum spanning forest is cut from far to
    near, and the groups that persist longest are kept.

    Parameters
    ----------
    graph : KnnGraph
        Of k >= min_samples neighbours.
    min_cluster_size : int, at least 2, default 10
        A smaller group is noise.
    min_samples : int, in 1..k, optional
        Neighbours whose farthest makes the core distance: more of them call more points noise.
        The smaller of min_cluster_size and k where not given.

    Returns
    -------
    ndarray, shape (n,), int64
        Group of each point, 0 the largest; -1 for noise.

    Notes
    -----
    O(n k log(n k)). Parts that the graph does not connect are groups apart.

    References
    ----------
    .. [1] Campello, Moulavi & Sander, "Density-Based Clustering Based on Hierarchical Density
       Estimates", PAKDD 2013; McInnes & Healy, "Accelerated Hierarchical Density Based
       Clustering", arXiv:1705.07321.
    """
    n, k = graph.neighbors.shape
    if min_cluster_size < 2:
        raise ValueError(f"min_cluster_size must be at least 2, got {min_cluster_size}")
    samples = min(min_cluster_size, k) if min_samples is None else min_samples
    if not 1 <= samples <= k:
        raise ValueError(f"min_samples must be in 1..{k}, got {samples}")
    left, right, heights = _merges(graph, samples)
    selected = _selected(left, right, heights, n, min_cluster_size)
    return _numbered(selected, left, right, n)


def _merges(
    graph: KnnGraph, samples: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Single linkage: merge i joins nodes left[i] and right[i] into node n + i.

    Parts without an edge between them are joined last, at infinity.
    """
    n, k = graph.neighbors.shape
    core = graph.distances[:, samples - 1].astype(np.float64)
    heads = np.repeat(np.arange(n), k)
    tails = graph.neighbors.ravel()
    far = np.maximum(np.maximum(core[heads], core[tails]), graph.distances.ravel())
    order = np.lexsort((tails, heads, far))
    parent = np.arange(2 * n - 1)
    left: list[int] = []
    right: list[int] = []
    heights: list[float] = []

    def root(node: int) -> int:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = int(parent[node])
        return node

    def join(a: int, b: int, height: float) -> None:
        a, b = root(a), root(b)
        if a != b:
            made = n + len(left)
            parent[a] = parent[b] = made
            left.append(a)
            right.append(b)
            heights.append(height)

    for edge in order.tolist():
        if len(left) == n - 1:
            break
        join(int(heads[edge]), int(tails[edge]), float(far[edge]))
    for point in range(1, n):
        join(0, point, np.inf)
    return np.array(left), np.array(right), np.array(heights)


def _selected(
    left: NDArray[np.int64],
    right: NDArray[np.int64],
    heights: NDArray[np.float64],
    n: int,
    least: int,
) -> list[int]:
    """Nodes of the tree that are groups: those of greatest excess of mass, none within another.

    A node of the condensed tree begins where both sides of a merge are large enough. Its
    stability is the sum over its points of the density, 1 / distance, at which each leaves it,
    less the density at which it began.
    """
    sizes = np.ones(2 * n - 1, dtype=np.int64)
    for merge in range(n - 1):
        sizes[n + merge] = sizes[left[merge]] + sizes[right[merge]]
    density = np.zeros(2 * n - 1)
    density[n:] = 1 / np.maximum(heights, 1e-12)
    top = 2 * n - 2
    begin = {top: 0.0}  # node at which a group begins -> its density there
    owner = {top: top}
    stability = {top: 0.0}
    children: dict[int, list[int]] = {top: []}
    for node in range(top, n - 1, -1):
        if node not in owner:
            continue
        group, at = owner[node], density[node]
        sides = [int(left[node - n]), int(right[node - n])]
        large = [side for side in sides if sizes[side] >= least]
        for side in sides:
            if len(large) == 2:
                stability[group] += sizes[side] * (at - begin[group])
                begin[side], stability[side], children[side] = at, 0.0, []
                children[group].append(side)
                owner[side] = side
            elif side in large:
                owner[side] = group
            else:
                stability[group] += sizes[side] * (at - begin[group])
    chosen: dict[int, list[int]] = {}
    for group in sorted(stability):  # children before parents: their numbers are smaller
        below = sum(stability[child] for child in children[group])
        if children[group] and (below >= stability[group] or group == top):
            stability[group] = below
            chosen[group] = [node for child in children[group] for node in chosen[child]]
        else:
            chosen[group] = [group]
    return [group for group in chosen[top] if sizes[group] >= least]


def _numbered(
    selected: list[int], left: NDArray[np.int64], right: NDArray[np.int64], n: int
) -> NDArray[np.int64]:
    labels = np.full(n, -1, dtype=np.int64)
    groups = []
    for node in selected:
        members, pending = [], [node]
        while pending:
            node = pending.pop()
            if node < n:
                members.append(node)
            else:
                pending += [int(left[node - n]), int(right[node - n])]
        groups.append(sorted(members))
    groups.sort(key=lambda members: (-len(members), members[0]))
    for number, members in enumerate(groups):
        labels[members] = number
    return labels
