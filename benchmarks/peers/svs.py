"""Intel SVS (scalable-vs): Vamana on float32, LVQ and LeanVec codes.

LVQ and LeanVec run on Intel processors alone; elsewhere the variant fails with a line.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from peers import EF, Problem, Variant, file_bytes, need_metric, sweep

DISTRIBUTION = "scalable-vs"


def variants(problem: Problem) -> list[Variant]:
    need_metric(problem, "cosine", "l2")
    settings = [sweep("search_window_size", EF)]
    grid: list[tuple[str, int]] = [("lvq8", 32)]
    if not problem.quick:
        grid += [("lvq4x8", 32), ("lvq8", 64), ("float32", 32)]
        if problem.dim >= 256:
            grid.append(("leanvec", 64))
    return [
        Variant(f"{codes} R={degree}", {"codes": codes, "degree": degree}, settings)
        for codes, degree in grid
    ]


class Index:
    def __init__(self, vectors: Any, problem: Problem, threads: int, *, codes: str, degree: int):
        import svs

        # Unit vectors and squared distance: the library's cosine and inner product are slower.
        parameters = svs.VamanaBuildParameters(
            graph_max_degree=degree, alpha=1.2, window_size=4 * degree
        )
        with tempfile.TemporaryDirectory() as folder:
            data = vectors if codes == "float32" else _coded(svs, vectors, codes, folder)
            self.index = svs.Vamana.build(
                parameters, data, svs.DistanceType.L2, num_threads=threads
            )

    def set(self, threads: int, *, search_window_size: int) -> None:
        self.index.num_threads = threads
        self.index.search_window_size = search_window_size

    def search(self, queries: Any, k: int) -> Any:
        return self.index.search(queries, k)[0]

    def search_one(self, query: Any, k: int) -> Any:
        return self.index.search(query, k)[0][0]

    def bytes(self, folder: Path) -> int:
        self.index.save(*(str(folder / part) for part in ("config", "graph", "data")))
        return file_bytes(folder)


def _coded(svs: Any, vectors: Any, codes: str, folder: str) -> Any:
    path = f"{folder}/vectors.fvecs"
    svs.write_vecs(vectors, path)
    loader = svs.VectorDataLoader(path, svs.DataType.float32, dims=vectors.shape[1])
    if codes == "leanvec":
        kinds = svs.LeanVecKind
        return svs.LeanVecLoader(loader, 160, primary_kind=kinds.lvq8, secondary_kind=kinds.float16)
    primary, residual = {"lvq8": (8, 0), "lvq4x8": (4, 8)}[codes]
    return svs.LVQLoader(
        loader, primary=primary, residual=residual, strategy=svs.LVQStrategy.Turbo, padding=32
    )
