"""Single numbers that a user gives, checked before they reach the core."""

import operator
from typing import Any

__all__ = ["as_int"]


def as_int(value: Any, name: str, least: int = -(2**63), most: int = 2**63 - 1) -> int:
    """Turn any integer, numpy's too, into an int.

    Raises
    ------
    TypeError
        If it is no integer: 4.0 and "4" are none.
    ValueError
        If it is out of range.
    """
    try:
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an int, got {value!r}") from None
    if not least <= number <= most:
        raise ValueError(f"{name} must be in {least}..{most}, got {number}")
    return number
