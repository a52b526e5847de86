"""`IDSelector` and its kinds: which ids may be results."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "IDSelector",
    "IDSelectorAll",
    "IDSelectorAnd",
    "IDSelectorArray",
    "IDSelectorBatch",
    "IDSelectorBitmap",
    "IDSelectorNot",
    "IDSelectorOr",
    "IDSelectorRange",
    "IDSelectorXOr",
    "as_selector",
]

Ids = NDArray[np.int64]
Mask = NDArray[np.bool_]


class IDSelector:
    """Tells of ids whether they may be results."""

    def mask(self, ids: Ids) -> Mask:
        """Tell of each of ids (n,)."""
        raise NotImplementedError

    def is_member(self, id: int) -> bool:
        """Tell of one id."""
        return bool(self.mask(np.array([id], np.int64))[0])


class IDSelectorAll(IDSelector):
    """Every id."""

    def mask(self, ids: Ids) -> Mask:
        """As `IDSelector.mask`."""
        return np.ones(len(ids), np.bool_)


class IDSelectorRange(IDSelector):
    """Ids in [imin, imax)."""

    def __init__(self, imin: int, imax: int, assume_sorted: bool = False) -> None:
        self.imin, self.imax, self.assume_sorted = imin, imax, assume_sorted

    def mask(self, ids: Ids) -> Mask:
        """As `IDSelector.mask`."""
        inside: Mask = (ids >= self.imin) & (ids < self.imax)
        return inside


class IDSelectorBatch(IDSelector):
    """Ids of a list."""

    def __init__(self, *indices: Any) -> None:
        listed = indices[-1][: indices[0]] if len(indices) == 2 else indices[0]
        self._ids = np.ascontiguousarray(listed, dtype="int64")

    def mask(self, ids: Ids) -> Mask:
        """As `IDSelector.mask`."""
        return np.isin(ids, self._ids)


class IDSelectorArray(IDSelectorBatch):
    """Ids of a list; the same as `IDSelectorBatch` here."""


class IDSelectorBitmap(IDSelector):
    """Ids whose bits are set, lowest bits of a byte first."""

    def __init__(self, *bitmap: Any) -> None:
        given = bitmap[-1][: bitmap[0]] if len(bitmap) == 2 else bitmap[0]
        self._bytes = np.ascontiguousarray(given).view(np.uint8)

    def mask(self, ids: Ids) -> Mask:
        """As `IDSelector.mask`."""
        inside = (ids >= 0) & (ids >> 3 < len(self._bytes))
        known = np.where(inside, ids, 0)
        if not len(self._bytes):
            return inside
        bits = self._bytes[known >> 3] >> (known & 7).astype(np.uint8) & 1
        known_set: Mask = inside & (bits != 0)
        return known_set


class IDSelectorNot(IDSelector):
    """Ids that another selector does not take."""

    def __init__(self, sel: IDSelector) -> None:
        self.sel = sel

    def mask(self, ids: Ids) -> Mask:
        """As `IDSelector.mask`."""
        return ~self.sel.mask(ids)


class _Both(IDSelector):
    def __init__(self, lhs: IDSelector, rhs: IDSelector) -> None:
        self.lhs, self.rhs = lhs, rhs


class IDSelectorAnd(_Both):
    """Ids that both take."""

    def mask(self, ids: Ids) -> Mask:
        """As `IDSelector.mask`."""
        return self.lhs.mask(ids) & self.rhs.mask(ids)


class IDSelectorOr(_Both):
    """Ids that one of two takes."""

    def mask(self, ids: Ids) -> Mask:
        """As `IDSelector.mask`."""
        return self.lhs.mask(ids) | self.rhs.mask(ids)


class IDSelectorXOr(_Both):
    """Ids that exactly one of two takes."""

    def mask(self, ids: Ids) -> Mask:
        """As `IDSelector.mask`."""
        return self.lhs.mask(ids) ^ self.rhs.mask(ids)


def as_selector(ids: IDSelector | ArrayLike) -> IDSelector:
    """A selector, or ids as one. AssertionError for ids that are not one-dimensional."""
    if isinstance(ids, IDSelector):
        return ids
    if np.ndim(ids) != 1:
        raise AssertionError(f"ids must be one-dimensional, got shape {np.shape(ids)}")
    return IDSelectorBatch(ids)
