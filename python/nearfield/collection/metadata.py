"""Metadata is JSON: what may be stored, and how it becomes text and back."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from json.encoder import encode_basestring
from typing import Any

__all__ = [
    "MAX_BYTES",
    "MAX_DEPTH",
    "as_json",
    "as_metadata",
    "as_stored",
    "check_fields",
    "look_up",
    "scan_json",
]

MAX_BYTES = 1 << 20
MAX_DEPTH = 32

_ABSENT = object()
_PLAIN = frozenset((str, int, float, bool, type(None)))  # come back from JSON as they were
_AS_JSON = {True: "true", False: "false", None: "null"}
# json.dumps makes one of these each time.
_DECODER = json.JSONDecoder()
# What raw_decode calls, where there is such a thing: no line of Python a row.
scan_json: Callable[[str, int], tuple[Any, int]] = getattr(
    _DECODER, "scan_once", _DECODER.raw_decode
)
"""The value that begins there in a JSON text, and where it ends."""
_ENCODER = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=dict)


def as_json(metadata: Any, name: str) -> str | None:
    """Check one row's metadata and give it as JSON text; None for none.

    Raises
    ------
    TypeError
        If it is no dict with str keys, or holds what JSON has not.
    ValueError
        If a number is not finite, a text is not valid Unicode, or it is too deep or too long.
    """
    if metadata is None:
        return None
    if not isinstance(metadata, Mapping):
        raise TypeError(f"{name} must be a dict or None, got {type(metadata).__name__}")
    if not metadata:
        return None
    text = _plain_json(metadata) if type(metadata) is dict else None
    if text is None:
        _check(metadata, name, 1)
        text = _ENCODER.encode(metadata)
    try:
        size = len(text) if text.isascii() else len(text.encode())
    except UnicodeEncodeError:
        raise ValueError(f"{name} must be valid Unicode, got a lone surrogate") from None
    if size > MAX_BYTES:
        raise ValueError(f"{name} must take at most {MAX_BYTES:,} bytes as JSON, got {size:,}")
    return text


def _plain_json(metadata: dict[Any, Any]) -> str | None:
    """What the encoder gives, where all values are texts, int64 and the like, in half its time."""
    parts = []
    for key, value in metadata.items():
        kind = type(value)
        if type(key) is not str:
            return None
        if kind is str:
            told = encode_basestring(value)
        elif kind is int and -(2**63) <= value < 2**63:
            told = repr(value)
        elif kind is bool or value is None:
            told = _AS_JSON[value]
        else:
            return None
        parts.append(f"{encode_basestring(key)}:{told}")
    return f"{{{','.join(parts)}}}"


def as_metadata(text: str | None) -> dict[str, Any]:
    """Stored metadata as a dict of its own."""
    if text is None:
        return {}
    value: dict[str, Any]
    value, end = _DECODER.raw_decode(text)  # json.loads spends as long again on blanks
    if end < len(text):
        raise ValueError("there is more after the metadata")
    return value


def as_stored(metadata: Any, text: str | None) -> dict[str, Any]:
    """What conditions see of metadata that became this text: tuples are lists, keys are strings."""
    if text is None:
        return {}
    if type(metadata) is dict and all(type(value) in _PLAIN for value in metadata.values()):
        return dict(metadata)
    return as_metadata(text)


def _check(value: Any, name: str, depth: int) -> None:
    if value is None or isinstance(value, (str, bool)):
        return
    if isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            raise ValueError(f"{name} must fit int64, got {value}")
        return
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{name} must be finite, got {value}")
        return
    if depth > MAX_DEPTH:
        row = name.partition("]")[0] + "]"
        raise ValueError(f"{row} must be at most {MAX_DEPTH} levels deep, got more")
    if isinstance(value, Mapping):
        for key, inner in value.items():
            if not isinstance(key, str):
                raise TypeError(f"{name} must have str keys, got {key!r}")
            _check(inner, f"{name}[{key!r}]", depth + 1)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            _check(inner, f"{name}[...]", depth + 1)
    else:
        raise TypeError(f"{name} must be JSON (str, number, bool, None, list or dict), "
                        f"got {type(value).__name__}")  # fmt: skip


def look_up(metadata: Mapping[str, Any], field: str, absent: Any = _ABSENT) -> Any:
    """The value of the field of that very name, else along the dots, else `absent`."""
    if field in metadata:
        return metadata[field]
    value: Any = metadata
    for part in field.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return absent
        value = value[part]
    return value


def check_fields(fields: Sequence[str]) -> tuple[str, ...]:
    """Names of declared fields, checked."""
    if isinstance(fields, str):
        raise TypeError("fields must be a sequence of str, got str")
    names = tuple(fields)
    for name in names:
        if not isinstance(name, str) or not name or name.startswith("$"):
            raise ValueError(f"fields must be names that do not begin with '$', got {name!r}")
    if len(set(names)) < len(names):
        raise ValueError(f"fields must be distinct, got {list(names)}")
    return names
