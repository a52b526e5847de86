"""Single numbers that a user gives, checked before they reach the core."""

import operator
from typing import Any

__all__ = ["as_int", "as_real"]


def as_int(value: Any, name: str, least: int = -(2**63), most: int = 2**63 - 1) -> int:
    """Turn any integer, numpy's too, into an int.

    Raises
    ------
    TypeError
        If it is no integer: 4.0, "4" and True are none.
    ValueError
        If it is out of range.
    """
    given: Any = None if isinstance(value, bool) else value  # numpy's has no __index__
    try:
        number = operator.index(given)
    except TypeError:
        raise TypeError(f"{name} must be an int, got {value!r}") from None
    if not least <= number <= most:
        rule = f"in {least}..{'2**64 - 1' if most == 2**64 - 1 else most}"
        if number < least and most == 2**63 - 1:
            rule = f"at least {least}"
        raise ValueError(f"{name} must be {rule}, got {number}")
    return number


def as_real(value: Any, name: str) -> float:
    """Turn any real number, numpy's too, into a float. Raises TypeError if it is none."""
    if isinstance(value, (str, bytes)):
        raise TypeError(f"{name} must be a number, got {value!r}")
    try:
        return float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name} must be a number, got {type(value).__name__}") from None
