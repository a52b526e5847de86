"""Nearest-neighbour search over embeddings, in-process."""

import importlib
from types import ModuleType
from typing import TYPE_CHECKING

from nearfield._core import CorruptIndex, NotTrained, __version__
from nearfield.config import build_config, get_num_threads, set_num_threads
from nearfield.errors import UnknownId
from nearfield.filters import exclude
from nearfield.flat import Flat
from nearfield.hnsw import HNSW
from nearfield.index import Index, Neighbors, RangeNeighbors
from nearfield.kmeans import KMeans

if TYPE_CHECKING:
    from nearfield import embed, viz

__all__ = [
    "HNSW",
    "CorruptIndex",
    "Flat",
    "Index",
    "KMeans",
    "Neighbors",
    "NotTrained",
    "RangeNeighbors",
    "UnknownId",
    "__version__",
    "build_config",
    "embed",
    "exclude",
    "get_num_threads",
    "set_num_threads",
    "viz",
]

_LAZY = ("embed", "viz")  # imported when first named, so that `import nearfield` stays quick


def __getattr__(name: str) -> ModuleType:
    if name in _LAZY:
        return importlib.import_module(f"nearfield.{name}")
    raise AttributeError(f"module 'nearfield' has no attribute {name!r}")
