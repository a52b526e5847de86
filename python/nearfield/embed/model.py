"""What an embedding model must offer to be used through `Encoder`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["Batch", "Kind", "Model", "Work", "batches_of", "prompted"]

Kind = Literal["document", "query"]

Batch = tuple[Sequence[int], NDArray[np.float32]]
"""Numbers of texts, and their vectors, (len, dim)."""


@dataclass(frozen=True)
class Work:
    """How a call wants its texts encoded.

    Attributes
    ----------
    kind : "document" or "query"
    prompt : str
        Put before each text; "" for none.
    batch_size : int
        Most texts handed to the model at once.
    token_budget : int or None
        Most tokens, padding included, in a batch of a model that counts them; None lets the
        model choose.
    threads : int
        0 means all.
    """

    kind: Kind = "document"
    prompt: str = ""
    batch_size: int = 64
    token_budget: int | None = None
    threads: int = 0


class Model(Protocol):
    """An embedding model.

    Attributes
    ----------
    name : str
        What the user calls it.
    dim : int
        Length of its vectors.
    fingerprint : str
        Names the weights and every setting of the model that changes a vector. Two models with
        the same fingerprint must give the same vectors, up to rounding.
    prompts : mapping
        What the model was trained to see before texts of each kind; may be empty.
    """

    @property
    def name(self) -> str: ...
    @property
    def dim(self) -> int: ...
    @property
    def fingerprint(self) -> str: ...
    @property
    def prompts(self) -> Mapping[str, str]: ...

    def encode(self, texts: Sequence[Any], work: Work) -> Iterator[Batch]:
        """Yield the vectors of all texts, each text once, in any order."""
        ...


def batches_of(n: int, size: int) -> Iterator[range]:
    """Numbers 0..n-1 in runs of `size`."""
    for start in range(0, n, size):
        yield range(start, min(start + size, n))


def prompted(texts: Sequence[str], prompt: str) -> list[str]:
    """Texts with the prompt before each."""
    return [prompt + text for text in texts] if prompt else list(texts)
