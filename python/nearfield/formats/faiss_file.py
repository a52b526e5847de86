"""Index files of faiss (`write_index`), as version 1.7 to 1.15 write them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nearfield.errors import IncompatibleVersion
from nearfield.flat import Flat
from nearfield.formats.cursor import Cursor
from nearfield.formats.faiss_codes import ProductCodes, ScalarCodes, codes_of_lists
from nearfield.hnsw import HNSW

__all__ = ["list_sizes", "read_faiss"]

_MOST_ROWS = 2**32 - 2
_MOST_DIM = 65_536
_MOST_NESTING = 5  # an id map round a graph round codes is three
_METRICS = {0: "dot", 1: "l2"}


class _Part(NamedTuple):
    """What an index of the file holds, decoded."""

    metric: str
    vectors: NDArray[np.float32]
    ids: NDArray[np.int64] | None
    graph: bool
    M: int | None = None
    ef_construction: int | None = None


class _Head(NamedTuple):
    dim: int
    n: int
    metric: str


def read_faiss(
    path: str | os.PathLike[str],
    *,
    metric: str | None = None,
    kind: str | None = None,
    **params: Any,
) -> Flat | HNSW:
    """Take over the vectors and ids of an index file of faiss.

    Parameters
    ----------
    path : path-like
        IndexFlat, IndexScalarQuantizer, IndexPQ, IndexHNSWFlat, IndexHNSWSQ, IndexHNSWPQ,
        IndexIVFFlat, IndexIVFScalarQuantizer, IndexIVFPQ, IndexRefineFlat, and IndexIDMap or
        IndexIDMap2 round any of them.
    metric : {"cosine", "dot", "l2"}, optional
        None takes the file's. faiss has no cosine: say it where the vectors were scaled to norm 1.
    kind : {"flat", "hnsw"}, optional
        What to make; None makes a Flat of flat and IVF indexes and an HNSW of graphs.
    **params
        For the constructor of `nearfield.Flat` or `nearfield.HNSW`; M and ef_construction are the
        file's where they are not given.

    Returns
    -------
    Flat or HNSW

    Raises
    ------
    CorruptIndex
        If the file is cut short or its numbers do not fit together.
    IncompatibleVersion
        If it holds an index of a type that is not read; `found` names it.
    ValueError
        If a vector is not finite, or `kind` is another.

    Notes
    -----
    Codes are decoded: an index of lists or codes gives the vectors that its codes stand for. Graphs
    are built anew, as one layer of low-bit codes has other links than the file's layers. Nothing in
    the file is believed: every count is compared with its length.
    """
    if kind not in (None, "flat", "hnsw"):
        raise ValueError(f"kind must be 'flat', 'hnsw' or None, got {kind!r}")
    file = Cursor(Path(path))
    part = _read(file, 0)
    file.end()
    chosen = kind or ("hnsw" if part.graph else "flat")
    dim, metric = part.vectors.shape[1], metric or part.metric
    index: Flat | HNSW
    if chosen == "hnsw":
        known = {"M": part.M, "ef_construction": part.ef_construction}
        params = {**{name: value for name, value in known.items() if value}, **params}
        index = HNSW(dim, metric, **params)
    else:
        index = Flat(dim, metric, **params)
    if len(part.vectors):
        index.add(part.vectors, ids=part.ids)
    return index


def _read(file: Cursor, depth: int) -> _Part:
    if depth > _MOST_NESTING:
        raise file.broken(f"indexes must be nested at most {_MOST_NESTING} deep")
    kind = _fourcc(file)
    if kind in ("IxMp", "IxM2"):
        return _id_map(file, depth)
    if kind == "IxRF":
        return _refined(file, depth)
    readers = {
        "IxFI": _flat, "IxF2": _flat, "IxFl": _flat, "IxSQ": _scalar, "IxPq": _product,
        "IwFl": _lists, "IwSq": _lists, "IwPQ": _lists,
        "IHNf": _graph, "IHNs": _graph, "IHNp": _graph,
    }  # fmt: skip
    if kind not in readers:
        known = ", ".join([*readers, "IxMp", "IxM2", "IxRF"])
        message = f"{file.path}: holds an index of type {kind!r}, of faiss's types {known} are read"
        error = IncompatibleVersion(message)
        error.path, error.found, error.supported = str(file.path), kind, known
        raise error
    return readers[kind](file, kind, depth)


def _fourcc(file: Cursor) -> str:
    return bytes(file.array("u1", 4, "the type of an index")).decode("latin-1")


def _head(file: Cursor) -> _Head:
    dim = file.between("i", "d", 1, _MOST_DIM)
    n = file.between("q", "ntotal", 0, _MOST_ROWS)
    file.array("u1", 16, "the header")
    file.between("B", "is_trained", 0, 1)
    metric = file.take("i", "the metric")
    if metric not in _METRICS:
        raise file.broken(f"the metric must be 0 (inner product) or 1 (L2), got {metric}")
    return _Head(dim, n, _METRICS[metric])


def _rows(file: Cursor, head: _Head, width: int) -> NDArray[np.uint8]:
    codes = file.vector("u1", "codes")
    if len(codes) != head.n * width:
        raise file.broken(f"codes must have {head.n} x {width} bytes, got {len(codes)}")
    return codes.reshape(head.n, width)


def _flat(file: Cursor, kind: str, depth: int) -> _Part:
    head = _head(file)
    values = file.vector("<f4", "vectors")
    if len(values) != head.n * head.dim:
        raise file.broken(f"vectors must have {head.n} x {head.dim} values, got {len(values)}")
    return _Part(head.metric, values.reshape(head.n, head.dim), None, False)


def _scalar(file: Cursor, kind: str, depth: int) -> _Part:
    head = _head(file)
    codes = ScalarCodes.read(file, head.dim)
    return _Part(head.metric, codes.decode(_rows(file, head, codes.width)), None, False)


def _product(file: Cursor, kind: str, depth: int) -> _Part:
    head = _head(file)
    codes = ProductCodes.read(file, head.dim)
    vectors = codes.decode(_rows(file, head, codes.width))
    file.take("i", "search_type")
    file.between("B", "encode_signs", 0, 1)
    file.take("i", "polysemous_ht")
    return _Part(head.metric, vectors, None, False)


def _graph(file: Cursor, kind: str, depth: int) -> _Part:
    head = _head(file)
    file.vector("<f8", "assign_probas")
    per_level = file.vector("<i4", "cum_nneighbor_per_level")
    file.vector("<i4", "levels")
    file.vector("<u8", "offsets")
    file.vector("<i4", "neighbors")
    file.take("i", "entry_point")
    file.take("i", "max_level")
    ef_construction = file.take("i", "efConstruction")
    file.take("i", "efSearch")
    file.take("i", "upper_beam")
    stored = _read(file, depth + 1)
    _same(file, head, stored)
    m = int(per_level[1]) // 2 if len(per_level) > 1 else 16  # level 0 has 2 M links
    return stored._replace(
        graph=True,
        M=min(max(m, 4), 128),
        ef_construction=min(max(int(ef_construction), 1), 65_536),
    )


def _id_map(file: Cursor, depth: int) -> _Part:
    head = _head(file)
    inner = _read(file, depth + 1)
    ids = file.vector("<i8", "the id map")
    if len(ids) != head.n or len(inner.vectors) != head.n:
        raise file.broken(f"the id map must have {head.n} entries, got {len(ids)}")
    if inner.ids is not None:  # lists hold row numbers, in their own order
        if len(inner.ids) and (inner.ids.min() < 0 or inner.ids.max() >= head.n):
            raise file.broken(f"rows of lists must be below {head.n}")
        ids = ids[inner.ids]
    return inner._replace(ids=_distinct(file, ids))


def _refined(file: Cursor, depth: int) -> _Part:
    head = _head(file)
    base = _read(file, depth + 1)
    exact = _read(file, depth + 1)
    file.take("f", "k_factor")
    _same(file, head, exact)
    return exact._replace(graph=base.graph, M=base.M, ef_construction=base.ef_construction)


def _same(file: Cursor, head: _Head, part: _Part) -> None:
    if part.vectors.shape != (head.n, head.dim):
        shape = part.vectors.shape
        raise file.broken(f"an inner index must hold {head.n} x {head.dim}, got {shape}")


def _lists(file: Cursor, kind: str, depth: int) -> _Part:
    head = _head(file)
    nlist = file.between("Q", "nlist", 1, 2**31)
    file.take("Q", "nprobe")
    centroids = _read(file, depth + 1).vectors
    if centroids.shape != (nlist, head.dim):
        raise file.broken(f"centroids must be {nlist} x {head.dim}, got {centroids.shape}")
    codes, residual = codes_of_lists(file, kind, head.dim)
    width = codes.width if codes else 4 * head.dim
    vectors = np.empty((head.n, head.dim), np.float32)
    ids = np.empty(head.n, np.int64)
    at = 0
    for number, size in list_sizes(file, nlist, width):
        if size > head.n - at:
            raise file.broken(f"lists must hold {head.n} vectors together, got more")
        rows = file.array("u1", size * width, "a list").reshape(size, width)
        ids[at : at + size] = file.array("<i8", size, "ids of a list")
        decoded = codes.decode(rows) if codes else rows.view("<f4")
        with np.errstate(invalid="ignore", over="ignore"):  # add() names what is not finite
            vectors[at : at + size] = decoded + centroids[number] if residual else decoded
        at += size
    if at != head.n:
        raise file.broken(f"lists must hold {head.n} vectors together, got {at}")
    return _Part(head.metric, vectors, _distinct(file, ids), False)


def list_sizes(file: Cursor, nlist: int, width: int) -> list[tuple[int, int]]:
    """Take the head of inverted lists: number and size of each that follows."""
    kind = _fourcc(file)
    if kind == "il00":
        return []
    if kind != "ilar":
        raise file.broken(f"lists must be in the file (type ilar), got {kind!r}")
    if file.take("Q", "nlist") != nlist or file.take("Q", "code_size") != width:
        raise file.broken(f"lists must be {nlist} of codes of {width} bytes")
    layout = _fourcc(file)
    sizes = file.vector("<u8", "sizes of lists")
    if layout == "full" and len(sizes) == nlist:
        pairs = list(enumerate(sizes.tolist()))
    elif layout == "sprs" and len(sizes) % 2 == 0:
        pairs = list(zip(sizes[::2].tolist(), sizes[1::2].tolist(), strict=True))
    else:
        raise file.broken(f"sizes of lists must be full or sparse, got {layout!r}")
    numbers = [number for number, _ in pairs]
    if numbers != sorted(set(numbers)) or (numbers and numbers[-1] >= nlist):
        raise file.broken(f"numbers of lists must ascend below {nlist}")
    return pairs


def _distinct(file: Cursor, ids: NDArray[np.int64]) -> NDArray[np.int64]:
    if len(np.unique(ids)) != len(ids):
        raise file.broken("ids must be distinct")
    return ids
