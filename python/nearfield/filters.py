"""Which vectors may be results: ids, a mask, or everything but some ids."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from nearfield._core import PreparedFilter

__all__ = ["Exclude", "PreparedFilter", "exclude"]


class Exclude(NamedTuple):
    """A filter that lets in everything but `ids`; made by `exclude`."""

    ids: Any


def exclude(ids: Any) -> Exclude:
    """Keep these ids out of the results.

    Parameters
    ----------
    ids : int, str or sequence of them
        Ids that the index does not hold are ignored.

    Returns
    -------
    Exclude
        For the `filter` argument of `search` and `range_search`.

    Examples
    --------
    >>> import nearfield as nf, numpy as np
    >>> index = nf.Flat(dim=2, metric="l2")
    >>> _ = index.add(np.eye(2, dtype=np.float32))
    >>> index.search([1.0, 0.0], k=1, filter=nf.exclude([0])).ids
    array([1])
    """
    if isinstance(ids, PreparedFilter):
        raise TypeError(
            "ids must be ids, got a PreparedFilter; index.prepare(nf.exclude(ids)) makes one that "
            "keeps ids out"
        )
    if isinstance(ids, np.ndarray) and ids.dtype == np.bool_:
        raise TypeError("ids must be ids, got a bool mask; its inverse, ~mask, is a filter")
    return Exclude(ids)


def as_core_filter(
    filter: Any, as_keys: Callable[[Any], NDArray[np.int64]]
) -> tuple[str, Any] | None:
    """Translate the public filter into what the core takes; `as_keys` turns ids into int64."""
    if filter is None:
        return None
    if isinstance(filter, PreparedFilter):
        return "prepared", filter
    if isinstance(filter, Exclude):
        return "exclude", as_keys(filter.ids)
    if hasattr(filter, "__array__") and not isinstance(filter, (np.ndarray, np.generic)):
        filter = np.asarray(filter)  # a pandas column, a tensor
    if callable(filter) or isinstance(filter, Mapping):
        raise TypeError(
            "filter must be ids, a bool mask in the order of index.ids, or nf.exclude(ids), "
            f"got {type(filter).__name__}"
        )
    if isinstance(filter, tuple) and filter and isinstance(filter[0], np.ndarray):
        raise TypeError(
            "filter must be ids or a bool mask, got a tuple of arrays, such as np.where(mask) "
            "gives; pass the mask itself"
        )
    if isinstance(filter, (list, tuple)) and filter and isinstance(filter[0], (bool, np.bool_)):
        filter = np.asarray(filter)
        if filter.dtype != np.bool_:
            raise TypeError("filter must be a bool mask or ids, got bools and others in one list")
    if isinstance(filter, np.ndarray) and filter.dtype == np.bool_:
        if filter.ndim != 1:
            raise ValueError(f"filter must be a 1-D mask or ids, got shape {filter.shape}")
        return "mask", np.ascontiguousarray(filter)
    if isinstance(filter, np.ndarray) and filter.dtype.kind in "iu" and _looks_like_mask(filter):
        raise TypeError(
            f"filter must be of dtype bool where it is a mask, got {filter.dtype} of 0 and 1"
        )
    return "allow", as_keys(filter)


def _looks_like_mask(ids: NDArray[Any]) -> bool:
    """Whether these are 0 and 1 again and again, which name two vectors at most."""
    return ids.size > 2 and bool(ids.min() >= 0 and ids.max() <= 1)
