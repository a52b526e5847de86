"""The exceptions that are ours; everything else is a ValueError or TypeError."""

__all__ = ["UnknownId"]


class UnknownId(KeyError):
    """An id that the index does not hold."""

    def __str__(self) -> str:
        # KeyError shows the repr of its argument; this one is a sentence.
        return str(self.args[0]) if self.args else ""
