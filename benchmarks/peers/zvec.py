"""zvec: HNSW and Vamana on 8-bit and 4-bit codes, searched through its low-latency call."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from peers import EF, OneByOne, Problem, Variant, file_bytes, need_metric, sweep

DISTRIBUTION = "zvec"
STEP = 1000  # rows an insert takes


def variants(problem: Problem) -> list[Variant]:
    need_metric(problem, "cosine", "l2")
    made = [_variant("Vamana", "UNIFORM_UINT4", 32)]
    if not problem.quick:
        made += [_variant("Vamana", "UNIFORM_UINT4", 64), _variant("Vamana", "UNIFORM_UINT8", 32)]
        made += [_variant("Hnsw", "UNIFORM_UINT8", 32)]
    return made


def _variant(kind: str, codes: str, degree: int) -> Variant:
    width = "ef" if kind == "Hnsw" else "ef_search"
    plain = sweep(width, EF, is_using_refiner=False)
    refined = sweep(width, EF, is_using_refiner=True)
    build = {"kind": kind, "codes": codes, "degree": degree}
    return Variant(f"{kind} {codes} R={degree}", build, [plain, refined])


class Index(OneByOne):
    def __init__(self, vectors: Any, problem: Problem, threads: int, *, kind: str, **build: Any):
        import zvec

        self.zvec, self.kind = zvec, kind
        self.folder = tempfile.TemporaryDirectory()
        self.path = f"{self.folder.name}/collection"
        # Unit vectors and squared distance: the uniform codes have no cosine.
        common = {
            "metric_type": zvec.MetricType.L2,
            "quantize_type": getattr(zvec.QuantizeType, build["codes"]),
            "use_contiguous_memory": True,
            "use_flat_contiguous_memory": True,
            "flat_data_type": zvec.DataType.VECTOR_FP16,
        }
        if kind == "Hnsw":
            parameters = zvec.HnswIndexParam(m=build["degree"] // 2, ef_construction=200, **common)
        else:
            parameters = zvec.VamanaIndexParam(
                max_degree=build["degree"], search_list_size=200, **common
            )
        field = zvec.VectorSchema(
            "v", zvec.DataType.VECTOR_FP32, problem.dim, index_param=parameters
        )
        made = zvec.create_and_open(
            path=self.path, schema=zvec.CollectionSchema(name="c", vectors=field)
        )
        for start in range(0, problem.n, STEP):
            rows = range(start, min(start + STEP, problem.n))
            made.insert([zvec.Doc(id=str(row), vectors={"v": vectors[row]}) for row in rows])
        made.optimize(option=zvec.OptimizeOption(concurrency=threads))
        made.flush()
        made.close()
        self.index = zvec.open(self.path, zvec.CollectionOption(read_only=True))
        # The low-latency call gives its own ids, which are of use here if they are row numbers.
        names = self.index.resolve_internal_ids(list(range(problem.n)))
        if names != [str(row) for row in range(problem.n)]:
            raise RuntimeError("internal ids are not the order of insertion")

    def set(self, threads: int, **setting: Any) -> None:
        self.threads = threads
        self.parameters = getattr(self.zvec, f"{self.kind}QueryParam")(**setting)

    def search_one(self, query: Any, k: int) -> Any:
        asked = self.zvec.Query("v", vector=query, param=self.parameters)
        return self.index.query_internal_ids(asked, topk=k)

    def bytes(self, folder: Path) -> int:
        return file_bytes(Path(self.path))
