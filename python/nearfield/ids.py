"""What users write for ids, as int64 arrays or lists of str."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["as_int_ids", "as_names", "is_single"]


def is_single(ids: Any) -> bool:
    """Whether the user named one id rather than a sequence."""
    return isinstance(ids, (int, str, np.integer)) or (
        isinstance(ids, np.ndarray) and ids.ndim == 0
    )


def as_names(ids: Any) -> list[str] | None:
    """Give the ids as a list if they are strings, None if they are not; mixtures are refused."""
    if isinstance(ids, str):
        return [ids]
    if isinstance(ids, (int, np.integer, range)):
        return None
    if isinstance(ids, np.ndarray):
        if ids.dtype.kind not in "UOT":
            return None
        if ids.ndim > 1:
            raise ValueError(f"ids must be one-dimensional, got shape {ids.shape}")
    listed = ids.ravel().tolist() if isinstance(ids, np.ndarray) else list(ids)
    strings = sum(isinstance(id, str) for id in listed)
    if strings == 0:
        return None
    if strings < len(listed):
        odd = next(id for id in listed if not isinstance(id, str))
        raise TypeError(f"ids must be all int or all str, got str and {type(odd).__name__}")
    return [str(id) for id in listed]


def as_int_ids(ids: Any) -> NDArray[np.int64]:
    """Give the ids as int64, (n,). Raises TypeError or ValueError for what is no int64."""
    array = np.asarray(list(ids) if isinstance(ids, (set, frozenset, dict)) else ids)
    if array.ndim > 1:
        raise ValueError(f"ids must be one-dimensional, got shape {array.shape}")
    if array.size == 0:
        return np.empty(0, np.int64)
    if array.dtype.kind == "O" or array.dtype == np.uint64:
        listed = array.ravel().tolist()
        for id in listed:
            if not isinstance(id, (int, np.integer)) or isinstance(id, bool):
                raise TypeError(f"ids must be int or str, got {type(id).__name__}")
            if not -(2**63) <= id < 2**63:
                raise ValueError(f"ids must fit int64, got {id}")
        array = np.array(listed, dtype=np.int64)
    if array.dtype.kind not in "iu":
        raise TypeError(f"ids must be int or str, got dtype {array.dtype}")
    return np.ascontiguousarray(array.reshape(-1), dtype=np.int64)
