"""Writing indexes in faiss's file format (of versions 1.7 to 1.15)."""

from __future__ import annotations

import io
import math
import os
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearfield.compat.faiss.binary import IndexBinaryFlat
from nearfield.compat.faiss.flat import IndexFlat, IndexScalarQuantizer
from nearfield.compat.faiss.graph import IndexHNSW, IndexHNSWSQ
from nearfield.compat.faiss.lists import IndexIVF, IndexIVFPQ, IndexIVFScalarQuantizer, IndexPQ
from nearfield.compat.faiss.names import METRIC_INNER_PRODUCT
from nearfield.compat.faiss.scalar import ScalarQuantizer
from nearfield.compat.faiss.states import read_state
from nearfield.compat.faiss.transforms import (
    CenteringTransform,
    LinearTransform,
    NormalizationTransform,
    PCAMatrix,
    RandomRotationMatrix,
    VectorTransform,
)
from nearfield.compat.faiss.wrappers import (
    IndexIDMap,
    IndexIDMap2,
    IndexPreTransform,
    IndexRefine,
)
from nearfield.formats.faiss_codes import pair_nibbles
from nearfield.formats.layers import as_layers
from nearfield.formats.whole import whole_file

__all__ = ["serialize_index", "serialize_index_binary", "write_index", "write_index_binary"]


def write_index(index: Any, f: Any, io_flags: int = 0) -> None:
    """Write an index that faiss reads.

    Parameters
    ----------
    index : Index
    f : path-like, IOWriter or open binary file
    io_flags : int, default 0
        Not looked at.

    Raises
    ------
    RuntimeError
        If the file cannot be written.
    """
    if hasattr(f, "write"):
        _Writer(f).index(index)
        return
    try:
        with whole_file(f) as temporary, temporary.open("wb") as file:
            _Writer(file).index(index)
    except OSError as error:
        raise RuntimeError(f"could not open {os.fspath(f)} for writing: {error}") from error


def write_index_binary(index: Any, f: Any) -> None:
    """Write an index of bit strings; see `write_index`."""
    write_index(index, f)


def serialize_index(index: Any, io_flags: int = 0) -> NDArray[np.uint8]:
    """Give the bytes that `write_index` writes."""
    held = io.BytesIO()
    _Writer(held).index(index)
    return np.frombuffer(held.getvalue(), np.uint8).copy()


def serialize_index_binary(index: Any) -> NDArray[np.uint8]:
    """Give the bytes that `write_index_binary` writes."""
    return serialize_index(index)


class _Writer:
    def __init__(self, file: Any) -> None:
        self._file = file

    def pack(self, format: str, *values: Any) -> None:
        self._file.write(struct.pack("<" + format, *values))

    def kind(self, fourcc: str) -> None:
        self._file.write(fourcc.encode())

    def array(self, values: Any, dtype: str) -> None:
        self._file.write(np.ascontiguousarray(values, dtype).tobytes())

    def vector(self, values: Any, dtype: str, unit: int = 1) -> None:
        array = np.ascontiguousarray(values, dtype)
        self.pack("Q", array.size // unit)
        self._file.write(array.tobytes())

    def head(self, index: Any) -> None:
        self.pack(
            "iqqqBi", index.d, index.ntotal, 1 << 20, 1 << 20, index.is_trained, index.metric_type
        )

    def index(self, index: Any) -> None:
        if isinstance(index, IndexHNSW):
            self._graph(index)
        elif isinstance(index, IndexFlat):
            self.kind("IxFI" if index.metric_type == METRIC_INNER_PRODUCT else "IxF2")
            self.head(index)
            self.vector(index.reconstruct_n(), "<f4")
        elif isinstance(index, IndexScalarQuantizer):
            self.kind("IxSQ")
            self.head(index)
            self._scalar(index.sq)
            self.vector(index.sq.compute_codes(index.reconstruct_n()), "u1")
        elif isinstance(index, IndexPQ):
            self._product_index(index)
        elif isinstance(index, IndexIVF):
            self._lists(index)
        elif isinstance(index, IndexBinaryFlat):
            self.kind("IBxF")
            self.pack("iiqBi", index.d, index.code_size, index.ntotal, True, 1)
            self.vector(index.xb, "u1")
        else:
            self._wrapper(index)

    def _wrapper(self, index: Any) -> None:
        if isinstance(index, IndexIDMap):
            self.kind("IxM2" if isinstance(index, IndexIDMap2) else "IxMp")
            self.head(index)
            self.index(index.index)
            self.vector(index.id_map, "<i8")
        elif isinstance(index, IndexPreTransform):
            self.kind("IxPT")
            self.head(index)
            self.pack("i", len(index.chain))
            for transform in index.chain:
                self._transform(transform)
            self.index(index.index)
        elif isinstance(index, IndexRefine):
            self.kind("IxRF")
            self.head(index)
            self.index(index.base_index)
            self.index(index.refine_index)
            self.pack("f", index.k_factor)
        else:
            raise RuntimeError(f"don't know how to serialize a {type(index).__name__}")

    def _graph(self, index: IndexHNSW) -> None:
        m = index.hnsw.M
        self.kind("IHNs" if isinstance(index, IndexHNSWSQ) else "IHNf")
        self.head(index)
        graph = as_layers(index._native, m)
        # Chances of layers, for additions of faiss's own.
        scale = 1 / math.log(m) if m > 1 else 1.0
        chances: list[float] = []
        while len(chances) < 64:
            chance = math.exp(-len(chances) / scale) * (1 - math.exp(-1 / scale))
            if chance < 1e-9:
                break
            chances.append(chance)
        self.vector(chances, "<f8")
        counts = [0, 2 * m, *([m] * max(len(chances), len(graph.layers)))]
        self.vector(np.cumsum(counts), "<i4")
        self.vector(graph.levels + 1, "<i4")
        room = 2 * m + m * graph.levels
        offsets = np.concatenate([[0], np.cumsum(room)])
        self.vector(offsets, "<u8")
        neighbors = np.full(int(offsets[-1]), -1, np.int32)
        for level, layer in enumerate(graph.layers):
            begins = offsets[layer.rows] + (0 if level == 0 else 2 * m + m * (level - 1))
            places = begins[:, None] + np.arange(layer.links.shape[1])
            neighbors[places] = layer.links
        self.vector(neighbors, "<i4")
        self.pack("iiiii", graph.entry, len(graph.layers) - 1, index.hnsw.efConstruction,
                  index.hnsw.efSearch, 1)  # fmt: skip
        storage: Any = index
        self.index(storage.storage)

    def _scalar(self, sq: ScalarQuantizer) -> None:
        self.pack("iifQQ", sq.qtype, 0, 0.0, sq.d, sq.code_size)
        self.vector(sq.trained, "<f4")

    def _product(self, d: int, m: int, bits: int, codebooks: Any) -> None:
        self.pack("QQQ", d, m, bits)
        self.vector(codebooks, "<f4")

    def _product_index(self, index: IndexPQ) -> None:
        m, bits = index._m, index._bits
        self.kind("IxPq")
        self.head(index)
        books: Any = np.zeros((m, 1 << bits, index.d // m), np.float32)
        codes = np.empty((0, index.code_size), np.uint8)
        if index.is_trained:
            state = read_state(index._native)
            learned = state.product
            # The one centroid goes into the words of every subspace.
            books = learned.codebooks + learned.centroids.reshape(m, 1, -1)
            order = np.argsort(state.lists()[0], kind="stable")
            codes = _joined(state.codes()[0][order], bits)
        self._product(index.d, m, bits, books)
        self.vector(codes, "u1")
        self.pack("iBi", 0, False, 0)

    def _lists(self, index: IndexIVF) -> None:
        product, scalar = isinstance(index, IndexIVFPQ), isinstance(index, IndexIVFScalarQuantizer)
        self.kind("IwPQ" if product else "IwSq" if scalar else "IwFl")
        self.head(index)
        self.pack("QQ", index.nlist, index.nprobe)
        self.index(index.quantizer)
        self.pack("B", 0)
        self.vector([], "<i8")
        state = read_state(index._native) if index.is_trained else None
        ids = state.lists() if state else [np.empty(0, np.int64)] * index.nlist
        if isinstance(index, IndexIVFScalarQuantizer) and index.by_residual and state:
            ids = _lists_of_residuals(index, ids)
        width = 4 * index.d
        if isinstance(index, IndexIVFPQ):
            books: Any = np.zeros((index._m, 1 << index._bits, index.d // index._m), np.float32)
            books = state.product.codebooks if state else books
            self.pack("BQ", True, index.code_size)
            self._product(index.d, index._m, index._bits, books)
            width = index.code_size
        elif isinstance(index, IndexIVFScalarQuantizer):
            self._scalar(index.sq)
            self.pack("QB", index.sq.code_size, index.by_residual)
            width = index.sq.code_size
        self.kind("ilar")
        self.pack("QQ", index.nlist, width)
        self.kind("full")
        self.vector([len(part) for part in ids], "<u8")
        codes = state.codes() if product and state else [None] * index.nlist
        for number, part in enumerate(ids):
            if len(part):
                self.array(self._rows(index, number, part, codes[number]), "u1")
                self.array(part, "<i8")

    @staticmethod
    def _rows(index: IndexIVF, number: int, ids: Any, codes: Any) -> Any:
        if isinstance(index, IndexIVFPQ):
            return _joined(codes, index._bits)
        vectors = index._native.get(ids)
        if isinstance(index, IndexIVFScalarQuantizer):
            if index.by_residual:
                vectors = vectors - index.quantizer.reconstruct(number)
            return index.sq.compute_codes(vectors)
        return np.ascontiguousarray(vectors, "<f4").view(np.uint8)

    def _transform(self, transform: VectorTransform) -> None:
        if isinstance(transform, NormalizationTransform):
            self.kind("VNrm")
            self.pack("f", transform.norm)
        elif isinstance(transform, CenteringTransform):
            self.kind("VCnt")
            self.vector(transform.mean, "<f4")
        elif isinstance(transform, LinearTransform):
            self._linear(transform)
        else:
            raise RuntimeError(f"don't know how to serialize a {type(transform).__name__}")
        self.pack("iiB", transform.d_in, transform.d_out, transform.is_trained)

    def _linear(self, transform: LinearTransform) -> None:
        if isinstance(transform, PCAMatrix):
            self.kind("Pcam")
            self.pack("ffBi", transform.eigen_power, transform.epsilon,
                      transform.random_rotation, transform.balanced_bins)  # fmt: skip
            for values in (transform.mean, transform.eigenvalues, transform.PCAMat):
                self.vector(values, "<f4")
        else:
            self.kind("rrot" if isinstance(transform, RandomRotationMatrix) else "LTra")
        self.pack("B", transform.have_bias)
        self.vector(transform.A, "<f4")
        self.vector(transform.b, "<f4")


def _lists_of_residuals(
    index: IndexIVFScalarQuantizer, lists: list[NDArray[np.int64]]
) -> list[NDArray[np.int64]]:
    """Ids by the list whose centroid their codes belong to.

    A decoded vector may be nearer to another centroid than the one it was coded by.
    """
    ids = np.concatenate(lists)
    owner = np.repeat(np.arange(len(lists)), [len(part) for part in lists])
    if not len(ids):
        return lists
    vectors = index._native.get(ids)
    centroids = index.quantizer.reconstruct_n()
    near = np.column_stack([owner, index.quantizer.assign(vectors, min(8, index.nlist))])
    chosen, least = owner.copy(), np.full(len(ids), np.inf)
    for choice in near.T:
        left = np.flatnonzero(least > 1e-6)
        residuals = vectors[left] - centroids[choice[left]]
        again = index.sq.decode(index.sq.compute_codes(residuals))
        error = np.abs(again - residuals).max(axis=1)
        better = error < least[left]
        chosen[left[better]] = choice[left][better]
        least[left[better]] = error[better]
    return [ids[chosen == number] for number in range(len(lists))]


def _joined(codes: NDArray[np.uint8], bits: int) -> NDArray[np.uint8]:
    """Codes of a byte a subspace, a part's bits after those of the one before."""
    if bits == 8:
        return codes
    padded = np.zeros((len(codes), -(-codes.shape[1] // 2) * 2), np.uint8)
    padded[:, : codes.shape[1]] = codes
    return pair_nibbles(padded)
