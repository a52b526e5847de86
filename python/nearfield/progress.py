"""Progress of a long call, on stderr: a tqdm bar on a terminal, plain lines in a log."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["Progress", "reporting"]

Progress = bool | Callable[[int, int], Any]


@contextmanager
def reporting(
    progress: Progress, what: str, unit: str = "vec"
) -> Iterator[Callable[[int, int], Any] | None]:
    """Give the callable of (done, total) that a core call reports to, or None.

    Parameters
    ----------
    progress : bool or callable
        False is silent, True draws a bar on stderr, a callable is called with (done, total) about
        every 20 ms; what it raises stops the call.
    what : str
        The word beside the bar.
    unit : str, default "vec"
        What is counted.
    """
    if not isinstance(progress, bool):
        if not callable(progress):
            raise TypeError(f"progress must be a bool or a callable, got {type(progress).__name__}")
        yield progress
    elif not progress:
        yield None
    else:
        tqdm = _tqdm() if sys.stderr.isatty() else None
        if tqdm is None:
            yield from _plain(what, unit)
            return
        with tqdm(desc=what, unit=unit, unit_scale=True, file=sys.stderr) as bar:

            def draw(done: int, total: int) -> None:
                if bar.total != total or done < bar.n:  # another phase begins
                    bar.reset(total=total)
                bar.update(done - bar.n)

            yield draw
            if bar.total:
                bar.update(bar.total - bar.n)


def _tqdm() -> Any:
    try:
        from tqdm import tqdm
    except ImportError:
        return None
    return tqdm


def _plain(what: str, unit: str) -> Iterator[Callable[[int, int], Any]]:
    """Print a line every five seconds and one at the end: a log is not a terminal."""
    began = printed_at = time.monotonic()
    last = (0, 0)

    def draw(done: int, total: int) -> None:
        nonlocal printed_at, last
        last = (done, total)
        if time.monotonic() - printed_at >= 5.0:
            printed_at = time.monotonic()
            rate = done / (printed_at - began)
            left = f", {(total - done) / rate:,.0f} s left" if total and rate else ""
            told = f"{done:,} of {total:,}" if total else f"{done:,}"
            print(f"{what}: {told} {unit}, {rate:,.0f} a second{left}", file=sys.stderr)

    yield draw
    if last[1]:
        print(f"{what}: {last[1]:,} {unit}, done", file=sys.stderr)
