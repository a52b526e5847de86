"""Indexes round other indexes: id maps, refining, transforms."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearfield.compat.faiss.flat import IndexFlat, Positional
from nearfield.compat.faiss.index import Found, Index, Mask, Matrix, as_matrix, measured
from nearfield.compat.faiss.parameters import (
    IndexRefineSearchParameters,
    SearchParametersPreTransform,
)
from nearfield.compat.faiss.transforms import VectorTransform
from nearfield.index import RangeNeighbors

__all__ = ["IndexIDMap", "IndexIDMap2", "IndexPreTransform", "IndexRefine", "IndexRefineFlat"]

Ids = NDArray[np.int64]


class _Wrapper(Index):
    """An index that passes its work on."""

    index: Any = None

    def __init__(self, index: Index) -> None:
        super().__init__(index.d, index.metric_type)
        self.index = index
        self.is_trained = index.is_trained

    @property
    def ntotal(self) -> int:
        """Vectors held."""
        return int(self.index.ntotal)

    def reset(self) -> None:
        """Remove all vectors; what was learned stays."""
        self.index.reset()

    def _train(self, rows: Matrix) -> None:
        self.index._train(rows)
        self.is_trained = self.index.is_trained


class IndexIDMap(_Wrapper):
    """Ids of the user's for an index whose ids are positions.

    Parameters
    ----------
    index : Index
        Empty.
    """

    id_map: Ids = np.empty(0, np.int64)
    """(ntotal,) ids by position."""

    def __init__(self, index: Index) -> None:
        if index.ntotal:
            raise RuntimeError("index must be empty on input")
        super().__init__(index)
        self.id_map = np.empty(0, np.int64)

    def add(self, x: Any, **_: Any) -> None:
        """Raise RuntimeError: ids are needed, so `add_with_ids` it must be."""
        as_matrix(x, self.d)
        raise RuntimeError("add does not make sense with IndexIDMap, use add_with_ids")

    def reset(self) -> None:
        """Remove all vectors; what was learned stays."""
        super().reset()
        self.id_map = np.empty(0, np.int64)

    def _add(self, rows: Matrix, ids: Ids | None) -> None:
        assert ids is not None
        self.index._add(rows, None)
        self.id_map = np.concatenate([self.id_map, ids])

    def _search(self, rows: Matrix, k: int, params: Any, allowed: Mask | None) -> Found:
        distances, places = self.index._search(rows, k, params, self._inner(allowed))
        return distances, self._named(places)

    def _range(
        self, rows: Matrix, radius: float, params: Any, allowed: Mask | None
    ) -> RangeNeighbors:
        found = self.index._range(rows, radius, params, self._inner(allowed))
        return RangeNeighbors(found.lims, self._named(found.ids), found.distances)

    def _named(self, places: Ids) -> Ids:
        if not len(self.id_map):
            return places
        return np.where(places >= 0, self.id_map[places], -1)

    def _inner(self, allowed: Mask | None) -> Mask | None:
        """The mask in the order that the inner index counts."""
        return allowed if allowed is None else allowed[self.index._ids()]

    def _remove(self, mask: Mask) -> None:
        places = self.index._ids()
        if not self.index._keeps_ids():
            self.index._remove(mask)
        else:  # lists name positions, which move up
            kept = self.index._get(np.flatnonzero(~mask))
            self.index._remove(np.ones(len(places), np.bool_))
            self.index._next = 0
            self.index._add(kept, None)
        self.id_map = self.id_map[~mask]

    def _ids(self) -> Ids:
        return self.id_map

    def _keeps_ids(self) -> bool:
        return True

    def _get(self, ids: Ids) -> Matrix:
        raise RuntimeError("reconstruct not implemented for this type of index")


class IndexIDMap2(IndexIDMap):
    """An `IndexIDMap` that can give vectors by id."""

    def _get(self, ids: Ids) -> Matrix:
        order = np.argsort(self.id_map, kind="stable")
        at = np.searchsorted(self.id_map, ids, sorter=order)
        places = order[np.minimum(at, len(order) - 1)] if len(order) else at
        if not len(order) or (self.id_map[places] != ids).any():
            raise RuntimeError(f"key not found among {len(order)} ids")
        found: Matrix = self.index._get(places)
        return found


class IndexPreTransform(_Wrapper):
    """An index of transformed vectors.

    Parameters
    ----------
    ltrans : VectorTransform, optional
    index : Index
    """

    chain: Any = None
    """Transforms, first to last."""

    def __init__(self, *parts: Any) -> None:
        *transforms, index = parts
        if len(transforms) > 1:
            raise TypeError("IndexPreTransform takes a transform and an index, or an index")
        super().__init__(index)
        self.chain = []
        for transform in transforms:
            self.prepend_transform(transform)

    def prepend_transform(self, transform: VectorTransform) -> None:
        """Put a transform before the others."""
        if transform.d_out != self.d:
            raise RuntimeError(f"transform must have d_out = {self.d}, got {transform.d_out}")
        self.chain.insert(0, transform)
        self.d = transform.d_in
        self.is_trained = self.is_trained and transform.is_trained

    def apply_chain(self, x: Matrix) -> Matrix:
        """Transform vectors (n, d)."""
        for transform in self.chain:
            x = transform.apply(x)
        return x

    def reverse_chain(self, x: Matrix) -> Matrix:
        """Undo `apply_chain`, as far as that is possible."""
        for transform in reversed(self.chain):
            x = transform.reverse_transform(x)
        return x

    def _train(self, rows: Matrix) -> None:
        for transform in self.chain:
            if not transform.is_trained:
                transform.train(rows)
            rows = transform.apply(rows)
        if not self.index.is_trained:
            self.index._train(rows)
        self.is_trained = True

    def _add(self, rows: Matrix, ids: Ids | None) -> None:
        self.index._add(self.apply_chain(rows), ids)

    def _search(self, rows: Matrix, k: int, params: Any, allowed: Mask | None) -> Found:
        if isinstance(params, SearchParametersPreTransform):
            params = params.index_params
        found: Found = self.index._search(self.apply_chain(rows), k, params, allowed)
        return found

    def _range(
        self, rows: Matrix, radius: float, params: Any, allowed: Mask | None
    ) -> RangeNeighbors:
        if isinstance(params, SearchParametersPreTransform):
            params = params.index_params
        found: RangeNeighbors = self.index._range(self.apply_chain(rows), radius, params, allowed)
        return found

    def _allowed(self, params: Any) -> Mask | None:
        inner = params.index_params if isinstance(params, SearchParametersPreTransform) else params
        mask: Mask | None = self.index._allowed(inner)
        return mask

    def _get(self, ids: Ids) -> Matrix:
        return self.reverse_chain(self.index._get(ids))

    def _remove(self, mask: Mask) -> None:
        self.index._remove(mask)

    def _ids(self) -> Ids:
        ids: Ids = self.index._ids()
        return ids

    def _keeps_ids(self) -> bool:
        return bool(self.index._keeps_ids())


class IndexRefine(Index):
    """The answers of a base index, ordered by the distances of a second one.

    Parameters
    ----------
    base_index : Index
    refine_index : Index
        Of the same vectors, with positions for ids.
    """

    base_index: Any = None
    refine_index: Any = None
    k_factor: float = 1.0
    """How many times k the base index is asked for."""

    def __init__(self, base_index: Index, refine_index: Index) -> None:
        super().__init__(base_index.d, base_index.metric_type)
        if not isinstance(refine_index, Positional) or refine_index.d != base_index.d:
            raise RuntimeError("refine_index must be a flat index of the same d")
        if refine_index.ntotal != base_index.ntotal:
            raise RuntimeError("base_index and refine_index must hold the same vectors")
        self.base_index, self.refine_index = base_index, refine_index
        self.is_trained = base_index.is_trained and refine_index.is_trained

    @property
    def ntotal(self) -> int:
        """Vectors held."""
        return int(self.refine_index.ntotal)

    def reset(self) -> None:
        """Remove all vectors; what was learned stays."""
        self.base_index.reset()
        self.refine_index.reset()

    def _train(self, rows: Matrix) -> None:
        self.base_index._train(rows)
        self.refine_index._train(rows)
        self.is_trained = True

    def _add(self, rows: Matrix, ids: Ids | None) -> None:
        if ids is not None:
            raise RuntimeError("add_with_ids not implemented for this type of index")
        self.base_index._add(rows, None)
        self.refine_index._add(rows, None)

    def _search(self, rows: Matrix, k: int, params: Any, allowed: Mask | None) -> Found:
        factor = self.k_factor
        if isinstance(params, IndexRefineSearchParameters):
            factor, params = params.k_factor, params.base_index_params
        if factor < 1:
            raise RuntimeError(f"k_factor must be at least 1, got {factor}")
        inner = allowed if allowed is None else allowed[self.base_index._ids()]
        _, candidates = self.base_index._search(rows, int(k * factor), params, inner)
        fetch = self.refine_index._get
        return self._as_found(measured(fetch, self.metric_type, rows, candidates, k))

    def _get(self, ids: Ids) -> Matrix:
        found: Matrix = self.refine_index._get(ids)
        return found

    def _remove(self, mask: Mask) -> None:
        raise RuntimeError("remove_ids not implemented for this type of index")


class IndexRefineFlat(IndexRefine):
    """An `IndexRefine` whose second index is an `IndexFlat`.

    Parameters
    ----------
    base_index : Index
        Empty.
    """

    def __init__(self, base_index: Index) -> None:
        super().__init__(base_index, IndexFlat(base_index.d, base_index.metric_type))
