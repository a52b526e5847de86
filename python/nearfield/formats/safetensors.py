"""safetensors: a length, a JSON header, and the bytes of the tensors end to end."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["read", "write"]

_DTYPES = {"F32": "<f4", "F64": "<f8", "F16": "<f2", "I8": "i1", "U8": "u1", "I64": "<i8"}
_MOST_HEADER = 100_000_000  # what the format itself allows


def read(path: Path) -> tuple[NDArray[Any], Sequence[int] | Sequence[str] | None]:
    """Map the tensor `vectors`, or the only 2-D one; ids from `ids` or `ids.offsets`."""
    tensors = _tensors(path)
    matrices = [name for name, tensor in tensors.items() if tensor.ndim == 2]
    name = "vectors" if "vectors" in matrices else matrices[0] if len(matrices) == 1 else None
    if name is None:
        raise ValueError(f"{path} must hold one 2-D tensor or one named vectors, got {matrices}")
    vectors = tensors[name]
    if "ids.offsets" in tensors and "ids.utf8" in tensors:
        return vectors, _texts(path, tensors["ids.offsets"], tensors["ids.utf8"], len(vectors))
    ids = tensors.get("ids")
    if ids is None:
        return vectors, None
    if ids.dtype != np.dtype("<i8") or ids.shape != (len(vectors),):
        raise ValueError(f"{path} must hold one int64 id a vector, got {ids.dtype} {ids.shape}")
    return vectors, ids.tolist()


def write(path: Path, vectors: NDArray[np.float32], ids: Any) -> None:
    """Write a tensor `vectors`, and ids as int64 `ids` or as UTF-8 with offsets."""
    arrays: dict[str, NDArray[Any]] = {"vectors": vectors.astype("<f4", copy=False)}
    if isinstance(ids, list):
        parts = [id.encode("utf-8", "surrogatepass") for id in ids]
        arrays["ids.offsets"] = np.cumsum([0, *map(len, parts)]).astype("<i8")
        arrays["ids.utf8"] = np.frombuffer(b"".join(parts), np.uint8)
    elif ids is not None:
        arrays["ids"] = ids.astype("<i8", copy=False)
    header: dict[str, Any] = {}
    at = 0
    for name, array in arrays.items():
        dtype = next(d for d, known in _DTYPES.items() if np.dtype(known) == array.dtype)
        header[name] = {
            "dtype": dtype, "shape": list(array.shape), "data_offsets": [at, at + array.nbytes]
        }  # fmt: skip
        at += array.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for array in arrays.values():
            file.write(np.ascontiguousarray(array).data)


def _tensors(path: Path) -> dict[str, NDArray[Any]]:
    """Every tensor of a dtype known here, as a view; the header is believed in nothing."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(size - 8, _MOST_HEADER):
            raise ValueError(f"{path} must begin with the length of its header, got {length}")
        try:
            header = json.loads(file.read(length))
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{path} must have a JSON header, got: {error}") from None
    if not isinstance(header, dict):
        raise ValueError(f"{path} must have an object as header, got {type(header).__name__}")
    end = size - 8 - length
    data = np.memmap(path, np.uint8, mode="r", offset=8 + length) if end else np.empty(0, np.uint8)
    return {
        name: _tensor(path, name, entry, data)
        for name, entry in header.items()
        if name != "__metadata__" and isinstance(entry, dict) and entry.get("dtype") in _DTYPES
    }


def _tensor(path: Path, name: str, entry: dict[str, Any], data: NDArray[np.uint8]) -> NDArray[Any]:
    dtype = np.dtype(_DTYPES[entry["dtype"]])
    shape, offsets = entry.get("shape"), entry.get("data_offsets")
    if (
        not isinstance(shape, list)
        or not isinstance(offsets, list)
        or len(offsets) != 2
        or any(type(number) is not int or number < 0 for number in [*shape, *offsets])
    ):
        raise ValueError(f"{path} must give {name!r} a shape and two offsets, got {entry}")
    elements = 1
    for number in shape:
        elements *= number
    begin, end = offsets
    if begin > end or end > len(data) or elements * dtype.itemsize != end - begin:
        raise ValueError(f"{path} must hold the bytes of {name!r}, got {entry}")
    return data[begin:end].view(dtype).reshape(shape)


def _texts(path: Path, offsets: NDArray[Any], heap: NDArray[Any], n: int) -> list[str]:
    fits = offsets.dtype == np.dtype("<i8") and offsets.shape == (n + 1,) and heap.ndim == 1
    listed = offsets.tolist() if fits else []
    rises = all(a <= b for a, b in pairwise(listed))
    if not fits or not rises or listed[0] != 0 or listed[-1] != len(heap):
        raise ValueError(f"{path} must hold one text id a vector ({n})")
    text = heap.tobytes()
    try:
        return [text[a:b].decode("utf-8", "surrogatepass") for a, b in pairwise(listed)]
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} must hold ids in UTF-8, got: {error}") from None
