"""Reading inverted lists and product codes of faiss's files."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nearfield.compat.faiss.flat import IndexFlat
from nearfield.compat.faiss.lists import (
    IndexIVF,
    IndexIVFFlat,
    IndexIVFPQ,
    IndexIVFScalarQuantizer,
    IndexPQ,
)
from nearfield.compat.faiss.names import native_metric
from nearfield.compat.faiss.states import Product, product_index, with_lists
from nearfield.formats.cursor import Cursor
from nearfield.formats.faiss_codes import ProductCodes, ScalarCodes, codes_of_lists
from nearfield.formats.faiss_file import list_sizes

if TYPE_CHECKING:
    from nearfield.compat.faiss.reading import Head

__all__ = ["read_lists", "read_product"]

Ids = NDArray[np.int64]
Codes = NDArray[np.uint8]


def read_product(file: Cursor, head: Head) -> IndexPQ | IndexFlat:
    """Take an IndexPQ; where its codes are not of 4 or 8 bits, the decoded vectors."""
    learned = ProductCodes.read(file, head.d)
    codes = file.vector("u1", "codes")
    if len(codes) != head.n * learned.width:
        raise file.broken(f"codes must have {head.n} x {learned.width} bytes, got {len(codes)}")
    codes = codes.reshape(head.n, learned.width)
    file.take("i", "search_type")
    file.between("B", "encode_signs", 0, 1)
    file.take("i", "polysemous_ht")
    if learned.bits not in (4, 8):
        return _decoded(head, learned.decode(codes))
    index = IndexPQ(head.d, len(learned.centroids), learned.bits, head.metric)
    if head.trained:
        one = Product(np.zeros((1, head.d), np.float32), learned.centroids)
        index._native = product_index(
            native_metric(head.metric), one, [np.arange(head.n)], [_split(codes, learned)]
        )
    index.is_trained = head.trained
    return index


def read_lists(file: Cursor, kind: str, head: Head, read_inner: Callable[[], Any]) -> IndexIVF:
    """Take an index of inverted lists."""
    nlist = file.between("Q", "nlist", 1, 1 << 20)
    nprobe = file.between("Q", "nprobe", 1, 2**62)
    quantizer = read_inner()
    if quantizer.d != head.d or quantizer.ntotal != (nlist if head.trained else quantizer.ntotal):
        raise file.broken(f"centroids must be {nlist} x {head.d}")
    learned, residual = codes_of_lists(file, kind, head.d)
    ids, rows = _contents(file, nlist, head.n, learned.width if learned else 4 * head.d)
    index = _made(head, quantizer, nlist, learned, residual)
    index.nprobe = nprobe
    if not head.trained:
        return index
    centroids = quantizer.reconstruct_n()
    index.is_trained = True
    index._next = head.n
    if isinstance(index, IndexIVFPQ) and isinstance(learned, ProductCodes):
        native = product_index(
            native_metric(head.metric), Product(centroids, learned.centroids), ids,
            [_split(part, learned) for part in rows],
        )  # fmt: skip
        index._native = native
        return index
    if isinstance(index, IndexIVFScalarQuantizer) and isinstance(learned, ScalarCodes):
        index.sq.restore(learned)
    vectors = [learned.decode(part) if learned else part.view("<f4") for part in rows]
    if residual:
        vectors = [part + centroids[i] for i, part in enumerate(vectors)]
    _fill(index, centroids, np.concatenate(ids), np.concatenate(vectors))
    return index


def _made(
    head: Head,
    quantizer: Any,
    nlist: int,
    learned: ScalarCodes | ProductCodes | None,
    residual: bool,
) -> IndexIVF:
    d, metric = head.d, head.metric
    if isinstance(learned, ScalarCodes):
        return IndexIVFScalarQuantizer(quantizer, d, nlist, learned.kind, metric, residual)
    if isinstance(learned, ProductCodes) and residual and learned.bits in (4, 8):
        return IndexIVFPQ(quantizer, d, nlist, len(learned.centroids), learned.bits, metric)
    # Codes of whole vectors, or of other bits: the vectors that they stand for.
    return IndexIVFFlat(quantizer, d, nlist, metric)


def _fill(
    index: IndexIVF, centroids: NDArray[np.float32], ids: Ids, vectors: NDArray[np.float32]
) -> None:
    """Give an index these centroids and vectors."""
    native = index._make()
    step = max(1, len(vectors) // 65_536)
    # The lists are given: k-means need not find any, only the frame is learned here.
    sample = np.concatenate([centroids, vectors[::step]])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        native.train(sample)
    native = with_lists(native, centroids)
    if len(vectors):
        native.add(vectors, ids)
    index._native = native


def _contents(file: Cursor, nlist: int, n: int, width: int) -> tuple[list[Ids], list[Codes]]:
    """Ids and codes of each list."""
    ids: list[Ids] = [np.empty(0, np.int64)] * nlist
    rows: list[Codes] = [np.empty((0, width), np.uint8)] * nlist
    left = n
    for number, size in list_sizes(file, nlist, width):
        if size > left:
            raise file.broken(f"lists must hold {n} vectors together, got more")
        left -= size
        rows[number] = file.array("u1", size * width, "a list").reshape(size, width)
        ids[number] = file.array("<i8", size, "ids of a list").astype(np.int64)
    if left:
        raise file.broken(f"lists must hold {n} vectors together, got {n - left}")
    if len(np.unique(np.concatenate(ids))) != n:
        raise file.broken("ids must be distinct")
    return ids, rows


def _split(codes: Codes, learned: ProductCodes) -> Codes:
    """Codes of a byte a subspace."""
    if learned.bits == 8:
        return np.ascontiguousarray(codes)
    both = np.stack([codes & 15, codes >> 4], axis=2).reshape(len(codes), -1)
    return np.ascontiguousarray(both[:, : len(learned.centroids)])


def _decoded(head: Head, vectors: NDArray[np.float32]) -> IndexFlat:
    index = IndexFlat(head.d, head.metric)
    if len(vectors):
        index.add(vectors)
    return index
