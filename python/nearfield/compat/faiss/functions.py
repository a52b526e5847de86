"""faiss's functions."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearfield import _core
from nearfield.compat.damage import told_as_runtime_error
from nearfield.compat.faiss.index import Index
from nearfield.compat.faiss.lists import IndexIVF
from nearfield.compat.faiss.names import METRIC_INNER_PRODUCT, METRIC_L2, native_metric
from nearfield.config import get_num_threads, set_num_threads
from nearfield.index import Neighbors

__all__ = [
    "clone_index",
    "downcast_VectorTransform",
    "downcast_index",
    "eval_intersection",
    "extract_index_ivf",
    "get_compile_options",
    "get_num_gpus",
    "kmax",
    "kmin",
    "knn",
    "normalize_L2",
    "omp_get_max_threads",
    "omp_set_num_threads",
    "pairwise_distances",
    "rand",
    "randn",
    "try_extract_index_ivf",
    "vector_to_array",
]

Found = tuple[NDArray[np.float32], NDArray[np.int64]]


def normalize_L2(x: Any) -> None:  # noqa: N802 (faiss's name)
    """Scale rows (n, d) of a float32 C-ordered array to norm 1, in place; zero rows stay."""
    n, d = x.shape
    if x.dtype != np.float32 or not x.flags.c_contiguous:
        raise TypeError(f"x must be float32 and C-ordered, got {x.dtype}")
    if n and d:
        norms = np.sqrt(np.einsum("ij,ij->i", x, x))
        x /= np.where(norms > 0, norms, 1)[:, None]


def knn(xq: Any, xb: Any, k: int, metric: int = METRIC_L2, metric_arg: float = 0.0) -> Found:
    """Find the k nearest of rows xb (n, d) of each of xq (nq, d), exactly; D, I."""
    queries = np.ascontiguousarray(xq, dtype=np.float32)
    rows = np.ascontiguousarray(xb, dtype=np.float32)
    if queries.shape[1] != rows.shape[1]:
        raise AssertionError(f"xq and xb must have one d, got {queries.shape[1]}, {rows.shape[1]}")
    holder = Index(rows.shape[1], metric)
    with told_as_runtime_error():
        scan = _core.ExactScan(queries, k, native_metric(metric), 0)
        scan.feed(rows, 0)
        ids, distances = scan.finish(0)
    return holder._as_found(Neighbors(ids, distances))


def pairwise_distances(
    xq: Any, xb: Any, metric: int = METRIC_L2, metric_arg: float = 0.0
) -> NDArray[np.float32]:
    """Give all distances (or products), (nq, n) float32."""
    queries = np.ascontiguousarray(xq, dtype=np.float32)
    rows = np.ascontiguousarray(xb, dtype=np.float32)
    if queries.shape[1] != rows.shape[1]:
        raise AssertionError(f"xq and xb must have one d, got {queries.shape[1]}, {rows.shape[1]}")
    native_metric(metric)
    products = queries @ rows.T
    if metric == METRIC_INNER_PRODUCT:
        return np.asarray(products, np.float32)
    squares = np.einsum("ij,ij->i", queries, queries)[:, None] + np.einsum("ij,ij->i", rows, rows)
    return np.asarray(np.maximum(squares - 2 * products, 0), np.float32)


def kmin(array: Any, k: int) -> Found:
    """Give the k smallest values of each row and their columns."""
    values = np.ascontiguousarray(array, dtype=np.float32)
    order = np.argsort(values, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(values, order, axis=1), order


def kmax(array: Any, k: int) -> Found:
    """Give the k largest values of each row and their columns."""
    values, order = kmin(-np.ascontiguousarray(array, dtype=np.float32), k)
    return np.asarray(-values, np.float32), order


def eval_intersection(I1: Any, I2: Any) -> int:
    """Count what rows of two arrays of ids have in common."""
    if len(I1) != len(I2):
        raise AssertionError("I1 and I2 must have as many rows")
    return sum(len(np.intersect1d(a, b)) for a, b in zip(I1, I2, strict=True))


def rand(n: Any, seed: int = 12345) -> NDArray[np.float32]:
    """Draw n values from [0, 1); not the numbers faiss draws."""
    return np.asarray(np.random.default_rng(seed).random(n, dtype=np.float32))


def randn(n: Any, seed: int = 12345) -> NDArray[np.float32]:
    """Draw n normal values; not the numbers faiss draws."""
    return np.asarray(np.random.default_rng(seed).standard_normal(n, dtype=np.float32))


def omp_set_num_threads(n: int) -> None:
    """Set the threads of all calls: those of our own pool, there is no OpenMP."""
    with told_as_runtime_error():
        set_num_threads(n)


def omp_get_max_threads() -> int:
    """Give the threads of all calls."""
    return get_num_threads()


def get_num_gpus() -> int:
    """Give 0."""
    return 0


def get_compile_options() -> str:
    """Say how the kernels that are in use were compiled."""
    return f"OPTIMIZE {str(_core.build_config()['isa']).upper()} "


def downcast_index(index: Any) -> Any:
    """Give the index: Python objects have their own class already."""
    return index


def downcast_VectorTransform(transform: Any) -> Any:  # noqa: N802 (faiss's name)
    """Give the transform."""
    return transform


def clone_index(index: Any) -> Any:
    """Copy an index."""
    return copy.deepcopy(index)


def try_extract_index_ivf(index: Any) -> IndexIVF | None:
    """Give the index of lists inside others, or None."""
    while not isinstance(index, IndexIVF):
        inner = getattr(index, "index", None) or getattr(index, "base_index", None)
        if inner is None:
            return None
        index = inner
    return index


def extract_index_ivf(index: Any) -> IndexIVF:
    """Give the index of lists inside others. RuntimeError where there is none."""
    found = try_extract_index_ivf(index)
    if found is None:
        raise RuntimeError("Could not extract IndexIVF")
    return found


def vector_to_array(v: Any) -> NDArray[Any]:
    """Copy what faiss keeps in a C++ vector, an array here."""
    return np.array(v)
