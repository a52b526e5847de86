"""ScaNN: a k-means tree with anisotropic 4-bit codes, with and without SOAR spilling."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from peers import Problem, Variant, file_bytes, sweep

DISTRIBUTION = "scann"


def variants(problem: Problem) -> list[Variant]:
    leaves = max(16, round(1.5 * problem.n**0.5))
    probes = [p for p in (1, 2, 3, 5, 8, 12, 18, 27, 40, 60, 100, 160, 250) if p <= leaves]
    # Few reordered rows suffice at low recall, many are needed at high recall.
    sweeps = [
        sweep("leaves_to_search", probes, pre_reorder_num_neighbors=reorder)
        for reorder in ((60,) if problem.quick else (30, 80, 200))
    ]
    common = {"leaves": leaves}
    made = [Variant("AH+SOAR", {**common, "soar": True}, sweeps)]
    if problem.metric == "l2":  # SOAR is for inner products
        return [Variant("AH", {**common, "soar": False}, sweeps)]
    if not problem.quick:
        made.append(Variant("AH", {**common, "soar": False}, sweeps))
    return made


class Index:
    def __init__(self, vectors: Any, problem: Problem, threads: int, *, leaves: int, soar: bool):
        import numpy as np
        from scann import scann_ops_pybind

        euclidean = problem.metric == "l2"
        tree: dict[str, Any] = {"training_sample_size": min(problem.n, 250_000)}
        if soar:
            tree |= {"soar_lambda": 1.5, "overretrieve_factor": 2.0}
        if problem.metric == "cosine":
            tree["spherical"] = True
        distance = "squared_l2" if euclidean else "dot_product"
        builder = scann_ops_pybind.builder(vectors, problem.k, distance)
        builder = builder.tree(num_leaves=leaves, num_leaves_to_search=10, **tree)
        threshold = np.nan if euclidean else 0.2
        builder = builder.score_ah(2, anisotropic_quantization_threshold=threshold).reorder(100)
        self.index = builder.set_n_training_threads(threads).build()
        self.index.set_num_threads(threads)

    def set(self, threads: int, **setting: Any) -> None:
        self.threads, self.setting = threads, setting
        self.index.set_num_threads(threads)

    def search(self, queries: Any, k: int) -> Any:
        call = (
            self.index.search_batched if self.threads == 1 else self.index.search_batched_parallel
        )
        return call(queries, k, **self.setting)[0]

    def search_one(self, query: Any, k: int) -> Any:
        return self.index.search(query, k, **self.setting)[0]

    def bytes(self, folder: Path) -> int:
        self.index.serialize(str(folder))
        return file_bytes(folder)
