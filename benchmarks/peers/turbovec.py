"""turbovec: a scan of 2- or 4-bit codes by inner product."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from peers import Problem, Variant, file_bytes, need_metric

DISTRIBUTION = "turbovec"


def variants(problem: Problem) -> list[Variant]:
    need_metric(problem, "cosine", "dot")
    return [Variant(f"{bits}-bit", {"bits": bits}, [[{}]]) for bits in (2, 4)]


class Index:
    def __init__(self, vectors: Any, problem: Problem, threads: int, *, bits: int):
        import numpy as np
        import turbovec

        self.index = turbovec.TurboQuantIndex(dim=problem.dim, bit_width=bits)
        chosen = np.random.default_rng(0).permutation(problem.n)[:1024]
        self.index.calibrate(vectors[chosen])
        self.index.add(vectors)
        self.index.prepare()

    def set(self, threads: int) -> None:
        """Nothing to set: the library sizes its own pool, and pinning holds it to one core."""

    def search(self, queries: Any, k: int) -> Any:
        return self.index.search(queries, k)[1]

    def search_one(self, query: Any, k: int) -> Any:
        return self.index.search(query[None], k)[1][0]

    def bytes(self, folder: Path) -> int:
        self.index.write(str(folder / "index"))
        return file_bytes(folder / "index")
