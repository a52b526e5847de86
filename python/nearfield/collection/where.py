"""`where=`: conditions on metadata, checked and turned into a small tree."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["All", "AnyOf", "Not", "Test", "Where", "parse"]

MAX_DEPTH = 32
MAX_TESTS = 1024
MAX_LISTED = 65_536

COMPARISONS = ("==", "!=", "<", "<=", ">", ">=", "in", "not in", "contains", "exists")

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Test:
    """One comparison of one field. `operand` is a scalar, or a tuple of scalars for "in"."""

    field: str
    op: str  # "==", "<", "<=", ">", ">=", "in", "contains" or "exists"
    operand: Any

    @property
    def key(self) -> str:
        return json.dumps([self.field, self.op, self.operand])


@dataclass(frozen=True)
class All:
    parts: tuple[Node, ...]


@dataclass(frozen=True)
class AnyOf:
    parts: tuple[Node, ...]


@dataclass(frozen=True)
class Not:
    part: Node


Node = Test | All | AnyOf | Not


@dataclass(frozen=True)
class Where:
    """A parsed condition."""

    root: Node
    key: str
    """The same for conditions that say the same in the same words."""
    fields: frozenset[str]

    def mask(self, test: Callable[[Test], Mask]) -> Mask:
        """Rows that meet the condition, given the rows that meet each test."""
        return _mask(self.root, test)

    def equals(self, field: str) -> Any:
        """The value that `field` must equal in every row that meets the condition, else None."""
        parts = self.root.parts if isinstance(self.root, All) else (self.root,)
        for part in parts:
            if isinstance(part, Test) and part.field == field and part.op == "==":
                return part.operand
        return None


def parse(where: Any) -> Where:
    """Check a condition.

    Raises
    ------
    TypeError, ValueError
        The message names the place in the condition, the rule and the value.
    """
    counter = _Counter()
    root = _conditions(where, "where", 1, counter)
    return Where(root, _key(root), frozenset(counter.fields))


class _Counter:
    def __init__(self) -> None:
        self.tests = 0
        self.fields: set[str] = set()

    def add(self, field: str) -> None:
        self.tests += 1
        self.fields.add(field)
        if self.tests > MAX_TESTS:
            raise ValueError(f"where must have at most {MAX_TESTS} comparisons, got more")


def _conditions(where: Any, name: str, depth: int, counter: _Counter) -> Node:
    if not isinstance(where, Mapping):
        raise TypeError(f"{name} must be a dict, got {type(where).__name__}")
    if depth > MAX_DEPTH:
        raise ValueError(f"where must be at most {MAX_DEPTH} levels deep, got more")
    parts: list[Node] = []
    for key, value in where.items():
        if not isinstance(key, str):
            raise TypeError(f"{name} must have str keys, got {key!r}")
        if key in ("$and", "$or"):
            inner = _listed(value, f"{name}[{key!r}]")
            nodes = tuple(
                _conditions(part, f"{name}[{key!r}][{i}]", depth + 1, counter)
                for i, part in enumerate(inner)
            )
            parts.append(All(nodes) if key == "$and" else AnyOf(nodes))
        elif key == "$not":
            parts.append(Not(_conditions(value, f"{name}['$not']", depth + 1, counter)))
        elif key.startswith("$"):
            raise ValueError(f"{name} must use '$and', '$or' or '$not', got {key!r}")
        else:
            parts.extend(_tests(key, value, f"{name}[{key!r}]", counter))
    return parts[0] if len(parts) == 1 else All(tuple(parts))


def _tests(field: str, value: Any, name: str, counter: _Counter) -> list[Node]:
    if not isinstance(value, Mapping):
        counter.add(field)
        return [Test(field, "==", _scalar(value, name))]
    if not value:
        raise ValueError(f"{name} must hold a comparison such as {{'>=': 1}}, got {{}}")
    parts: list[Node] = []
    for op, operand in value.items():
        counter.add(field)
        parts.append(_test(field, op, operand, f"{name}[{op!r}]"))
    return parts


def _test(field: str, op: Any, operand: Any, name: str) -> Node:
    if op not in COMPARISONS:
        known = ", ".join(repr(known) for known in COMPARISONS)
        raise ValueError(f"where must compare by one of {known}, got {op!r}")
    if op == "exists":
        if not isinstance(operand, bool):
            raise TypeError(f"{name} must be True or False, got {operand!r}")
        test = Test(field, "exists", True)
        return test if operand else Not(test)
    if op in ("in", "not in"):
        listed = _listed(operand, name)
        if len(listed) > MAX_LISTED:
            raise ValueError(f"{name} must list at most {MAX_LISTED} values, got {len(listed)}")
        test = Test(field, "in", tuple(_scalar(v, f"{name}[{i}]") for i, v in enumerate(listed)))
        return test if op == "in" else Not(test)
    operand = _scalar(operand, name)
    if op == "!=":
        return Not(Test(field, "==", operand))
    if op in ("<", "<=", ">", ">=") and (
        isinstance(operand, bool) or not isinstance(operand, (int, float, str))
    ):
        raise TypeError(f"{name} must be a number or a str, which have an order, got {operand!r}")
    return Test(field, op, operand)


def _listed(value: Any, name: str) -> list[Any]:
    if isinstance(value, (list, tuple, set, frozenset, range)):
        return list(value)
    raise TypeError(f"{name} must be a list, got {type(value).__name__}")


def _scalar(value: Any, name: str) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (str, bool)):
        return value
    if isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            raise ValueError(f"{name} must fit int64, got {value}")
        return value
    if isinstance(value, float):
        if math.isnan(value):
            raise ValueError(f"{name} must be a number, got nan")
        return value
    raise TypeError(f"{name} must be a str, number, bool or None, got {type(value).__name__}")


def _mask(node: Node, test: Callable[[Test], Mask]) -> Mask:
    if isinstance(node, Test):
        return test(node)
    if isinstance(node, Not):
        return ~_mask(node.part, test)
    masks = [_mask(part, test) for part in node.parts]
    if not masks:  # every row meets all of no conditions, none meets one of none
        everything = test(Test("", "exists", True))
        empty = np.zeros_like(everything)
        return ~empty if isinstance(node, All) else empty
    combine = np.logical_and if isinstance(node, All) else np.logical_or
    out = masks[0]
    for mask in masks[1:]:
        out = combine(out, mask)
    return out


def _key(node: Node) -> str:
    if isinstance(node, Test):
        return node.key
    if isinstance(node, Not):
        return f"!{_key(node.part)}"
    sign = "&" if isinstance(node, All) else "|"
    return sign + "(" + " ".join(_key(part) for part in node.parts) + ")"
