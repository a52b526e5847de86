"""voyager: a fork of hnswlib, on float32 and 8-bit floats."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from peers import EF, Problem, Variant, file_bytes, need_metric, sweep

DISTRIBUTION = "voyager"


def variants(problem: Problem) -> list[Variant]:
    need_metric(problem, "cosine", "l2")
    kinds = ("Float32",) if problem.quick else ("Float32", "E4M3")
    return [Variant(f"{kind} M=16", {"storage": kind}, [sweep("query_ef", EF)]) for kind in kinds]


class Index:
    def __init__(self, vectors: Any, problem: Problem, threads: int, *, storage: str):
        import voyager

        self.index = voyager.Index(
            voyager.Space.Euclidean,
            num_dimensions=problem.dim,
            M=16,
            ef_construction=200,
            random_seed=1,
            max_elements=problem.n,
            storage_data_type=getattr(voyager.StorageDataType, storage),
        )
        self.index.add_items(vectors, num_threads=threads)

    def set(self, threads: int, *, query_ef: int) -> None:
        self.threads, self.query_ef = threads, query_ef

    def search(self, queries: Any, k: int) -> Any:
        return self.index.query(queries, k, num_threads=self.threads, query_ef=self.query_ef)[0]

    def search_one(self, query: Any, k: int) -> Any:
        return self.index.query(query, k, num_threads=1, query_ef=self.query_ef)[0]

    def bytes(self, folder: Path) -> int:
        self.index.save(str(folder / "index"))
        return file_bytes(folder / "index")
