"""Nearest-neighbour search over embeddings, in-process."""

import importlib
from typing import TYPE_CHECKING, Any

from nearfield._core import NotTrained, __version__
from nearfield.config import build_config, get_include, get_num_threads, set_num_threads
from nearfield.errors import (
    CorruptCollection,
    CorruptIndex,
    DataLossDetected,
    EncoderMismatch,
    ForkError,
    IncompatibleVersion,
    LockedError,
    PoisonedError,
    ReadOnlyIndex,
    ResourceLimit,
    StorageError,
    UnknownId,
)
from nearfield.filters import exclude
from nearfield.flat import Flat
from nearfield.hnsw import HNSW
from nearfield.index import Index, Neighbors, RangeNeighbors
from nearfield.ivfpq import IVFPQ
from nearfield.kmeans import KMeans
from nearfield.persistence import FileInfo, load, verify

if TYPE_CHECKING:
    from nearfield import (
        collection,
        compat,
        embed,
        evaluate,
        explore,
        formats,
        integrations,
        quantize,
        text,
        viz,
    )
    from nearfield.collection import Collection
    from nearfield.evaluate.build import build
    from nearfield.evaluate.estimate import estimate
    from nearfield.evaluate.metrics import compare_metrics
    from nearfield.explore import anomalies, mmr, near_duplicates, recommend
    from nearfield.formats import read_faiss, read_hnswlib, read_vectors, write_vectors

__all__ = [
    "HNSW",
    "IVFPQ",
    "Collection",
    "CorruptCollection",
    "CorruptIndex",
    "DataLossDetected",
    "EncoderMismatch",
    "FileInfo",
    "Flat",
    "ForkError",
    "IncompatibleVersion",
    "Index",
    "KMeans",
    "LockedError",
    "Neighbors",
    "NotTrained",
    "PoisonedError",
    "RangeNeighbors",
    "ReadOnlyIndex",
    "ResourceLimit",
    "StorageError",
    "UnknownId",
    "__version__",
    "anomalies",
    "build",
    "build_config",
    "collection",
    "compare_metrics",
    "compat",
    "embed",
    "estimate",
    "evaluate",
    "exclude",
    "explore",
    "formats",
    "get_include",
    "get_num_threads",
    "integrations",
    "load",
    "mmr",
    "near_duplicates",
    "quantize",
    "read_faiss",
    "read_hnswlib",
    "read_vectors",
    "recommend",
    "set_num_threads",
    "text",
    "verify",
    "viz",
    "write_vectors",
]

# Imported when first named, so that `import nearfield` stays quick.
_MODULES = (
    "collection",
    "compat",
    "embed",
    "evaluate",
    "explore",
    "formats",
    "integrations",
    "quantize",
    "text",
    "viz",
)
_FUNCTIONS = dict.fromkeys(("build", "compare_metrics", "estimate"), "evaluate")
_FUNCTIONS["Collection"] = "collection"
_FUNCTIONS |= dict.fromkeys(("anomalies", "mmr", "near_duplicates", "recommend"), "explore")
_FUNCTIONS |= dict.fromkeys(
    ("read_faiss", "read_hnswlib", "read_vectors", "write_vectors"), "formats"
)


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"nearfield.{name}")
    if name in _FUNCTIONS:
        return getattr(importlib.import_module(f"nearfield.{_FUNCTIONS[name]}"), name)
    raise AttributeError(f"module 'nearfield' has no attribute {name!r}")
