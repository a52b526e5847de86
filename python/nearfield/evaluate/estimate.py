"""What an index will take, before it is built."""

import math
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nearfield.kinds import make
from nearfield.scalars import as_int

__all__ = ["Estimate", "estimate"]

# Rows enough for every kind to show its parts: the prefilter of Flat begins at 4 MiB of float32.
SAMPLE_BYTES = 4 * 2**20 + 2**16
SAMPLE_ROWS = (4_000, 24_000)
# A graph's build does a little more than log n work a vector: caches no longer hold it.
ROWS_A_LIST = 32
GROWTH = {"flat": 0.0, "hnsw": 1.0, "ivfpq": 0.5}


@dataclass(frozen=True)
class Estimate:
    """Memory, disk and time of an index that is not built yet; print() shows them."""

    kind: str
    n: int
    dim: int
    params: dict[str, Any]
    bytes: dict[str, int]
    """Memory by part, and "total"."""
    disk_bytes: int
    """Of the saved index."""
    build_seconds: float
    """On `threads` threads of this machine; within a factor of two."""
    threads: int
    sample: int
    """Vectors of the build that this was extrapolated from."""

    @property
    def bytes_per_vector(self) -> float:
        """Bytes of memory for each vector."""
        return self.bytes["total"] / max(self.n, 1)

    def __str__(self) -> str:
        params = "".join(f", {name}={value!r}" for name, value in self.params.items())
        lines = [f"estimate of {self.kind}, {self.n:,} x {self.dim}{params}"]
        for name, size in self.bytes.items():
            if size:
                each = size / max(self.n, 1)
                lines.append(f"  {name:<8} {_size(size):>12}  {each:10,.1f} bytes a vector")
        lines.append(f"  {'on disk':<8} {_size(self.disk_bytes):>12}")
        lines.append(f"  {'build':<8} {_time(self.build_seconds):>12}  on {self.threads} threads")
        lines.append(f"extrapolated from a build of {self.sample:,} random vectors on this machine")
        return "\n".join(lines)


def estimate(
    n: int, dim: int, kind: str = "hnsw", *, own_ids: bool = False, threads: int = 0, **params: Any
) -> Estimate:
    """Tell what memory, disk space and time an index will take, without its data.

    Parameters
    ----------
    n : int, at least 0
        Vectors.
    dim : int, in 1..65536
    kind : {"flat", "hnsw", "ivfpq"}, default "hnsw"
    own_ids : bool, default False
        Whether ids other than 0, 1, 2 ... will be given: a table of 16 to 32 bytes a vector.
    threads : int, default 0
        0 means all.
    **params
        As for the index class: metric, dtype, M, ef_construction, bits, rerank ...

    Returns
    -------
    Estimate
        Memory is within 10 % of what `stats()` says after the build, for data of full rank; the
        time is rougher.

    Raises
    ------
    ValueError
        If kind is unknown or n negative, and as the index class does.

    Notes
    -----
    A sample of a few thousand random vectors is built and measured (about a second), and scaled.

    Examples
    --------
    >>> import nearfield as nf
    >>> nf.estimate(1_000_000, 384, kind="flat", prefilter=False).bytes["vectors"]
    1536000000
    """
    n = as_int(n, "n", 0)
    dim = as_int(dim, "dim")
    least, most = SAMPLE_ROWS
    rows = min(n, max(least, min(most, math.ceil(SAMPLE_BYTES / (4 * max(dim, 1))))))
    lists = lists_made = 1
    if kind == "ivfpq":  # a sample cannot fill as many lists
        lists = params.get("nlist") or max(1, min(int(2 * math.sqrt(n)), n // ROWS_A_LIST))
        lists_made = max(1, min(lists, rows // ROWS_A_LIST))
        index = make(kind, dim, **{**params, "nlist": lists_made})
    else:
        index = make(kind, dim, **params)
    vectors = np.random.default_rng(0).standard_normal((rows, dim), dtype=np.float32)
    seconds = 0.0
    bare: dict[str, int] = {}
    if rows:
        started = perf_counter()
        if hasattr(index, "train"):
            index.train(vectors)
            bare = index.stats()["bytes"]  # what a list takes that holds nothing
        index.add(vectors, threads=threads)
        seconds = perf_counter() - started
    measured = index.stats()["bytes"]
    share = n / max(rows, 1)
    parts = {}
    for name, size in measured.items():
        if name not in ("ids", "total"):
            fixed = bare.get(name, 0)
            parts[name] = round((size - fixed) * share + fixed * lists / lists_made)
    if kind == "ivfpq" and rows < n:  # the last block of 32 in each list is half empty
        entries = n * (2 if params.get("soar") else 1)
        parts["codes"] = round(_code_bytes(dim, params, vectors[:256]) * (entries + 16 * lists))
    row_ids = 8 * n + math.ceil(n / 8)  # the id, and a bit to say that it lives
    parts["ids"] = row_ids + (_id_table(n) if own_ids else 0)
    total = sum(parts.values())
    growth = (math.log(max(n, 2)) / math.log(max(rows, 2))) ** GROWTH[kind] if rows else 1.0
    from nearfield.config import get_num_threads

    return Estimate(
        kind=kind,
        n=n,
        dim=dim,
        params=params,
        bytes={**parts, "total": total},
        disk_bytes=total - parts["ids"] + 8 * n,
        build_seconds=seconds * share * growth,
        threads=threads or get_num_threads(),
        sample=rows,
    )


def _code_bytes(dim: int, params: dict[str, Any], vectors: NDArray[np.float32]) -> float:
    """Bytes of a vector's code in full blocks of 32."""
    params = {**params, "nlist": 1, "soar": False, "rerank": None}
    index = make("ivfpq", dim, **params)
    index.train(vectors)
    index.add(vectors)
    return float(index.stats()["bytes"]["codes"]) / len(vectors)


def _id_table(n: int) -> int:
    """Bytes of the open-addressing table: 4 a place, half full at most, a power of two places."""
    return 4 * 2 ** math.ceil(math.log2(4 * n + 2)) if n else 0


def _size(count: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if count < 1024:
            return f"{count:,.1f} {unit}" if unit != "B" else f"{count:,.0f} B"
        count /= 1024
    return f"{count:,.2f} TiB"


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:,.1f} s"
    return f"{seconds / 60:,.0f} min" if seconds < 7200 else f"{seconds / 3600:,.1f} h"
