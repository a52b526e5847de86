"""A lock that a call cannot take again from inside itself."""

import threading

__all__ = ["Turn"]


class Turn:
    """For `with`: whose turn it is already gets RuntimeError rather than a wait without end.

    What a long call calls, a progress callback or a signal handler, may come back to the object.
    """

    def __init__(self, rule: str) -> None:
        self._rule = rule
        self._lock = threading.Lock()
        self._holder: int | None = None

    def check(self) -> None:
        """Raise RuntimeError, with the rule, where the turn is this thread's own."""
        if self._holder == threading.get_ident():
            raise RuntimeError(
                f"{self._rule} from inside such a call (a progress callback, a signal handler)"
            )

    def taken(self) -> bool:
        """Whether it is anybody's turn."""
        return self._lock.locked()

    def __enter__(self) -> None:
        self.check()
        self._lock.acquire()
        self._holder = threading.get_ident()

    def __exit__(self, *_: object) -> None:
        self._holder = None
        self._lock.release()
