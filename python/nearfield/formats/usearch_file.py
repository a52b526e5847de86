"""Index files of usearch 2, with 64-bit keys: reading them, and writing them with our graph."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nearfield.errors import IncompatibleVersion
from nearfield.formats.cursor import Cursor
from nearfield.formats.layers import Layers, packed_links

__all__ = ["METRICS", "SCALARS", "UsearchFile", "read_usearch", "write_usearch"]

METRICS = {"ip": ord("i"), "cos": ord("c"), "l2sq": ord("e"), "hamming": ord("b")}
SCALARS = {"f64": 10, "f32": 11, "f16": 12, "bf16": 4, "i8": 23, "b1": 1}
_DTYPES = {"f64": "<f8", "f32": "<f4", "f16": "<f2", "bf16": "<u2", "i8": "i1", "b1": "u1"}
_KEYS, _SLOTS = 14, 15  # 64-bit keys, 32-bit numbers of nodes
_FREE = 2**64 - 1  # key of a node that was removed
_VERSION = (2, 16, 0)


class UsearchFile(NamedTuple):
    """What a file holds apart from its graph."""

    metric: str
    scalar: str
    ndim: int
    connectivity: int
    keys: NDArray[np.uint64]
    """(n,)"""
    rows: NDArray[np.generic]
    """(n, ndim) in the file's own numbers: bfloat16 as uint16, bits packed."""


def read_usearch(source: Path | bytes) -> UsearchFile:
    """Read a file; its graph is left alone, elements that were removed are left out.

    Raises
    ------
    CorruptIndex
        If it is cut short or its numbers do not fit together.
    IncompatibleVersion
        If its metric, numbers or keys are of other kinds.
    """
    file = Cursor(source)
    n, width = file.between("I", "the rows", 0, 2**32 - 2), file.between("I", "a row", 0, 2**24)
    matrix = file.array("u1", n * width, "the vectors").reshape(n, width)
    if bytes(file.array("u1", 7, "the mark")) != b"usearch":
        raise file.broken("the mark 'usearch' must follow the vectors")
    file.array("u1", 6, "the version")
    kinds = [int(kind) for kind in file.array("u1", 4, "the kinds")]
    file.array("u1", 16, "counts")
    ndim = int(file.take("Q", "the dimensions"))
    multi = file.between("B", "multi", 0, 1)
    file.array("u1", 64 - 42, "the head")
    metric = next((name for name, kind in METRICS.items() if kind == kinds[0]), None)
    scalar = next((name for name, kind in SCALARS.items() if kind == kinds[1]), None)
    if metric is None or scalar is None or kinds[2:] != [_KEYS, _SLOTS] or multi:
        message = f"{file.path or 'bytes'}: metric, numbers, keys and slots of kinds {kinds}"
        error = IncompatibleVersion(f"{message}, multi {multi}, are not read")
        error.path, error.found = str(file.path) if file.path else None, str(kinds)
        raise error
    if not 1 <= ndim <= 65_536 or (n and width != _width(scalar, ndim)):
        raise file.broken(f"rows of {ndim} x {scalar} must have another size than {width}")
    keys, connectivity = _keys(file, n)
    file.end()
    live = keys != _FREE
    if len(np.unique(keys[live])) != live.sum():
        raise file.broken("keys must be distinct")
    rows = np.ascontiguousarray(matrix[live]).view(_DTYPES[scalar])
    return UsearchFile(metric, scalar, ndim, connectivity, keys[live], rows)


def _keys(file: Cursor, n: int) -> tuple[NDArray[np.uint64], int]:
    size = file.between("Q", "the nodes", n, n)
    connectivity = file.between("Q", "connectivity", 1, 2**16)
    base = file.between("Q", "connectivity of layer 0", 1, 2**17)
    file.take("Q", "the highest level")
    file.take("Q", "the entry")
    levels = file.array("<i2", size, "the levels").astype(np.int64)
    if size and levels.min() < 0:
        raise file.broken("levels must be at least 0")
    lengths = 10 + 4 + 4 * base + levels * (4 + 4 * connectivity)
    tape = file.array("u1", int(lengths.sum()), "the nodes")
    begins = np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.int64)
    keys = tape[begins[:, None] + np.arange(8)] if size else np.empty((0, 8), np.uint8)
    return np.ascontiguousarray(keys).view("<u8").reshape(-1), connectivity


def write_usearch(file: BinaryIO, held: UsearchFile, graph: Layers) -> None:
    """Write rows and the graph over them, which has 2 * connectivity links in layer 0."""
    n = len(held.keys)
    width = _width(held.scalar, held.ndim)
    file.write(struct.pack("<II", n, width if n else 0))
    file.write(np.ascontiguousarray(held.rows).tobytes())
    head = struct.pack(
        "<7s3H4BQQQB", b"usearch", *_VERSION, METRICS[held.metric], SCALARS[held.scalar], _KEYS,
        _SLOTS, n, 0, held.ndim, 0,
    )  # fmt: skip
    file.write(head.ljust(64, b"\0"))
    c = held.connectivity
    top = max(len(graph.layers) - 1, 0)
    file.write(struct.pack("<5Q", n, c, 2 * c, top, max(graph.entry, 0)))
    file.write(graph.levels.astype("<i2").tobytes())
    if not n:
        return
    nodes = np.zeros((n, 10 + 4 + 8 * c), np.uint8)
    nodes[:, :8] = np.ascontiguousarray(held.keys, "<u8")[:, None].view(np.uint8)
    nodes[:, 8:10] = graph.levels.astype("<i2")[:, None].view(np.uint8)
    nodes[:, 10:] = packed_links(graph.layers[0].links, 2 * c)
    upper: dict[int, list[bytes]] = {}
    for layer in graph.layers[1:]:
        packed = packed_links(layer.links, c)
        for row, links in zip(layer.rows.tolist(), packed, strict=True):
            upper.setdefault(row, []).append(links.tobytes())
    before = 0
    for row in sorted(upper):
        file.write(nodes[before : row + 1].tobytes())
        file.write(b"".join(upper[row]))
        before = row + 1
    file.write(nodes[before:].tobytes())


def _width(scalar: str, ndim: int) -> int:
    if scalar == "b1":
        return (ndim + 7) // 8
    return ndim * np.dtype(_DTYPES[scalar]).itemsize
