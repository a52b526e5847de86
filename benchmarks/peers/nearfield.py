"""nearfield: our own indexes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from peers import EF, Problem, UnsupportedError, Variant, sweep

DISTRIBUTION = "nearfield"


def variants(problem: Problem) -> list[Variant]:
    graphs = [{"M": 16, "bits": 4}, {"M": 32, "bits": 4}, {"M": 12, "bits": 4}]
    made = [
        Variant(
            f"HNSW M={build['M']} bits={build['bits']}",
            {"kind": "HNSW", "ef_construction": 200, **build},
            [sweep("ef_search", EF)],
        )
        for build in (graphs[:1] if problem.quick else graphs)
    ]
    nlist = max(16, round(problem.n**0.5 / 16) * 16)
    probes = [p for p in (1, 2, 3, 5, 8, 12, 18, 27, 40, 60, 100, 160, 250) if p <= nlist]
    lists = [{"nlist": nlist, "bits": 4}, {"nlist": 2 * nlist, "bits": 4}]
    made += [
        Variant(
            f"IVFPQ nlist={build['nlist']} bits={build['bits']}",
            {"kind": "IVFPQ", **build},
            [sweep("nprobe", probes)],
        )
        for build in (lists[:1] if problem.quick else lists)
    ]
    return [*made, Variant("Flat", {"kind": "Flat"}, [[{}]])]


class Index:
    def __init__(self, vectors: Any, problem: Problem, threads: int, *, kind: str, **build: Any):
        import nearfield as nf

        if not hasattr(nf, kind):
            raise UnsupportedError(f"this version has no {kind}")
        self.index = getattr(nf, kind)(dim=problem.dim, metric=problem.metric, **build)
        if hasattr(self.index, "train"):
            self.index.train(vectors, threads=threads)
        self.index.add(vectors, threads=threads)

    def set(self, threads: int, **setting: Any) -> None:
        self.setting = {"threads": threads, **setting}

    def search(self, queries: Any, k: int) -> Any:
        return self.index.search(queries, k=k, **self.setting).ids

    def search_one(self, query: Any, k: int) -> Any:
        return self.index.search(query, k=k, **self.setting).ids

    def bytes(self, folder: Path) -> int:
        """Bytes that the index itself reports."""
        return int(self.index.stats()["bytes"]["total"])
