"""A second look at the best candidates: question and text read together by a cross-encoder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearfield._optional import import_extra
from nearfield.embed.torch_load import fetch, pick_device

__all__ = ["Reranker"]


class Reranker:
    """Score texts for a question with a cross-encoder of sentence-transformers.

    Parameters
    ----------
    model : str, path or CrossEncoder
        With one output, the relevance.
    device : str, default "auto"
        ``"cuda"``, ``"mps"`` or ``"cpu"``; ``"auto"`` takes the first that is there.
    batch_size : int, at least 1, default 32
    max_length : int or None, default None
        Tokens of question and text together after which the text is cut.

    Raises
    ------
    MissingExtraError
        If sentence-transformers is not installed.
    OSError
        If the model is not on this machine and cannot be fetched.
    ValueError
        If the model gives more than one score for a pair.

    Examples
    --------
    >>> docs.search("a question", hybrid=True, rerank=Reranker("folder"))  # doctest: +SKIP
    """

    def __init__(
        self,
        model: str | Path | Any,
        *,
        device: str = "auto",
        batch_size: int = 32,
        max_length: int | None = None,
    ) -> None:
        package = import_extra("sentence_transformers", "embed", "a cross-encoder")
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        if isinstance(model, (str, Path)):
            options: dict[str, Any] = {"device": pick_device(device), "trust_remote_code": False}
            if max_length is not None:
                options["max_length"] = max_length
            model = fetch(package.CrossEncoder, str(model), options)
        outputs = int(model.num_labels)
        if outputs != 1:
            raise ValueError(f"model must give one score for a pair, got {outputs}")
        self._model = model
        self._batch_size = batch_size

    def __call__(self, query: str, texts: Sequence[str]) -> NDArray[np.float32]:
        """Score each text, (n,) float32, larger is better; in [0, 1] by the logistic function."""
        if not len(texts):
            return np.empty(0, dtype=np.float32)
        import torch

        found = self._model.predict(
            [(query, text) for text in texts], batch_size=self._batch_size,
            activation_fn=torch.nn.Sigmoid(), show_progress_bar=False,
        )  # fmt: skip
        return np.asarray(found, dtype=np.float32).reshape(len(texts))
