"""Any function from texts to vectors as a model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearfield.embed.model import Batch, Work, batches_of, prompted

__all__ = ["CallModel"]


class CallModel:
    """Call a function of a list of str for batches of texts, one after another.

    Its dimension is found by embedding one short text. `fingerprint` is what the user says, else
    the function's name and the dimension: a function does not tell when its vectors change.
    """

    prompts: Mapping[str, str] = {}

    def __init__(self, function: Callable[[list[str]], Any], fingerprint: str | None) -> None:
        self._function = function
        self.name = str(getattr(function, "__qualname__", type(function).__name__))
        self.dim = self._call(["nearfield"]).shape[1]
        self.fingerprint = fingerprint or f"callable:{self.name}-{self.dim}"

    def encode(self, texts: Sequence[str], work: Work) -> Iterator[Batch]:
        """Yield the vectors of `batch_size` texts at a time, in order."""
        for batch in batches_of(len(texts), work.batch_size):
            yield batch, self._call(prompted([texts[row] for row in batch], work.prompt))

    def _call(self, texts: list[str]) -> NDArray[np.float32]:
        vectors = np.asarray(self._function(texts))
        if vectors.ndim != 2 or len(vectors) != len(texts):
            rule = f"model must give an array of shape ({len(texts)}, dim)"
            raise ValueError(f"{rule}, got shape {vectors.shape}")
        if not np.issubdtype(vectors.dtype, np.number):
            raise TypeError(f"model must give numbers, got dtype {vectors.dtype}")
        return vectors.astype(np.float32, copy=False)
