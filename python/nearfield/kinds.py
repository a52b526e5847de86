"""The index kinds by the names that `estimate` and the command line take."""

from typing import Any

__all__ = ["available", "make"]

CLASSES = {"flat": "Flat", "hnsw": "HNSW", "ivfpq": "IVFPQ"}


def available() -> list[str]:
    """Names of the kinds that this build has."""
    import nearfield

    return [kind for kind, name in CLASSES.items() if hasattr(nearfield, name)]


def index_class(kind: str) -> Any:
    """Give the class of a kind that `available` names."""
    import nearfield

    return getattr(nearfield, CLASSES[kind])


def make(kind: str, dim: int, **params: Any) -> Any:
    """Make an empty index. Raises ValueError for an unknown kind, TypeError for wrong params."""
    known = available()
    if kind not in known:
        names = ", ".join(repr(name) for name in known)
        raise ValueError(f"kind must be one of {names}, got {kind!r}")
    return index_class(kind)(dim, **params)
