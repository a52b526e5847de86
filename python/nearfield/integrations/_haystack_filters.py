"""Haystack's filters as conditions of a collection, where the two say exactly the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["as_where"]

_FIELDS = {"content", "blob", "embedding", "score", "sparse_embedding", "meta"}


def as_where(filters: Mapping[str, Any]) -> dict[str, Any] | None:
    """The condition on rows ``{"id": ..., "meta": {...}}``, None where there is none.

    Haystack compares strings that look like dates as dates, and takes True for 1: filters on such
    values, and on fields that are no metadata, are left to its own code.
    """
    if "field" in filters:
        return _comparison(str(filters["field"]), filters["operator"], filters["value"])
    parts = [as_where(part) for part in filters["conditions"]]
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return None
    operator = filters["operator"]
    if operator == "NOT":
        return {"$not": {"$and": known}}
    return {"$and" if operator == "AND" else "$or": known}


def _comparison(field: str, operator: str, value: Any) -> dict[str, Any] | None:
    name = field.removeprefix("meta.")
    if name in _FIELDS or (name == field and "." in field):
        return None
    where = "id" if field == "id" else f"meta.{name}"
    if operator in ("<", "<=", ">", ">="):
        return {where: {operator: value}} if _is_number(value) else None
    wanted = value if operator in ("in", "not in") else [value]
    if not isinstance(wanted, list) or not all(_is_plain(one) for one in wanted):
        return None
    equal: dict[str, Any] = {where: {"in": wanted}}
    if None in wanted:  # a field that is missing has the value None there
        equal = {"$or": [equal, {"$not": {where: {"exists": True}}}]}
    return {"$not": equal} if operator in ("!=", "not in") else equal


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value == value


def _is_plain(value: Any) -> bool:
    """Whether it equals what Python says it equals, and neither a date nor a bool."""
    if isinstance(value, str):
        return not (len(value) >= 10 and value[:4].isdigit() and value[4] == "-")
    return value is None or (_is_number(value) and value not in (0, 1) and abs(value) < 2**63)
