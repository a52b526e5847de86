"""Static models: a vector for each token of a vocabulary, and the mean of a text's tokens."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearfield._optional import MissingExtraError, import_extra
from nearfield.embed.model import Batch, Work, batches_of, prompted
from nearfield.embed.settings import Settings

__all__ = ["Model2Vec", "WordLlama", "load", "model2vec_from"]

_BATCH = 1024  # looking up is quick: small batches would spend their time in calls


def load(settings: Settings) -> WordLlama:
    """Load WordLlama's 256-d weights from its package.

    The files are read without importing the package, which would set up the root logger and bring
    a downloader in.
    """
    settings.refuse("wordllama", "layer", "pooling", "device", "dtype", "revision")
    found = find_spec("wordllama")
    if found is None or found.origin is None:
        message = (
            "the wordllama encoder needs the package wordllama: pip install 'nearfield[models]'"
        )
        raise MissingExtraError(message, name="wordllama")
    folder = Path(found.origin).parent
    safetensors = import_extra("safetensors.numpy", "models", "the wordllama encoder")
    tokenizers = import_extra("tokenizers", "models", "the wordllama encoder")
    (matrix,) = safetensors.load_file(folder / "weights/l2_supercat_256.safetensors").values()
    file = folder / "tokenizers/l2_supercat_tokenizer_config.json"
    tokenizer = tokenizers.Tokenizer.from_file(str(file))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return WordLlama(matrix, tokenizer, settings.max_length)


class WordLlama:
    """The mean of token vectors taken from large language models' embedding layers."""

    name = "wordllama"
    prompts: Mapping[str, str] = {}

    def __init__(self, matrix: NDArray[Any], tokenizer: Any, max_length: int | None) -> None:
        self._matrix = matrix.astype(np.float32)
        self._tokenizer = tokenizer
        self._max_length = max_length
        self.dim = self._matrix.shape[1]
        self.fingerprint = f"wordllama-{version('wordllama')} max_length={max_length}"

    def encode(self, texts: Sequence[str], work: Work) -> Iterator[Batch]:
        """Yield batches in order; a text without tokens gets zeros."""
        for batch in batches_of(len(texts), _BATCH):
            asked = prompted([texts[row] for row in batch], work.prompt)
            encoded = self._tokenizer.encode_batch_fast(asked, add_special_tokens=False)
            yield batch, self._means([found.ids[: self._max_length] for found in encoded])

    def _means(self, ids: list[list[int]]) -> NDArray[np.float32]:
        lengths = np.array([len(row) for row in ids])
        means = np.zeros((len(ids), self.dim), dtype=np.float32)
        kept = np.flatnonzero(lengths)
        if kept.size:
            flat = np.concatenate([np.asarray(ids[row], dtype=np.int64) for row in kept])
            np.clip(flat, 0, len(self._matrix) - 1, out=flat)
            starts = np.concatenate([[0], np.cumsum(lengths[kept])[:-1]])
            means[kept] = np.add.reduceat(self._matrix[flat], starts) / lengths[kept, None]
        return means


def model2vec_from(path: Path, settings: Settings) -> Model2Vec:
    """Load a folder saved by model2vec."""
    settings.refuse("model2vec", "layer", "pooling", "device", "dtype", "revision")
    package = import_extra("model2vec", "models", "a model2vec encoder")
    return Model2Vec(path.name, package.StaticModel.from_pretrained(path), settings.max_length)


class Model2Vec:
    """A model that model2vec has distilled from a transformer."""

    prompts: Mapping[str, str] = {}

    def __init__(self, name: str, model: Any, max_length: int | None) -> None:
        self.name = name
        self._model = model
        self._max_length = max_length
        self.dim = int(model.dim)
        matrix = np.ascontiguousarray(model.embedding)
        digest = hashlib.blake2b(matrix.tobytes(), digest_size=6).hexdigest()
        self.fingerprint = f"model2vec:{digest} max_length={max_length}"

    def encode(self, texts: Sequence[str], work: Work) -> Iterator[Batch]:
        """Yield batches in order; a text without tokens gets zeros."""
        for batch in batches_of(len(texts), _BATCH):
            asked = prompted([texts[row] for row in batch], work.prompt)
            vectors = self._model.encode(asked, max_length=self._max_length, batch_size=_BATCH)
            yield batch, np.nan_to_num(np.asarray(vectors, dtype=np.float32))
