"""faiss-cpu: Flat, HNSW, HNSW on 8-bit codes, IVF with 4-bit PQ or RaBitQ and a refine step."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from peers import EF, Problem, Variant, file_bytes, sweep

DISTRIBUTION = "faiss-cpu"


def variants(problem: Problem) -> list[Variant]:
    nlist = 1 << max(4, round(4 * problem.n**0.5).bit_length() - 1)  # about 4 sqrt(n)
    probes = [p for p in (1, 2, 3, 5, 8, 12, 18, 27, 40, 60, 100, 160, 256) if p <= nlist]
    refined = [
        sweep("nprobe", probes, k_factor_rf=factor)
        for factor in ((10,) if problem.quick else (4, 12, 30))
    ]
    pq = f"IVF{nlist},PQ{problem.dim // 2}x4fs,Refine(SQfp16)"
    graph = sweep("efSearch", EF)
    made = [
        Variant("HNSW32,Flat", {"factory": "HNSW32,Flat"}, [graph]),
        Variant("HNSW32,SQ8", {"factory": "HNSW32,SQ8"}, [graph]),
        Variant(pq, {"factory": pq}, refined),
        Variant("Flat", {"factory": "Flat"}, [[{}]]),
    ]
    if not problem.quick:
        rabitq = f"IVF{nlist},RaBitQfs,Refine(SQfp16)"
        made.append(Variant(rabitq, {"factory": rabitq}, refined))
    return made


class Index:
    def __init__(self, vectors: Any, problem: Problem, threads: int, *, factory: str):
        import faiss

        self.faiss = faiss
        faiss.omp_set_num_threads(threads)
        metric = faiss.METRIC_L2 if problem.metric == "l2" else faiss.METRIC_INNER_PRODUCT
        self.index = faiss.index_factory(problem.dim, factory, metric)
        if factory.startswith("HNSW"):
            self.index.hnsw.efConstruction = 200
        self.index.train(vectors)
        self.index.add(vectors)
        self.parameters = faiss.ParameterSpace()

    def set(self, threads: int, **setting: Any) -> None:
        self.faiss.omp_set_num_threads(threads)
        for name, value in setting.items():
            self.parameters.set_index_parameter(self.index, name, value)

    def search(self, queries: Any, k: int) -> Any:
        return self.index.search(queries, k)[1]

    def search_one(self, query: Any, k: int) -> Any:
        return self.index.search(query[None], k)[1][0]

    def bytes(self, folder: Path) -> int:
        self.faiss.write_index(self.index, str(folder / "index"))
        return file_bytes(folder / "index")
