"""Nearest-neighbour search over embeddings, in-process."""

from nearfield._core import CorruptIndex, NotTrained, __version__
from nearfield.config import build_config, get_num_threads, set_num_threads
from nearfield.errors import UnknownId
from nearfield.filters import exclude
from nearfield.flat import Flat
from nearfield.index import Index, Neighbors, RangeNeighbors

__all__ = [
    "CorruptIndex",
    "Flat",
    "Index",
    "Neighbors",
    "NotTrained",
    "RangeNeighbors",
    "UnknownId",
    "__version__",
    "build_config",
    "exclude",
    "get_num_threads",
    "set_num_threads",
]
