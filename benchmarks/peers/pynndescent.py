"""pynndescent: nearest-neighbour descent in numba, on float32."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from peers import Problem, Variant, sweep

DISTRIBUTION = "pynndescent"


def variants(problem: Problem) -> list[Variant]:
    epsilons = (0.0, 0.02, 0.04, 0.07, 0.1, 0.14, 0.18, 0.24, 0.3, 0.4)
    return [Variant("n_neighbors=40", {"n_neighbors": 40}, [sweep("epsilon", epsilons)])]


class Index:
    def __init__(self, vectors: Any, problem: Problem, threads: int, *, n_neighbors: int):
        import numba
        import pynndescent

        self.numba = numba
        metric = {"l2": "euclidean", "cosine": "cosine", "dot": "dot"}[problem.metric]
        self.index = pynndescent.NNDescent(
            vectors,
            metric,
            n_neighbors=n_neighbors,
            n_jobs=threads,
            random_state=0,
            parallel_batch_queries=True,
        )
        self.index.prepare()

    def set(self, threads: int, *, epsilon: float) -> None:
        self.numba.set_num_threads(min(threads, self.numba.config.NUMBA_NUM_THREADS))
        self.epsilon = epsilon

    def search(self, queries: Any, k: int) -> Any:
        return self.index.query(queries, k, self.epsilon)[0]

    def search_one(self, query: Any, k: int) -> Any:
        return self.index.query(query[None], k, self.epsilon)[0][0]

    def bytes(self, folder: Path) -> None:
        """It is saved by pickling Python objects, whose size says little."""
