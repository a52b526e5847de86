"""hnswlib: the original HNSW, on float32."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from peers import EF, Problem, Variant, file_bytes, sweep

DISTRIBUTION = "hnswlib"


def variants(problem: Problem) -> list[Variant]:
    degrees = (16,) if problem.quick else (16, 32)
    return [Variant(f"M={M}", {"M": M, "ef_construction": 200}, [sweep("ef", EF)]) for M in degrees]


class Index:
    def __init__(self, vectors: Any, problem: Problem, threads: int, **build: Any):
        import hnswlib

        space = "l2" if problem.metric == "l2" else "ip"
        self.index = hnswlib.Index(space, problem.dim)
        self.index.init_index(problem.n, random_seed=0, **build)
        self.index.add_items(vectors, num_threads=threads)

    def set(self, threads: int, *, ef: int) -> None:
        self.threads = threads
        self.index.set_ef(ef)

    def search(self, queries: Any, k: int) -> Any:
        return self.index.knn_query(queries, k, num_threads=self.threads)[0]

    def search_one(self, query: Any, k: int) -> Any:
        return self.index.knn_query(query, k, num_threads=1)[0][0]

    def bytes(self, folder: Path) -> int:
        self.index.save_index(str(folder / "index"))
        return file_bytes(folder / "index")
