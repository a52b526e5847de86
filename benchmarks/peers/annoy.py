"""annoy: a forest of random projection trees."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from peers import OneByOne, Problem, Variant, file_bytes, sweep

DISTRIBUTION = "annoy"


def variants(problem: Problem) -> list[Variant]:
    visits = (100, 250, 500, 1000, 2000, 4000, 8000, 16000, 40000)
    trees = 50 if problem.quick else 100
    return [Variant(f"{trees} trees", {"trees": trees}, [sweep("search_k", visits)])]


class Index(OneByOne):
    def __init__(self, vectors: Any, problem: Problem, threads: int, *, trees: int):
        from annoy import AnnoyIndex

        metric = {"l2": "euclidean", "cosine": "angular", "dot": "dot"}[problem.metric]
        self.index = AnnoyIndex(problem.dim, metric)
        self.index.set_seed(1)
        for row, vector in enumerate(vectors):
            self.index.add_item(row, vector)
        self.index.build(trees, n_jobs=threads)

    def set(self, threads: int, *, search_k: int) -> None:
        self.threads, self.search_k = threads, search_k

    def search_one(self, query: Any, k: int) -> Any:
        return self.index.get_nns_by_vector(query, k, self.search_k)

    def bytes(self, folder: Path) -> int:
        self.index.save(str(folder / "index"))
        return file_bytes(folder / "index")
