"""Metadata fields as columns: every distinct value gets a code, every row keeps an int32.

A comparison is decided once per distinct value, in numpy where values are numbers, and spread over
rows by their codes; so values keep Python's exact meaning, and a million rows take about a
millisecond.
"""

from __future__ import annotations

import json
import operator
import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearfield._ids import spread
from nearfield.collection.metadata import look_up
from nearfield.collection.where import Mask, Test

__all__ = ["Field", "GrowingArray"]

_ABSENT = object()
_OTHER, _NUMBER, _STRING, _LIST = 0, 1, 2, 3
_ORDER: dict[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip


class GrowingArray:
    """A 1-D array that rows are appended to; what was read before stays as it was."""

    def __init__(self, dtype: Any) -> None:
        self._buffer: NDArray[Any] = np.empty(64, dtype)
        self.size = 0

    def append(self, values: Any) -> None:
        added = len(values)
        if self.size + added > len(self._buffer):
            grown = np.empty(max(2 * len(self._buffer), self.size + added), self._buffer.dtype)
            grown[: self.size] = self._buffer[: self.size]
            self._buffer = grown
        self._buffer[self.size : self.size + added] = values
        self.size += added

    def view(self, size: int | None = None) -> NDArray[Any]:
        """The first `size` values, all by default."""
        return self._buffer[: self.size if size is None else size]


class Field:
    """The distinct values of one field. Code 0 is for rows that lack it.

    One thread at a time may call `encode`; any number may call `matches` meanwhile.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._codes: dict[Any, int] = {_ABSENT: 0}
        self._values: list[Any] = [_ABSENT]
        self._kinds = GrowingArray(np.uint8)
        self._numbers = GrowingArray(np.float64)
        self._kinds.append([_OTHER])
        self._numbers.append([np.nan])
        self._tables: dict[str, Mask] = {}
        self._lock = threading.Lock()

    @property
    def distinct(self) -> int:
        """How many values there are."""
        return len(self._values) - 1

    def encode(self, rows: Iterable[Mapping[str, Any]]) -> NDArray[np.int32]:
        """Codes of the rows' values, (n,)."""
        name, codes, absent = self.name, self._codes, _ABSENT
        found = []
        for row in rows:
            value = look_up(row, name, absent)
            key = _key(value)
            code = codes.get(key)
            found.append(self._add(key, value) if code is None else code)
        return np.array(found, np.int32)

    def _add(self, key: Any, value: Any) -> int:
        kind, number = _OTHER, np.nan
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            kind, number = _NUMBER, float(value)
        elif isinstance(value, str):
            kind = _STRING
        elif isinstance(value, list):
            kind = _LIST
        code = len(self._values)
        self._kinds.append([kind])
        self._numbers.append([number])
        self._values.append(value)  # after its facts: readers go by the length of this list
        self._codes[key] = code
        return code

    def matches(self, test: Test, codes: NDArray[np.int32]) -> Mask:
        """Which of the rows with these codes meet the test, (n,) bool."""
        if test.op == "exists":
            return np.not_equal(codes, 0)
        if test.op in ("==", "in"):
            wanted = test.operand if test.op == "in" else (test.operand,)
            known = {self._codes.get(_key(value), -1) for value in wanted} - {-1}
            if len(known) <= 1:
                return np.equal(codes, known.pop() if known else -1)
            table = np.zeros(len(self._values), np.bool_)
            table[list(known)] = True
            return spread(table, codes)
        return spread(self._table(test), codes)

    def _table(self, test: Test) -> Mask:
        """Which codes meet a test; kept, and extended when values have come since."""
        with self._lock:
            known = self._tables.pop(test.key, np.zeros(0, np.bool_))
            size = len(self._values)
            if len(known) < size:
                fresh = self._decide(test, len(known), size)
                known = np.concatenate([known, fresh])
            while len(self._tables) >= 64:  # the least recently used goes
                self._tables.pop(next(iter(self._tables)))
            self._tables[test.key] = known
            return known

    def _decide(self, test: Test, start: int, stop: int) -> Mask:
        kinds = self._kinds.view(stop)[start:]
        out = np.zeros(stop - start, np.bool_)
        if test.op == "contains":
            for i in np.flatnonzero(kinds >= _STRING):
                out[i] = _contains(self._values[start + i], test.operand)
        elif isinstance(test.operand, str):
            compare = _ORDER[test.op]
            for i in np.flatnonzero(kinds == _STRING):
                out[i] = compare(self._values[start + i], test.operand)
        else:
            numbers = self._numbers.view(stop)[start:]
            bound = float(test.operand)
            out = np.asarray(_ORDER[test.op](numbers, bound))  # nan, of no number, is never so
            for i in np.flatnonzero(numbers == bound):  # integers beyond 2**53 may round to equal
                out[i] = _ORDER[test.op](self._values[start + i], test.operand)
        return out


def _key(value: Any) -> Any:
    if isinstance(value, bool):
        return (value,)  # or True would be 1
    if isinstance(value, (list, Mapping)):
        return ("json", json.dumps(value, sort_keys=True, ensure_ascii=False))
    return value


def _contains(value: Any, operand: Any) -> bool:
    if isinstance(value, str):
        return isinstance(operand, str) and operand in value
    key = _key(operand)
    return any(_key(element) == key for element in value)
