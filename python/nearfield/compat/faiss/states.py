"""Centroids and codes of a trained `nearfield.IVFPQ` in the coordinates of its vectors.

The index codes in a frame: (x - centre) * scale, rotated at random where codes are RaBitQ's. faiss
has no frame, so what goes there or comes from there passes through these functions.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nearfield import _core
from nearfield.flat import Flat
from nearfield.formats.faiss_codes import pair_nibbles
from nearfield.ivfpq import IVFPQ

__all__ = ["Product", "Trained", "product_index", "read_state", "with_lists"]

Matrix = NDArray[np.float32]
_BLOCK = 32


class Product(NamedTuple):
    """What product codes have learned, in the coordinates of vectors."""

    centroids: Matrix
    """(nlist, d)"""
    codebooks: Matrix
    """(m, 2^bits, d / m), of residuals."""


class Trained:
    """The state of a trained index, from which parts are taken."""

    def __init__(self, index: IVFPQ) -> None:
        _, self._fields, self._arrays = _core.state(index._core)
        self._ids = index.ids

    @property
    def centroids(self) -> Matrix:
        """(nlist, d)"""
        rows = self._arrays["lists.centroids"].reshape(self._fields["lists.count"], -1)
        if self._fields["codes"] == "rabitq":
            rows = _core.rotate(rows, self._fields["seed"], True, 0)
        return np.asarray(rows / np.float32(self._scale) + self._arrays["frame.centre"], np.float32)

    @property
    def _scale(self) -> float:
        return float(self._fields["frame.scale"])

    @property
    def product(self) -> Product:
        """Of an index with product codes."""
        m, d = self._fields["pq_m"], len(self._arrays["frame.centre"])
        books = self._arrays["codes.codebooks"].reshape(m, -1, d // m)
        return Product(self.centroids, np.asarray(books / np.float32(self._scale), np.float32))

    def lists(self) -> list[NDArray[np.int64]]:
        """Ids of each list, in the order of its entries."""
        by_slot = self._arrays["ids.by_slot"]
        ends = np.cumsum(self._arrays["lists.sizes"].astype(np.int64))
        return np.split(by_slot[self._arrays["lists.slots"]], ends[:-1])

    def codes(self) -> list[NDArray[np.uint8]]:
        """Product codes of each list, (size, m), one byte a subspace."""
        m, bits = self._fields["pq_m"], self._fields["bits"]
        sizes = self._arrays["lists.sizes"].astype(np.int64)
        width = m if bits == 8 else (m + 3) // 4 * 2
        blocks = self._arrays["lists.codes"].reshape(-1, width, _BLOCK)
        rows = blocks.transpose(0, 2, 1).reshape(-1, width)
        if bits == 4:
            rows = np.stack([rows & 15, rows >> 4], axis=2).reshape(len(rows), -1)
        begins = np.concatenate([[0], np.cumsum(-(-sizes // _BLOCK) * _BLOCK)])
        return [
            np.ascontiguousarray(rows[begin : begin + size, :m])
            for begin, size in zip(begins.tolist(), sizes.tolist(), strict=False)
        ]


def read_state(index: IVFPQ) -> Trained:
    """Take the state of a trained index."""
    return Trained(index)


def with_lists(index: IVFPQ, centroids: Matrix | None = None) -> IVFPQ:
    """A trained, empty index that opens all of nprobe lists, of these centroids if given."""
    kind, fields, arrays = _core.state(index._core)
    for name in ("lists.groups", "lists.limits"):  # of its own centroids; without them all count
        arrays.pop(name, None)
        fields.pop(f"{name}_count", None)
    if centroids is not None:
        framed = (centroids - arrays["frame.centre"]) * np.float32(fields["frame.scale"])
        framed = np.ascontiguousarray(framed, np.float32)
        if fields["codes"] == "rabitq":
            framed = _core.rotate(framed, fields["seed"], False, 0)
        arrays["lists.centroids"] = framed.ravel()
    return _as_index(kind, fields, arrays)


def product_index(
    metric: str,
    learned: Product,
    ids: list[NDArray[np.int64]],
    codes: list[NDArray[np.uint8]],
) -> IVFPQ:
    """An index of the product codes (size, m) of each list. Ids must be distinct."""
    nlist, d = learned.centroids.shape
    m, words, _ = learned.codebooks.shape
    bits = 8 if words == 256 else 4
    fields, arrays = _id_state(np.concatenate(ids))
    fields |= {
        "dim": d, "metric": metric, "nlist": nlist, "nprobe": 1, "codes": "pq", "bits": bits,
        "pq_m": m, "opq": 0, "rerank": "none", "candidates": 0, "seed": 0, "lists.trained": 1,
        "lists.count": nlist, "frame.scale": 1.0,
    }  # fmt: skip
    sizes = np.array([len(part) for part in ids])
    decoded = _decoded(learned.codebooks, np.concatenate(codes))
    add = np.zeros(len(decoded), np.float32)
    with np.errstate(over="ignore", invalid="ignore"):  # what is not finite is refused below
        if metric == "l2":  # |r|^2 + 2 c.r
            centres = np.repeat(learned.centroids, sizes, axis=0)
            add = (decoded * decoded).sum(axis=1) + 2 * (decoded * centres).sum(axis=1)
        halves = np.clip(add, -65000, 65000).astype(np.float16)
    scale = np.full(len(decoded), 2 if metric == "l2" else 1, np.float16)
    arrays |= {
        "frame.centre": np.zeros(d, np.float32),
        "codes.codebooks": np.ascontiguousarray(learned.codebooks, np.float32).ravel(),
        "lists.centroids": np.ascontiguousarray(learned.centroids, np.float32).ravel(),
        "lists.sizes": sizes.astype(np.uint32),
        "lists.codes": np.concatenate([_packed(part, m, bits) for part in codes]),
        "lists.slots": np.arange(len(decoded), dtype=np.uint32),
        "lists.add": halves.view(np.uint16),
        "lists.scale": scale.view(np.uint16),
        "lists.of": np.repeat(np.arange(nlist, dtype=np.uint32), sizes),
    }
    return _as_index("ivfpq", fields, arrays)


def _as_index(kind: str, fields: dict[str, Any], arrays: dict[str, NDArray[Any]]) -> IVFPQ:
    return IVFPQ._from_core(_core.from_state(kind, fields, arrays), fields)


def _id_state(ids: NDArray[np.int64]) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """How an index keeps these ids: as one that has them says."""
    holder = Flat(1, "l2", prefilter=False)
    if len(ids):
        holder.add(np.zeros((len(ids), 1), np.float32), ids)
    _, fields, arrays = _core.state(holder._core)
    names = ("slots", "vectors", "next_id", "ids_are_slots")
    kept = {name: value for name, value in arrays.items() if name.startswith("ids.")}
    return {name: fields[name] for name in names}, kept


def _decoded(codebooks: Matrix, codes: NDArray[np.uint8]) -> Matrix:
    m, _, sub = codebooks.shape
    out = np.empty((len(codes), m, sub), np.float32)
    for j in range(m):
        out[:, j] = codebooks[j][codes[:, j]]
    return out.reshape(len(codes), m * sub)


def _packed(codes: NDArray[np.uint8], m: int, bits: int) -> NDArray[np.uint8]:
    """Blocks of 32 rows, a byte (or two halves of one) of each in turn."""
    rows = -(-len(codes) // _BLOCK) * _BLOCK
    width = m if bits == 8 else (m + 3) // 4 * 4
    padded: NDArray[np.uint8] = np.zeros((rows, width), np.uint8)
    padded[: len(codes), :m] = codes
    if bits == 4:
        padded = pair_nibbles(padded)
    blocks = padded.reshape(-1, _BLOCK, padded.shape[1]).transpose(0, 2, 1)
    return np.ascontiguousarray(blocks).ravel()
