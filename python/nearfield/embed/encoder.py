"""The face of every embedding model: texts in, float32 vectors out."""

from __future__ import annotations

import importlib
from collections.abc import Generator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from nearfield.embed.cache import EmbeddingCache
from nearfield.progress import Progress, reporting

__all__ = ["Encoder", "Kind", "Model"]

Kind = Literal["document", "query"]

# Name -> module with a function load() that gives the Model. Imported only when asked for.
_MODELS = {"usem3": "nearfield.embed.usem3"}


class Model(Protocol):
    """What an embedding model must offer to be used through `Encoder`.

    Attributes
    ----------
    name : str
        What the user calls it.
    dim : int
        Length of its vectors.
    fingerprint : str
        Names the weights and every setting that changes a vector. Two models with the same
        fingerprint must give the same vectors, up to rounding.
    """

    @property
    def name(self) -> str: ...
    @property
    def dim(self) -> int: ...
    @property
    def fingerprint(self) -> str: ...

    def encode_batches(
        self, batches: Sequence[Sequence[str]], kind: Kind, threads: int
    ) -> Generator[NDArray[np.float32], None, None]:
        """Yield the vectors of each batch, shape (len(batch), dim), in the order given."""
        ...


class Encoder:
    """Embed texts as documents to be found or as queries that look for them.

    Parameters
    ----------
    model : str or Model
        ``"usem3"``: Universal Sentence Encoder Multilingual v3 [1]_, 512-d, 16 languages with
        Korean among them, offline, numpy only (extra ``demo``). Or an object with the
        attributes and the method of `Model`.
    batch_size : int, >= 1, default 64
        Texts handed to the model at once.
    threads : int, >= 0, default 0
        Threads used; 0 means all that this process may use.
    cache_dir : path or None, default None
        Folder in which vectors are kept by the hash of their text, so that no text is embedded
        twice by the same model. None keeps nothing. `default_cache_dir` gives the usual folder.

    Raises
    ------
    ValueError
        If `model` is not a known name, or a number is out of range.
    MissingExtraError
        If the package that holds the model is not installed.

    Notes
    -----
    Vectors have unit length. Encoding is safe from several threads at once.

    References
    ----------
    .. [1] Yang et al., "Multilingual Universal Sentence Encoder for Semantic Retrieval",
       arXiv:1907.04307.
    """

    def __init__(
        self,
        model: str | Model = "usem3",
        *,
        batch_size: int = 64,
        threads: int = 0,
        cache_dir: str | Path | None = None,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        if threads < 0:
            raise ValueError(f"threads must be at least 0, got {threads}")
        self._model = _load_model(model) if isinstance(model, str) else model
        self._batch_size = batch_size
        self._threads = threads
        self._cache: EmbeddingCache | None = None
        if cache_dir is not None:
            self._cache = EmbeddingCache(Path(cache_dir), self.fingerprint, self.dim)

    @property
    def name(self) -> str:
        """The model's name."""
        return self._model.name

    @property
    def dim(self) -> int:
        """Length of the vectors."""
        return self._model.dim

    @property
    def fingerprint(self) -> str:
        """Names the model, its version and every setting that changes a vector."""
        return self._model.fingerprint

    def __repr__(self) -> str:
        return f"Encoder({self.name!r}, dim={self.dim})"

    def encode_document(
        self, texts: str | Sequence[str], *, progress: Progress = False
    ) -> NDArray[np.float32]:
        """Embed texts that are to be found.

        Parameters
        ----------
        texts : str or sequence of str
            Time and memory grow with a text's length: split long documents into passages.
        progress : bool or callable, default False
            True shows a bar on stderr; a callable is called with ``(done, total)``.

        Returns
        -------
        ndarray, shape (n, dim), float32
            Unit vectors, row i for text i; shape (dim,) for a single str.

        Raises
        ------
        TypeError
            If `texts` holds anything but str.
        ValueError
            If a text is not valid Unicode (a lone surrogate).
        """
        return self._encode(texts, "document", progress)

    def encode_query(
        self, texts: str | Sequence[str], *, progress: Progress = False
    ) -> NDArray[np.float32]:
        """Embed texts that look for documents; arguments as for `encode_document`."""
        return self._encode(texts, "query", progress)

    def _encode(
        self, texts: str | Sequence[str], kind: Kind, progress: Progress
    ) -> NDArray[np.float32]:
        if isinstance(texts, str):
            vector: NDArray[np.float32] = self._encode([texts], kind, progress)[0]
            return vector
        texts = _checked(texts)
        vectors = np.empty((len(texts), self.dim), dtype=np.float32)
        if self._cache is None:
            missing = list(range(len(texts)))
        else:
            missing = self._cache.fill(texts, kind, vectors)
        batches = [
            missing[start : start + self._batch_size]
            for start in range(0, len(missing), self._batch_size)
        ]
        batches_of_texts = [[texts[row] for row in rows] for rows in batches]
        done = len(texts) - len(missing)
        with (
            reporting(progress, f"embedding with {self.name}", "texts") as report,
            closing(self._model.encode_batches(batches_of_texts, kind, self._threads)) as results,
        ):
            for rows, result in zip(batches, results, strict=True):
                vectors[rows] = result
                done += len(rows)
                if report is not None:
                    report(done, len(texts))
        if self._cache is not None:
            self._cache.store([texts[row] for row in missing], kind, vectors[missing])
        return vectors


def _load_model(name: str) -> Model:
    if name not in _MODELS:
        known = ", ".join(repr(known) for known in _MODELS)
        raise ValueError(f"model must be one of {known}, got {name!r}")
    model: Model = importlib.import_module(_MODELS[name]).load()
    return model


def _checked(texts: Sequence[str]) -> list[str]:
    texts = list(texts)
    for position, text in enumerate(texts):
        if not isinstance(text, str):
            raise TypeError(f"texts[{position}] must be a str, got {type(text).__name__}")
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise ValueError(
                f"texts[{position}] must be valid Unicode, got a lone surrogate at {error.start}"
            ) from None
    return texts
