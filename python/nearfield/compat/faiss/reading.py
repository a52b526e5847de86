"""Reading indexes in faiss's file format. Every count is compared with the file's length."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nearfield.compat.damage import UnknownFile, told_as_runtime_error
from nearfield.compat.faiss.binary import IndexBinaryFlat
from nearfield.compat.faiss.flat import IndexFlat, IndexScalarQuantizer
from nearfield.compat.faiss.graph import IndexHNSW, IndexHNSWFlat, IndexHNSWSQ
from nearfield.compat.faiss.reading_lists import read_lists, read_product
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
    IndexRefineFlat,
)
from nearfield.formats.cursor import Cursor
from nearfield.formats.faiss_codes import ScalarCodes

__all__ = ["deserialize_index", "deserialize_index_binary", "read_index", "read_index_binary"]

_MOST_ROWS = 2**32 - 2
_MOST_DIM = 65_536
_MOST_NESTING = 6
_LISTS = ("IwFl", "IwSq", "IwPQ")
_PLAIN = ("IxF2", "IxFI", "IxFl", "IxSQ", "IxPq", "IHNf", "IHNs", "IBxF")
_WRAPPERS = ("IxMp", "IxM2", "IxPT", "IxRF")


class Head(NamedTuple):
    """What every index of the file begins with."""

    d: int
    n: int
    trained: bool
    metric: int


def read_index(f: Any, io_flags: int = 0) -> Any:
    """Read an index that faiss or `write_index` wrote.

    Parameters
    ----------
    f : path-like, IOReader or open binary file
    io_flags : int, default 0
        Not looked at: an index is always read whole.

    Raises
    ------
    DamagedFile
        A `nearfield.CorruptIndex` and a RuntimeError: the file is damaged.
    UnknownFile
        A `nearfield.IncompatibleVersion` and a RuntimeError: it holds an index of another type.
    RuntimeError
        If there is no such file, or its values are refused.
    """
    if hasattr(f, "read"):
        return _whole(Cursor(f.read(-1)))
    try:
        return _whole(Cursor(Path(f)))
    except OSError as error:
        raise RuntimeError(f"could not open {os.fspath(f)} for reading: {error}") from error


def read_index_binary(f: Any, io_flags: int = 0) -> Any:
    """Read an index of bit strings; see `read_index`."""
    return read_index(f)


def deserialize_index(data: Any, io_flags: int = 0) -> Any:
    """Undo `serialize_index`."""
    with told_as_runtime_error():
        return _whole(Cursor(np.ascontiguousarray(data).view(np.uint8).tobytes()))


def deserialize_index_binary(data: Any) -> Any:
    """Undo `serialize_index_binary`."""
    return deserialize_index(data)


def _whole(file: Cursor) -> Any:
    with told_as_runtime_error():
        index = _read(file, 0)
        file.end()
    return index


def _read(file: Cursor, depth: int) -> Any:
    if depth > _MOST_NESTING:
        raise file.broken(f"indexes must be nested at most {_MOST_NESTING} deep")
    kind = bytes(file.array("u1", 4, "the type of an index")).decode("latin-1")
    if kind in _WRAPPERS:
        return _wrapper(file, kind, depth)
    if kind == "IBxF":
        return _binary(file)
    if kind in ("IHNf", "IHNs"):
        return _graph(file, depth)
    if kind in _LISTS:
        head = read_head(file)
        return read_lists(file, kind, head, lambda: _read(file, depth + 1))
    if kind == "IxPq":
        return read_product(file, read_head(file))
    if kind == "IxSQ":
        return _scalar(file)
    if kind in _PLAIN:
        return _flat(file)
    known = ", ".join([*_PLAIN, *_LISTS, *_WRAPPERS])
    error = UnknownFile(f"{file.path}: holds an index of type {kind!r}, of which {known} are read")
    error.path, error.found, error.supported = str(file.path), kind, known
    raise error


def read_head(file: Cursor) -> Head:
    """Take what every index begins with."""
    d = file.between("i", "d", 1, _MOST_DIM)
    n = file.between("q", "ntotal", 0, _MOST_ROWS)
    file.array("u1", 16, "the header")
    trained = file.between("B", "is_trained", 0, 1)
    return Head(d, n, bool(trained), file.between("i", "the metric", 0, 1))


def _flat(file: Cursor) -> IndexFlat:
    head = read_head(file)
    values = file.vector("<f4", "vectors")
    if len(values) != head.n * head.d:
        raise file.broken(f"vectors must have {head.n} x {head.d} values, got {len(values)}")
    index = IndexFlat(head.d, head.metric)
    if head.n:
        index.add(values.reshape(head.n, head.d))
    return index


def _scalar(file: Cursor) -> IndexScalarQuantizer:
    head = read_head(file)
    learned = ScalarCodes.read(file, head.d)
    codes = file.vector("u1", "codes")
    if len(codes) != head.n * learned.width:
        raise file.broken(f"codes must have {head.n} x {learned.width} bytes, got {len(codes)}")
    index = IndexScalarQuantizer(head.d, learned.kind, head.metric)
    if head.trained:
        index.sq.restore(learned)
    index.is_trained = head.trained
    if head.n:
        index._native.add(learned.decode(codes.reshape(head.n, learned.width)))
    return index


def _binary(file: Cursor) -> IndexBinaryFlat:
    bits = file.between("i", "d", 8, _MOST_DIM)
    width = file.between("i", "code_size", bits // 8, bits // 8)
    n = file.between("q", "ntotal", 0, _MOST_ROWS)
    file.between("B", "is_trained", 0, 1)
    file.take("i", "the metric")
    codes = file.vector("u1", "codes")
    if bits % 8 or len(codes) != n * width:
        raise file.broken(f"codes must have {n} x {bits} bits, got {8 * len(codes)}")
    index = IndexBinaryFlat(bits)
    index.add(codes.reshape(n, width))
    return index


def _graph(file: Cursor, depth: int) -> IndexHNSW:
    head = read_head(file)
    file.vector("<f8", "assign_probas")
    per_level = file.vector("<i4", "cum_nneighbor_per_level")
    levels = file.vector("<i4", "levels")
    file.vector("<u8", "offsets")
    file.vector("<i4", "neighbors")
    file.take("i", "entry_point")
    file.take("i", "max_level")
    ef_construction = file.between("i", "efConstruction", 1, 2**31 - 1)
    ef_search = file.between("i", "efSearch", 1, 2**31 - 1)
    file.take("i", "upper_beam")
    storage = _read(file, depth + 1)
    if len(levels) != head.n or (storage.ntotal, storage.d) != (head.n, head.d):
        raise file.broken(f"the graph and its vectors must have {head.n} rows of {head.d}")
    m = int(per_level[1]) // 2 if len(per_level) > 1 else 32
    if not 1 <= m <= 2**16:
        raise file.broken(f"M must be in 1..{2**16}, got {m}")
    index: IndexHNSW
    if isinstance(storage, IndexFlat):
        index = IndexHNSWFlat(head.d, m, head.metric)
    elif isinstance(storage, IndexScalarQuantizer):
        index = IndexHNSWSQ(head.d, storage.sq.qtype, m, head.metric)
        index._sq, index.is_trained = storage.sq, storage.is_trained
    else:
        raise file.broken(f"a graph must be over flat vectors, got {type(storage).__name__}")
    index.hnsw.efConstruction, index.hnsw.efSearch = ef_construction, ef_search
    index._native = index._make()
    if head.n:
        index._native.add(storage.reconstruct_n())
    return index


def _wrapper(file: Cursor, kind: str, depth: int) -> Any:
    head = read_head(file)
    if kind == "IxPT":
        return _transformed(file, head, depth)
    inner = _read(file, depth + 1)
    if kind == "IxRF":
        exact = _read(file, depth + 1)
        factor = float(file.take("f", "k_factor"))
        if not isinstance(exact, (IndexFlat, IndexScalarQuantizer)):
            raise file.broken(f"vectors to refine by must be flat, got {type(exact).__name__}")
        if (exact.ntotal, exact.d) != (head.n, head.d) or inner.ntotal != head.n:
            raise file.broken(f"both indexes must hold {head.n} x {head.d}")
        made = IndexRefine(inner, exact)
        if isinstance(exact, IndexFlat):
            made.__class__ = IndexRefineFlat
        made.k_factor = factor
        return made
    ids = file.vector("<i8", "the id map")
    if len(ids) != head.n or (inner.ntotal, inner.d) != (head.n, head.d):
        raise file.broken(f"the id map must have {head.n} entries, got {len(ids)}")
    rows = inner._ids()
    if inner._keeps_ids() and len(rows) and (rows.min() < 0 or rows.max() >= head.n):
        raise file.broken(f"rows of lists must be below {head.n}")
    wrapped = IndexIDMap2.__new__(IndexIDMap2) if kind == "IxM2" else IndexIDMap.__new__(IndexIDMap)
    super(IndexIDMap, wrapped).__init__(inner)
    wrapped.id_map = ids.astype(np.int64)
    return wrapped


def _transformed(file: Cursor, head: Head, depth: int) -> IndexPreTransform:
    count = file.between("i", "the number of transforms", 0, 16)
    chain = [_transform(file) for _ in range(count)]
    index = IndexPreTransform(_read(file, depth + 1))
    for transform in reversed(chain):
        if transform.d_out != index.d:
            raise file.broken(f"a transform to {transform.d_out} dimensions comes before {index.d}")
        index.prepend_transform(transform)
    if (index.d, index.ntotal) != (head.d, head.n):
        raise file.broken(f"the inner index must hold {head.n} x {head.d}")
    index.is_trained = head.trained
    return index


def _transform(file: Cursor) -> VectorTransform:
    kind = bytes(file.array("u1", 4, "the type of a transform")).decode("latin-1")
    if kind == "VNrm":
        norm = float(file.take("f", "norm"))
        d, _, _ = _transform_end(file, same=True)
        if norm != 2:
            raise file.broken(f"norm must be 2, got {norm}")
        return NormalizationTransform(d)
    if kind == "VCnt":
        mean = file.vector("<f4", "the mean")
        d, _, trained = _transform_end(file, same=True)
        _check_size(file, "the mean", mean, d if trained else len(mean))
        centred = CenteringTransform(d)
        centred.mean, centred.is_trained = mean.astype(np.float32), trained
        return centred
    if kind not in ("Pcam", "rrot", "LTra"):
        raise file.broken(f"transforms must be VNrm, VCnt, Pcam, rrot or LTra, got {kind!r}")
    return _linear(file, kind)


def _linear(file: Cursor, kind: str) -> LinearTransform:
    learned: list[NDArray[np.float32]] = []
    settings: tuple[float, float, int, int] = (0.0, 0.0, 0, 0)
    if kind == "Pcam":
        settings = (
            float(file.take("f", "eigen_power")), float(file.take("f", "epsilon")),
            file.between("B", "random_rotation", 0, 1), int(file.take("i", "balanced_bins")),
        )  # fmt: skip
        learned = [file.vector("<f4", f"the PCA's {part}") for part in ("mean", "values", "axes")]
    bias = bool(file.between("B", "have_bias", 0, 1))
    matrix, offset = file.vector("<f4", "A"), file.vector("<f4", "b")
    d_in, d_out, trained = _transform_end(file, same=False)
    made: LinearTransform
    if kind == "Pcam":
        pca = PCAMatrix(d_in, d_out, settings[0], bool(settings[2]))
        pca.epsilon, pca.balanced_bins = settings[1], settings[3]
        pca.mean, pca.eigenvalues = np.array(learned[0]), np.array(learned[1])
        if trained and len(learned[2]) % d_in == 0:
            pca.PCAMat = np.array(learned[2]).reshape(-1, d_in)
        made = pca
    else:
        made = (RandomRotationMatrix if kind == "rrot" else LinearTransform)(d_in, d_out)
    made.have_bias, made.is_trained = bias, trained
    if trained:
        _check_size(file, "A", matrix, d_in * d_out)
        _check_size(file, "b", offset, d_out if bias else len(offset))
        made.A, made.b = np.array(matrix).reshape(d_out, d_in), np.array(offset)
    return made


def _transform_end(file: Cursor, same: bool) -> tuple[int, int, bool]:
    d_in = file.between("i", "d_in", 1, _MOST_DIM)
    d_out = file.between("i", "d_out", d_in if same else 1, d_in if same else _MOST_DIM)
    return d_in, d_out, bool(file.between("B", "is_trained", 0, 1))


def _check_size(file: Cursor, what: str, values: Any, n: int) -> None:
    if len(values) != n:
        raise file.broken(f"{what} must have {n} values, got {len(values)}")
    if not np.isfinite(values).all():
        raise file.broken(f"{what} must be finite")
