"""RaBitQ-Library (rabitqlib): SymphonyQG graphs, IVF and HNSW on RaBitQ codes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from peers import EF, Problem, Variant, file_bytes, sweep

DISTRIBUTION = "rabitqlib"
LEAST_DIM = 64  # it refuses fewer; zeros change no distance


def variants(problem: Problem) -> list[Variant]:
    made = [_symphony(32, 0), _symphony(32, 8)]
    if not problem.quick:
        nlist = round(4 * problem.n**0.5)
        probes = [p for p in (1, 2, 3, 5, 8, 12, 18, 27, 40, 60, 100, 160, 256) if p <= nlist]
        made += [
            _symphony(64, 0),
            Variant(
                "IVF 1+4", {"kind": "Ivf", "nlist": nlist, "nbits": 5}, [sweep("nprobe", probes)]
            ),
            Variant("HNSW 1+4", {"kind": "Hnsw", "nlist": 16, "nbits": 5}, [sweep("ef", EF)]),
        ]
    return made


def _symphony(degree: int, bits: int) -> Variant:
    name = f"SymphonyQG R={degree}" + (f" {bits}-bit" if bits else "")
    return Variant(name, {"kind": "Symqg", "degree": degree, "bits": bits}, [sweep("ef", EF)])


class Index:
    def __init__(self, vectors: Any, problem: Problem, threads: int, *, kind: str, **build: Any):
        import rabitqlib

        metric = "ip" if problem.metric == "dot" else "l2"
        dim = max(problem.dim, LEAST_DIM)
        vectors = self._padded(vectors)
        if kind == "Symqg":
            self.index = rabitqlib.SymqgIndex(dim, build["degree"], metric, build["bits"])
            self.index.build(vectors, 400, num_threads=threads)
            return
        clusters = rabitqlib.RaBitQKMeans(
            dim,
            build["nlist"],
            num_threads=threads,
            seed=42,
            final_assignment=rabitqlib.FinalAssignmentMode.Exact,
        )
        clusters.train(vectors)
        if kind == "Ivf":
            self.index = rabitqlib.IvfIndex(dim, problem.n, build["nlist"], build["nbits"], metric)
        else:
            self.index = rabitqlib.HnswIndex(dim, problem.n, 16, 200, build["nbits"], metric)
        self.index.build(vectors, clusters.centroids, clusters.assignments, num_threads=threads)

    def set(self, threads: int, **setting: Any) -> None:
        self.setting = {"num_threads": threads, **setting}

    def search(self, queries: Any, k: int) -> Any:
        return self.index.search(self._padded(queries), k, **self.setting)[0]

    def search_one(self, query: Any, k: int) -> Any:
        return self.index.search(self._padded(query[None]), k, **self.setting)[0][0]

    def _padded(self, vectors: Any) -> Any:
        if vectors.shape[1] >= LEAST_DIM:
            return vectors
        padded = np.zeros((len(vectors), LEAST_DIM), np.float32)
        padded[:, : vectors.shape[1]] = vectors
        return padded

    def bytes(self, folder: Path) -> int:
        self.index.save(str(folder / "index"))
        return file_bytes(folder / "index")
