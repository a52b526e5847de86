"""Conditions as other vector stores write them, in the words of a collection's `where`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["as_where", "both"]

_COMPARISONS = {
    "$eq": "==", "$ne": "!=", "$lt": "<", "$lte": "<=", "$gt": ">", "$gte": ">=",
    "$in": "in", "$nin": "not in", "$exists": "exists", "$contains": "contains",
}  # fmt: skip


def as_where(filter: Mapping[str, Any]) -> dict[str, Any]:
    """Take ``{"year": {"$gte": 2020}}``, as Chroma and Pinecone have it, and our own words.

    Raises
    ------
    TypeError
        If a part of the filter is no dict. What `where` does not know it refuses itself.
    """
    if not isinstance(filter, Mapping):
        raise TypeError(f"filter must be a dict, got {type(filter).__name__}")
    where: dict[str, Any] = {}
    for key, value in filter.items():
        if key in ("$and", "$or"):
            where[key] = [as_where(part) for part in value]
        elif key == "$not":
            where[key] = as_where(value)
        elif isinstance(value, Mapping):
            where[key] = {_COMPARISONS.get(op, op): operand for op, operand in value.items()}
        else:
            where[key] = value
    return where


def both(*conditions: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The condition that all of these hold; None asks for nothing."""
    asked = [dict(condition) for condition in conditions if condition is not None]
    if not asked:
        return None
    return asked[0] if len(asked) == 1 else {"$and": asked}
