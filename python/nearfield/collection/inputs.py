"""What users hand to a collection, checked whole before anything changes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from nearfield.arrays import as_matrix
from nearfield.collection.metadata import as_json, as_stored, look_up
from nearfield.collection.rows import NewRow
from nearfield.ids import as_int_ids, as_names, is_single

__all__ = ["Batch", "DocumentEncoder", "as_ids", "as_texts", "make_batch"]

MAX_TEXT_BYTES = 16 << 20
MAX_ID_BYTES = 4096
_STORED = np.dtype("<f4")


@runtime_checkable
class DocumentEncoder(Protocol):
    """What a collection needs of an encoder; `nearfield.embed.Encoder` is one."""

    @property
    def dim(self) -> int: ...
    @property
    def fingerprint(self) -> str:
        """Names the weights and every setting that changes a vector."""
        ...

    def encode_document(self, texts: Sequence[str]) -> NDArray[np.float32]: ...
    def encode_query(self, texts: Sequence[str]) -> NDArray[np.float32]: ...


class Batch:
    """Checked rows that have no slots yet."""

    def __init__(
        self,
        rows: list[NewRow],
        vectors: NDArray[np.float32],
        metadata: list[dict[str, Any]],
    ) -> None:
        self.rows = rows
        self.vectors = vectors
        self.metadata = metadata

    @property
    def ids(self) -> list[int | str]:
        return [row.id for row in self.rows]

    def renamed(self, ids: Sequence[int | str]) -> Batch:
        """The same rows under other ids."""
        rows = [row._replace(id=id) for row, id in zip(self.rows, ids, strict=True)]
        return Batch(rows, self.vectors, self.metadata)


def as_ids(ids: Any) -> list[int | str]:
    """Ids as a list, all int or all str."""
    plain = type(ids) is list and ids and set(map(type, ids)) == {int}
    if plain and min(ids) >= -(2**63) and max(ids) < 2**63:
        return list(ids)
    names = as_names(ids)
    found: list[Any] = as_int_ids(ids).tolist() if names is None else names
    if names is not None:
        for name in names:
            _check_utf8(name, "ids", MAX_ID_BYTES)
    return found


def as_texts(texts: Any, name: str = "texts", *, gaps: bool = False) -> list[Any]:
    """Texts as a list of valid str; with `gaps`, of str or None."""
    listed = [texts] if isinstance(texts, str) else list(texts)
    for i, text in enumerate(listed):
        if gaps and text is None:
            continue
        if not isinstance(text, str):
            raise TypeError(f"{name}[{i}] must be a str, got {type(text).__name__}")
        _check_utf8(text, f"{name}[{i}]", MAX_TEXT_BYTES)
    return listed


def make_batch(
    ids: list[int | str],
    texts: list[str | None] | None,
    vectors: NDArray[np.float32],
    metadata: Any,
    part_field: str | None,
) -> Batch:
    """Put checked ids, texts and vectors together with metadata, which is checked here."""
    _check_distinct(ids)
    listed = _as_metadata(metadata, len(ids))
    encoded = [as_json(value, f"metadata[{i}]") for i, value in enumerate(listed)]
    stored = [as_stored(value, text) for value, text in zip(listed, encoded, strict=True)]
    little = vectors if vectors.dtype is _STORED else np.ascontiguousarray(vectors, _STORED)
    rows = [
        NewRow(
            ids[i],
            None if part_field is None else _part(stored[i], part_field, i),
            encoded[i],
            None if texts is None else texts[i],
            little[i].tobytes(),
        )
        for i in range(len(ids))
    ]
    return Batch(rows, vectors, stored)


def as_vectors(vectors: Any, ids: Any) -> NDArray[np.float32]:
    """Vectors as (n, dim); a single one may come 1-D."""
    matrix = as_matrix(vectors, "vectors")
    if matrix.ndim == 1:
        if ids is not None and not is_single(ids) and len(ids) != 1:
            raise ValueError(f"vectors must be a (n, dim) array, got shape {matrix.shape}")
        matrix = matrix[None, :]
    return matrix


def _as_metadata(metadata: Any, n: int) -> list[Any]:
    if metadata is None:
        return [None] * n
    if isinstance(metadata, Mapping):
        if n != 1:
            raise ValueError(f"metadata must have one dict a row ({n}), got a single dict")
        return [metadata]
    if isinstance(metadata, (str, bytes)) or not hasattr(metadata, "__iter__"):
        raise TypeError(f"metadata must be a list of dicts, got {type(metadata).__name__}")
    listed = list(metadata)
    if len(listed) != n:
        raise ValueError(f"metadata must have one dict a row ({n}), got {len(listed)}")
    return listed


def _part(metadata: Mapping[str, Any], field: str, row: int) -> int | str | None:
    part = look_up(metadata, field, None)
    if part is None or (isinstance(part, (int, str)) and not isinstance(part, bool)):
        return part
    raise TypeError(
        f"metadata[{row}][{field!r}] must be an int or a str, as it partitions the collection, "
        f"got {part!r}"
    )


def _check_distinct(ids: Sequence[int | str]) -> None:
    if len(set(ids)) < len(ids):
        seen: set[int | str] = set()
        for id in ids:
            if id in seen:
                raise ValueError(f"ids must be distinct, got {id!r} more than once")
            seen.add(id)


def _check_utf8(text: str, name: str, limit: int) -> None:
    if 4 * len(text) <= limit and text.isascii():
        return
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        raise ValueError(
            f"{name} must be valid Unicode, got a lone surrogate at {error.start}"
        ) from None
    if size > limit:
        raise ValueError(f"{name} must take at most {limit:,} bytes, got {size:,}")
