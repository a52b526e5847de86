"""How long a comparison may take, and what each peer may have of it."""

from __future__ import annotations

import time

from process import GoneError

FOR_PEERS = 0.85  # of the time; the rest is for measuring the leaders in turn
FOR_SWEEPS = 0.6  # of a peer's share; the rest is for the figures that are reported


class Budget:
    """Wall-clock time shared among peers.

    A peer may take more than an even part, since most take less, but never so much that nothing is
    left for those after it: a run of `minutes` ends in time even where every peer hangs.

    Parameters
    ----------
    minutes : float
    n_peers : int
        Peers that will ask, one after the other.
    """

    def __init__(self, minutes: float, n_peers: int) -> None:
        self._waiting = n_peers
        self._end = time.monotonic() + FOR_PEERS * 60 * minutes
        self._began = self._until = 0.0

    def next_peer(self) -> None:
        """Begin the next peer's share."""
        self._began = time.monotonic()
        left = max(0.0, self._end - self._began)
        self._until = self._began + 2 * left / (self._waiting + 1)
        self._waiting -= 1

    def limit(self, most: float, *, sweeping: bool) -> float:
        """Return how many seconds an answer may take: at most `most`.

        Raises
        ------
        GoneError
            When the peer has used up its share.
        """
        share = (self._until - self._began) * (FOR_SWEEPS if sweeping else 1.0)
        left = self._began + share - time.monotonic()
        if left <= 0:
            raise GoneError("given up: its share of --minutes is used up")
        return min(most, left)
