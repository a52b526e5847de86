"""`index_factory`: indexes from strings such as "OPQ16_64,IVF1024,PQ16" and "IDMap,HNSW32"."""

from __future__ import annotations

import re
from typing import Any

from nearfield.compat.faiss.binary import IndexBinaryFlat
from nearfield.compat.faiss.flat import IndexFlat, IndexScalarQuantizer
from nearfield.compat.faiss.graph import IndexHNSWFlat, IndexHNSWSQ
from nearfield.compat.faiss.lists import (
    IndexIVFFlat,
    IndexIVFPQ,
    IndexIVFScalarQuantizer,
    IndexPQ,
)
from nearfield.compat.faiss.names import METRIC_L2
from nearfield.compat.faiss.scalar import ScalarQuantizer
from nearfield.compat.faiss.transforms import (
    NormalizationTransform,
    OPQMatrix,
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

__all__ = ["index_binary_factory", "index_factory"]

_QTYPES = {
    "SQ8": ScalarQuantizer.QT_8bit,
    "SQ4": ScalarQuantizer.QT_4bit,
    "SQfp16": ScalarQuantizer.QT_fp16,
    "SQbf16": ScalarQuantizer.QT_bf16,
    "SQ8bit_direct": ScalarQuantizer.QT_8bit_direct,
    "SQ8_direct": ScalarQuantizer.QT_8bit_direct,
    "SQ8_direct_signed": ScalarQuantizer.QT_8bit_direct_signed,
}
_KNOWN = (
    "Flat, SQ8, SQ4, SQfp16, SQbf16, PQ<M>[x4|x8], HNSW<M>[,Flat|,SQ*], IVF<nlist>,Flat|SQ*|PQ*, "
    "after IDMap, IDMap2, PCA<d>, PCAR<d>, PCAW<d>, PCAWR<d>, OPQ<M>[_<d>], RR<d>, L2norm, "
    "before RFlat, Refine(Flat|SQ*)"
)


def index_factory(d: int, description: str, metric: int = METRIC_L2) -> Any:
    """Make an index from its description.

    Parameters
    ----------
    d : int
    description : str
        Of ``Flat``, ``SQ8`` (``SQ4``, ``SQfp16``, ``SQbf16``), ``PQ16`` (``PQ16x4``), ``HNSW32``
        (``HNSW32,SQ8``), ``IVF1024,Flat`` (``,SQ8``, ``,PQ16``); after ``IDMap``, ``IDMap2``,
        ``PCA64`` (``PCAR``, ``PCAW``), ``OPQ16`` (``OPQ16_64``), ``RR64``, ``L2norm``; before
        ``RFlat`` or ``Refine(SQfp16)``.
    metric : {METRIC_L2, METRIC_INNER_PRODUCT}, default METRIC_L2

    Raises
    ------
    RuntimeError
        If the description is none of these.
    """
    return _make(int(d), [part.strip() for part in description.split(",")], metric, description)


def index_binary_factory(d: int, description: str) -> IndexBinaryFlat:
    """Make an index of bit strings; ``BFlat`` is the only description."""
    if description != "BFlat":
        raise RuntimeError(f"description must be 'BFlat' in nearfield's faiss layer: {description}")
    return IndexBinaryFlat(d)


def _make(d: int, parts: list[str], metric: int, whole: str) -> Any:
    first, *rest = parts
    if first in ("IDMap", "IDMap2") and rest:
        inner = _make(d, rest, metric, whole)
        return IndexIDMap2(inner) if first == "IDMap2" else IndexIDMap(inner)
    if parts[-1] == "RFlat" and len(parts) > 1:
        return IndexRefineFlat(_make(d, parts[:-1], metric, whole))
    refine = re.fullmatch(r"Refine\((.+)\)", parts[-1])
    if refine and len(parts) > 1:
        base = _make(d, parts[:-1], metric, whole)
        return IndexRefine(base, _make(d, [refine[1]], metric, whole))
    transform = _transform(d, first)
    if transform is not None and rest:
        inner = _make(transform.d_out, rest, metric, whole)
        if isinstance(inner, IndexPreTransform):
            inner.prepend_transform(transform)
            return inner
        return IndexPreTransform(transform, inner)
    lists = re.fullmatch(r"IVF(\d+)", first)
    if lists and len(rest) == 1:
        return _lists(d, int(lists[1]), rest[0], metric, whole)
    graph = re.fullmatch(r"HNSW(\d*)(?:_(SQ\w+))?", first)
    if graph and len(rest) <= 1:
        codes = graph[2] or (rest[0] if rest else "Flat")
        m = int(graph[1] or 32)
        if codes in _QTYPES:
            return IndexHNSWSQ(d, _QTYPES[codes], m, metric)
        if codes == "Flat":
            return IndexHNSWFlat(d, m, metric)
        raise _unknown(whole)
    if rest:
        raise _unknown(whole)
    return _plain(d, first, metric, whole)


def _plain(d: int, word: str, metric: int, whole: str) -> Any:
    product = _product(word)
    if word == "Flat":
        return IndexFlat(d, metric)
    if word in _QTYPES:
        return IndexScalarQuantizer(d, _QTYPES[word], metric)
    if product:
        return IndexPQ(d, *product, metric)
    raise _unknown(whole)


def _lists(d: int, nlist: int, word: str, metric: int, whole: str) -> Any:
    quantizer = IndexFlat(d, metric)
    product = _product(word)
    if word == "Flat":
        return IndexIVFFlat(quantizer, d, nlist, metric)
    if word in _QTYPES:
        return IndexIVFScalarQuantizer(quantizer, d, nlist, _QTYPES[word], metric)
    if product:
        return IndexIVFPQ(quantizer, d, nlist, *product, metric)
    raise _unknown(whole)


def _product(word: str) -> tuple[int, int] | None:
    found = re.fullmatch(r"PQ(\d+)(?:x(\d+))?(?:np)?", word)
    return (int(found[1]), int(found[2] or 8)) if found else None


def _transform(d: int, word: str) -> VectorTransform | None:
    pca = re.fullmatch(r"PCA(W?)(R?)(\d+)", word)
    if pca:
        return PCAMatrix(d, int(pca[3]), -0.5 if pca[1] else 0, bool(pca[2]))
    opq = re.fullmatch(r"OPQ(\d+)(?:_(\d+))?", word)
    if opq:
        return OPQMatrix(d, int(opq[1]), int(opq[2] or -1))
    turned = re.fullmatch(r"RR(\d*)", word)
    if turned:
        return RandomRotationMatrix(d, int(turned[1] or d))
    return NormalizationTransform(d) if word == "L2norm" else None


def _unknown(description: str) -> RuntimeError:
    return RuntimeError(
        f"could not parse index string {description!r}; nearfield's faiss layer knows {_KNOWN}"
    )
