"""usearch: HNSW on float32, float16 and 8-bit integers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from peers import EF, Problem, Variant, file_bytes, sweep

DISTRIBUTION = "usearch"


def variants(problem: Problem) -> list[Variant]:
    return [
        Variant(
            f"{dtype} M=16",
            {"dtype": dtype, "connectivity": 16, "expansion_add": 200},
            [sweep("expansion_search", EF)],
        )
        for dtype in (("f16",) if problem.quick else ("f32", "f16", "i8"))
    ]


class Index:
    def __init__(self, vectors: Any, problem: Problem, threads: int, **build: Any):
        import numpy as np
        from usearch.index import Index as Usearch

        metric = {"l2": "l2sq", "cosine": "cos", "dot": "ip"}[problem.metric]
        self.index = Usearch(ndim=problem.dim, metric=metric, **build)
        # 8-bit integers are taken as they are, and hold [-127, 127]: scale the data to that.
        self.scale = None
        if build["dtype"] == "i8" and problem.metric == "l2":
            self.scale = np.float32(127.0 / abs(vectors).max())
            vectors = np.rint(vectors * self.scale).astype(np.int8)
        self.index.add(np.arange(problem.n), vectors, threads=threads)

    def set(self, threads: int, *, expansion_search: int) -> None:
        self.threads = threads
        self.index.expansion_search = expansion_search

    def _as_stored(self, queries: Any) -> Any:
        if self.scale is None:
            return queries
        return (queries * self.scale).round().clip(-127, 127).astype("int8")

    def search(self, queries: Any, k: int) -> Any:
        return self.index.search(self._as_stored(queries), k, threads=self.threads).keys

    def search_one(self, query: Any, k: int) -> Any:
        return self.index.search(self._as_stored(query), k, threads=1).keys

    def bytes(self, folder: Path) -> int:
        self.index.save(str(folder / "index"))
        return file_bytes(folder / "index")
