"""Writing files that hnswlib 0.8 loads, with our graph in them."""

from __future__ import annotations

import math
import struct
from typing import BinaryIO

import numpy as np

from nearfield.formats.hnswlib_file import HnswlibRows
from nearfield.formats.layers import Layers, packed_links, upper_sizes

__all__ = ["file_size", "write_rows"]


def write_rows(file: BinaryIO, held: HnswlibRows, graph: Layers) -> None:
    """Write rows and the graph over them."""
    n, dim = held.vectors.shape
    m = held.M
    links0 = 4 * (2 * m) + 4
    element = links0 + 4 * dim + 8
    top = len(graph.layers) - 1
    file.write(struct.pack(
        "<6QiI3QdQ", 0, held.max_elements, n, element, element - 8, links0, top,
        graph.entry & 0xFFFFFFFF, m, 2 * m, m, 1 / math.log(m) if m > 1 else math.inf,
        held.ef_construction,
    ))  # fmt: skip
    if n == 0:
        return
    rows = np.zeros((n, element), np.uint8)
    rows[:, :links0] = packed_links(graph.layers[0].links, 2 * m)
    rows[:, 2] |= held.deleted
    rows[:, links0 : element - 8] = np.ascontiguousarray(held.vectors, "<f4").view(np.uint8)
    rows[:, element - 8 :] = np.ascontiguousarray(held.labels, "<i8")[:, None].view(np.uint8)
    rows.tofile(file) if hasattr(file, "fileno") else file.write(rows.tobytes())
    file.write(_upper(graph, m, n))


def file_size(n: int, dim: int, M: int) -> int:
    """Bytes that `write_rows` writes."""
    upper = sum(upper_sizes(n, M)) * (4 * M + 4)
    return 96 + n * (4 * 2 * M + 4 + 4 * dim + 8) + 4 * n + upper


def _upper(graph: Layers, m: int, n: int) -> bytes:
    """For each row: the bytes of its links in the layers above 0, and these from layer 1 up."""
    parts: list[list[bytes]] = [[] for _ in range(n)]
    for layer in graph.layers[1:]:
        for row, packed in zip(layer.rows.tolist(), packed_links(layer.links, m), strict=True):
            parts[row].append(packed.tobytes())
    size = 4 * m + 4
    return b"".join(struct.pack("<I", size * len(own)) + b"".join(own) for own in parts)
