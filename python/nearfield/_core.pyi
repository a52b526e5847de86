from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nearfield.errors import UnknownId as UnknownId

__version__: str

class NotTrained(RuntimeError): ...
class CorruptIndex(ValueError): ...

_Report = Callable[[int, int], Any] | None
_Filter = tuple[str, NDArray[Any]] | None

def build_config() -> dict[str, Any]: ...
def num_threads() -> int: ...
def set_num_threads(threads: int) -> None: ...

class Index:
    @property
    def dim(self) -> int: ...
    @property
    def metric(self) -> str: ...
    def add(
        self, vectors: ArrayLike, ids: NDArray[np.int64] | None, threads: int, progress: _Report
    ) -> NDArray[np.int64]: ...
    def update(
        self, ids: NDArray[np.int64], vectors: ArrayLike, threads: int, progress: _Report
    ) -> None: ...
    def remove(self, ids: NDArray[np.int64], ignore_missing: bool, threads: int) -> int: ...
    def get(self, ids: NDArray[np.int64]) -> NDArray[np.float32]: ...
    def compact(self, threads: int, progress: _Report) -> None: ...
    def search(
        self,
        queries: ArrayLike,
        k: int,
        ef_search: int,
        nprobe: int,
        filter: _Filter,
        threads: int,
    ) -> tuple[NDArray[np.int64], NDArray[np.float32]]: ...
    def count_work(
        self, queries: ArrayLike, k: int, ef_search: int, nprobe: int, filter: _Filter
    ) -> dict[str, float]: ...
    def range_search(
        self,
        queries: ArrayLike,
        radius: float,
        ef_search: int,
        nprobe: int,
        filter: _Filter,
        threads: int,
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]: ...
    def contains(self, id: int) -> bool: ...
    def ids(self) -> NDArray[np.int64]: ...
    def size(self) -> int: ...
    def validate(self) -> None: ...
    def stats(self) -> dict[str, Any]: ...

class FlatIndex(Index):
    def __init__(self, dim: int, metric: str, dtype: str, prefilter: bool | None) -> None: ...

class HnswIndex(Index):
    def __init__(
        self,
        dim: int,
        metric: str,
        M: int,
        ef_construction: int,
        ef_search: int,
        bits: int,
        rerank: str,
        seed: int,
    ) -> None: ...

class KMeans:
    def __init__(
        self,
        n_clusters: int,
        metric: str,
        init: str,
        max_iter: int,
        tol: float,
        sample_per_centroid: int,
        seed: int,
    ) -> None: ...
    def train(
        self, vectors: ArrayLike, initial: ArrayLike | None, threads: int, progress: _Report
    ) -> None: ...
    def assign(self, vectors: ArrayLike, threads: int) -> NDArray[np.int64]: ...
    def centroids(self) -> NDArray[np.float32]: ...
    @property
    def inertia(self) -> float: ...
    @property
    def iterations(self) -> int: ...
    @property
    def trained_rows(self) -> int: ...
