"""VSAG (pyvsag): the HGraph on 8-bit, 4-bit and RaBitQ codes, reranked on float16."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from peers import EF, OneByOne, Problem, Variant, file_bytes, sweep

DISTRIBUTION = "pyvsag"


def variants(problem: Problem) -> list[Variant]:
    kinds = ("sq8_uniform",) if problem.quick else ("sq8_uniform", "sq4_uniform", "rabitq")
    return [Variant(f"HGraph {kind}", {"codes": kind}, [sweep("ef_search", EF)]) for kind in kinds]


class Index(OneByOne):
    def __init__(self, vectors: Any, problem: Problem, threads: int, *, codes: str):
        import numpy as np
        import pyvsag

        metric = {"l2": "l2", "cosine": "cosine", "dot": "ip"}[problem.metric]
        parameters = {
            "dtype": "float32",
            "metric_type": metric,
            "dim": problem.dim,
            "index_param": {
                "base_quantization_type": codes,
                "use_reorder": True,
                "precise_quantization_type": "fp16",
                "max_degree": 32,
                "ef_construction": 300,
                "build_thread_count": threads,
            },
        }
        self.index = pyvsag.Index("hgraph", json.dumps(parameters))
        self.index.build(
            vectors=vectors.ravel(),
            ids=np.arange(problem.n),
            num_elements=problem.n,
            dim=problem.dim,
        )

    def set(self, threads: int, *, ef_search: int) -> None:
        self.threads = threads
        self.setting = json.dumps({"hgraph": {"ef_search": ef_search}})

    def search_one(self, query: Any, k: int) -> Any:
        return self.index.knn_search(vector=query, k=k, parameters=self.setting)[0]

    def bytes(self, folder: Path) -> int:
        self.index.save(str(folder / "index"))
        return file_bytes(folder / "index")
