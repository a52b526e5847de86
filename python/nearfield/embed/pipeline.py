"""Encoding and what follows it at the same time: the next texts are read while these are stored."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from nearfield.progress import Progress, reporting

__all__ = ["encode_while"]

T = TypeVar("T")


def encode_while(
    encoder: Any,
    items: Iterable[T],
    use: Callable[[list[T], NDArray[np.float32]], object],
    *,
    text: Callable[[T], str] = str,
    block: int = 1024,
    total: int = 0,
    progress: Progress = False,
) -> int:
    """Encode documents block by block, and use each block while the next is encoded.

    Parameters
    ----------
    encoder : Encoder
    items : iterable
        Read as needed: a generator of millions is never held whole.
    use : callable of (list of items, vectors of shape (len, dim))
        Called in order from one other thread: ``lambda rows, v: index.add(v)``.
    text : callable, default str
        From an item to its text.
    block : int, at least 1, default 1024
    total : int, default 0
        Items in all, for progress.
    progress : bool or callable, default False

    Returns
    -------
    int
        Items used. An exception of `use` stops the encoding and is raised here.
    """
    if block < 1:
        raise ValueError(f"block must be at least 1, got {block}")
    done = 0
    waiting: Future[object] | None = None
    with (
        reporting(progress, f"embedding with {encoder.name}", "texts") as report,
        ThreadPoolExecutor(1, thread_name_prefix="nearfield-index") as worker,
    ):
        for some in _blocks(items, block):
            vectors = encoder.encode_document([text(item) for item in some])
            if waiting is not None:
                waiting.result()
            waiting = worker.submit(use, some, vectors)
            done += len(some)
            if report is not None:
                report(done, max(done, total))
        if waiting is not None:
            waiting.result()
    return done


def _blocks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    rest = iter(items)
    while some := list(islice(rest, size)):
        yield some
