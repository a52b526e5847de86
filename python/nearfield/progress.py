"""Progress of a long call, on stderr: tqdm where it is installed, a plain line elsewhere."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["Progress", "reporting"]

Progress = bool | Callable[[int, int], Any]


@contextmanager
def reporting(progress: Progress, what: str) -> Iterator[Callable[[int, int], Any] | None]:
    """Give the callable of (done, total) that a core call reports to, or None.

    Parameters
    ----------
    progress : bool or callable
        False is silent, True draws a bar on stderr, a callable is called with (done, total) about
        every 20 ms; what it raises stops the call.
    what : str
        The word beside the bar.
    """
    if not isinstance(progress, bool):
        if not callable(progress):
            raise TypeError(f"progress must be a bool or a callable, got {type(progress).__name__}")
        yield progress
    elif not progress:
        yield None
    else:
        try:
            from tqdm import tqdm
        except ImportError:
            yield from _plain(what)
            return
        with tqdm(desc=what, unit="vec", unit_scale=True, file=sys.stderr) as bar:

            def draw(done: int, total: int) -> None:
                if bar.total != total or done < bar.n:  # another phase begins
                    bar.reset(total=total)
                bar.update(done - bar.n)

            yield draw
            if bar.total:
                bar.update(bar.total - bar.n)


def _plain(what: str) -> Iterator[Callable[[int, int], Any]]:
    shown = -1

    def draw(done: int, total: int) -> None:
        nonlocal shown
        share = 100 * done // max(total, 1)
        if share != shown:
            shown = share
            print(f"\r{what} {share:3d} %", end="", file=sys.stderr, flush=True)

    yield draw
    if shown >= 0:
        print(f"\r{what} 100 %", file=sys.stderr)
