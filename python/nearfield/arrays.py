"""The one place where a user's array becomes float32, C-ordered and 1-D or 2-D."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["as_matrix"]


def as_matrix(values: Any, name: str) -> NDArray[np.float32]:
    """Turn any array of numbers into a float32 C-ordered array, without a copy where it is one.

    Parameters
    ----------
    values : array_like, shape (n, dim) or (dim,)
        numpy (any float or integer dtype, any order), torch, DLPack, an Arrow fixed-size list, a
        memmap or nested lists.
    name : str
        What errors call it.

    Returns
    -------
    ndarray, shape (n, dim) or (dim,), float32

    Raises
    ------
    TypeError
        If the values are not numbers.
    ValueError
        If they do not form one or two dimensions.
    """
    array = _as_numpy(values, name)
    kind = array.dtype.kind
    if kind not in "fiu" and array.dtype.name != "bfloat16":
        raise TypeError(f"{name} must be numbers, got dtype {array.dtype}")
    if array.ndim not in (1, 2):
        raise ValueError(f"{name} must be a (n, dim) array, got shape {array.shape}")
    with np.errstate(over="ignore"):  # what overflows is infinite, and reported as that
        return np.ascontiguousarray(array, dtype=np.float32)


def _as_numpy(values: Any, name: str) -> NDArray[Any]:
    if isinstance(values, np.ndarray):
        return values
    if hasattr(values, "detach") and hasattr(values, "cpu"):  # torch, of any device and dtype
        return _from_torch(values)
    list_size = getattr(getattr(values, "type", None), "list_size", None)
    if list_size is not None:  # Arrow
        flat = np.asarray(values.flatten().to_numpy(zero_copy_only=False))
        return flat.reshape(len(values), list_size)
    if hasattr(values, "__dlpack__") and not hasattr(values, "__array__"):
        return np.from_dlpack(values)
    try:
        return np.asarray(values)
    except ValueError:
        raise ValueError(f"{name} must be a (n, dim) array, got rows of unequal length") from None


def _from_torch(tensor: Any) -> NDArray[Any]:
    tensor = tensor.detach().cpu()
    if str(tensor.dtype) == "torch.bfloat16":  # numpy has no such dtype
        tensor = tensor.float()
    return np.asarray(tensor.numpy())
