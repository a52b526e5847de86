"""NGT: the optimised graph (ONNG) on float32.

The wheel has no command to make NGT's quantized graph (QG), so that one is not compared.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from peers import OneByOne, Problem, Variant, file_bytes, need_metric, sweep

DISTRIBUTION = "ngt"


def variants(problem: Problem) -> list[Variant]:
    need_metric(problem, "cosine", "l2")
    epsilons = (-0.1, -0.05, -0.02, 0.0, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.14, 0.2)
    return [Variant("ONNG", {}, [sweep("epsilon", epsilons)])]


class Index(OneByOne):
    def __init__(self, vectors: Any, problem: Problem, threads: int):
        import ngtpy

        self.folder = tempfile.TemporaryDirectory()
        first, self.path = f"{self.folder.name}/anng", f"{self.folder.name}/onng"
        ngtpy.create(first, problem.dim, edge_size_for_creation=20, distance_type="L2")
        made = ngtpy.Index(first, log_disabled=True)
        made.batch_insert(vectors, num_threads=threads)
        made.save()
        made.close()
        optimizer = ngtpy.Optimizer(num_of_outgoings=10, num_of_incomings=100, log_disabled=True)
        # Its tuning of prefetching and of search parameters takes minutes and gained nothing here.
        optimizer.set_processing_modes(
            shortcut_reduction=True,
            search_parameter_optimization=False,
            prefetch_parameter_optimization=False,
            accuracy_table_generation=False,
        )
        optimizer.execute(first, self.path)
        self.index = ngtpy.Index(self.path, read_only=True, log_disabled=True)

    def set(self, threads: int, *, epsilon: float) -> None:
        self.threads, self.epsilon = threads, epsilon

    def search_one(self, query: Any, k: int) -> Any:
        return self.index.search(query, k, self.epsilon, with_distance=False)

    def bytes(self, folder: Path) -> int:
        return file_bytes(Path(self.path))
