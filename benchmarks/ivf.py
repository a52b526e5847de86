"""Inverted lists beside faiss, ScaNN and RaBitQ-Library: building, and codes alone.

``build`` trains and adds with `nf.IVFPQ` and with faiss's IVF of 4-bit product codes; ``budget``
asks what recall codes of so many bytes a vector give without the vectors, for each of `--qps`
queries a second, interpolated between numbers of lists opened. Everybody runs here, in turn, on the
same vectors.

python benchmarks/ivf.py build --base FILE --metric l2 --threads 2
python benchmarks/ivf.py budget --base FILE --queries FILE --metric l2 --bytes 32
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

import nearfield as nf
from ivf_search import vectors_of

Floats = NDArray[np.float32]
Search = Callable[[Floats, int], Any]  # of rows, opening so many lists
PROBES = (4, 8, 16, 32, 64, 128, 256)


def load(path: str, limit: int | None) -> Floats:
    return np.array(np.load(path, mmap_mode="r")[:limit], np.float32, order="C")


def timed(call: Callable[[], Any]) -> tuple[float, float]:
    """Give the seconds that a call took by the clock, and those of CPU."""
    started, used = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - started, time.process_time() - used


def cpu_seconds(call: Callable[[], Any], rounds: int) -> float:
    """Give the median CPU time of a call on one thread: other work on the machine counts less."""

    def once() -> float:
        started = time.process_time()
        call()
        return time.process_time() - started

    return statistics.median(once() for _ in range(rounds))


def build(arguments: argparse.Namespace) -> None:
    import faiss

    base = load(arguments.base, arguments.limit)
    n, dim = base.shape
    nlist = arguments.nlist or nf.IVFPQ(dim).nlist or round(2 * n**0.5 / 16) * 16
    faiss.omp_set_num_threads(arguments.threads)
    for _ in range(arguments.rounds):
        index = nf.IVFPQ(dim, arguments.metric, nlist, bits=4, rerank="float16")
        tell(f"nearfield IVFPQ nlist={nlist}", [
            timed(lambda made=index: made.train(base, threads=arguments.threads)),
            timed(lambda made=index: made.add(base, threads=arguments.threads)),
        ])  # fmt: skip
        metric = faiss.METRIC_L2 if arguments.metric == "l2" else faiss.METRIC_INNER_PRODUCT
        name = f"IVF{nlist},PQ{dim // 2}x4fs,Refine(SQfp16)"
        other = faiss.index_factory(dim, name, metric)
        tell(f"faiss {name}", [
            timed(lambda made=other: made.train(base)), timed(lambda made=other: made.add(base))
        ])  # fmt: skip


def tell(who: str, steps: list[tuple[float, float]]) -> None:
    (train, train_cpu), (add, add_cpu) = steps
    print(
        f"{who}: train {train:.2f} s ({train_cpu:.2f} of CPU), add {add:.2f} s ({add_cpu:.2f}), "
        f"both {train + add:.2f} s ({train_cpu + add_cpu:.2f})",
        flush=True,
    )


def recall(found: NDArray[Any], truth: NDArray[Any], k: int) -> float:
    rows = zip(found[:, :k], truth[:, :k], strict=True)
    return float(np.mean([len(np.intersect1d(a, b)) / k for a, b in rows]))


def faiss_codes(base: Floats, arguments: argparse.Namespace) -> dict[str, Search]:
    import faiss

    size, nlist, dim = arguments.bytes, arguments.nlist, base.shape[1]
    # Of unit vectors, too: it ranks them better by this than by inner product.
    kind = faiss.METRIC_INNER_PRODUCT if arguments.metric == "dot" else faiss.METRIC_L2
    names = [f"IVF{nlist},PQ{size}", f"IVF{nlist},PQ{2 * size}x4fs"]
    if arguments.opq_rounds:
        names += [f"OPQ{size},{names[0]}", f"OPQ{2 * size},{names[1]}"]
    if bits := 8 * size // dim:
        names.append(f"IVF{nlist},RaBitQ{bits if bits > 1 else ''}")
    made: dict[str, Search] = {}
    for name in names:
        try:
            index = faiss.index_factory(dim, name, kind)
            if name.startswith("OPQ"):
                rotation = faiss.downcast_VectorTransform(index.chain.at(0))
                rotation.niter = arguments.opq_rounds
                rotation.max_train_points = arguments.opq_points
            index.train(base)
            index.add(base)
        except RuntimeError as error:
            print(f"faiss {name}: {str(error).splitlines()[0][:80]}", file=sys.stderr)
            continue
        made[f"faiss {name}"] = partial(ask_faiss, index)
    return made


def ask_faiss(index: Any, rows: Floats, nprobe: int) -> Any:
    import faiss

    faiss.ParameterSpace().set_index_parameter(index, "nprobe", nprobe)
    return index.search(rows, 100)[1]


def rabitqlib_codes(base: Floats, arguments: argparse.Namespace) -> dict[str, Search]:
    import rabitqlib

    n, dim = base.shape
    bits = 8 * arguments.bytes // dim
    if bits < 1:
        return {}
    clusters = rabitqlib.RaBitQKMeans(
        dim, arguments.nlist, num_threads=2, seed=42,
        final_assignment=rabitqlib.FinalAssignmentMode.Exact,
    )  # fmt: skip
    clusters.train(base)
    index = rabitqlib.IvfIndex(dim, n, arguments.nlist, bits, "l2")
    index.build(base, clusters.centroids, clusters.assignments, num_threads=2)
    return {
        f"rabitqlib IVF{arguments.nlist} {bits} bits": lambda rows, nprobe: index.search(
            rows, 100, nprobe=nprobe, num_threads=1
        )[0]
    }


def scann_codes(base: Floats, arguments: argparse.Namespace) -> dict[str, Search]:
    from scann import scann_ops_pybind

    dim = base.shape[1]
    if dim % (2 * arguments.bytes):
        return {}
    euclidean = arguments.metric == "l2"
    builder = scann_ops_pybind.builder(base, 100, "squared_l2" if euclidean else "dot_product")
    builder = builder.tree(arguments.nlist, 24, training_sample_size=min(len(base), 250_000))
    threshold = np.nan if euclidean else 0.2
    index = builder.score_ah(
        dim // (2 * arguments.bytes), anisotropic_quantization_threshold=threshold
    ).build()
    index.set_num_threads(1)
    return {
        f"scann AH {2 * arguments.bytes} x 4 bits": lambda rows, nprobe: index.search_batched(
            rows, 100, leaves_to_search=nprobe
        )[0]
    }


def turbovec_codes(base: Floats, arguments: argparse.Namespace) -> dict[str, Search]:
    from turbovec import TurboQuantIndex

    bits = 8 * arguments.bytes // base.shape[1]
    if arguments.metric == "l2" or bits not in (2, 4):
        return {}
    index = TurboQuantIndex(dim=base.shape[1], bit_width=bits)
    index.calibrate(base[:1024])
    index.add(base)
    index.prepare()
    return {f"turbovec {bits} bits, no lists": lambda rows, nprobe: index.search(rows, 100)[1]}


def nearfield_codes(base: Floats, arguments: argparse.Namespace) -> dict[str, Search]:
    size, dim = arguments.bytes, base.shape[1]
    settings: dict[str, dict[str, Any]] = {}
    if offered := [bits for bits in (1, 2, 3, 4, 5, 8) if bits * dim <= 8 * size]:
        settings[f"rabitq {offered[-1]} bits"] = {"bits": offered[-1]}
    for bits in (4, 8):
        if dim % (m := 8 * size // bits) == 0:
            for opq in (False, True):
                settings[f"pq {m} x {bits} bits{' opq' * opq}"] = {
                    "codes": "pq", "bits": bits, "pq_m": m, "opq": opq
                }  # fmt: skip
    made: dict[str, Search] = {}
    for name, params in settings.items():
        index = nf.IVFPQ(dim, arguments.metric, arguments.nlist, rerank=None, **params)
        index.train(base)
        index.add(base)
        made[f"nearfield {name}"] = lambda rows, nprobe, made=index: (  # type: ignore[misc]
            made.search(rows, 100, nprobe=nprobe, threads=1).ids
        )
    return made


def recall_at(points: list[tuple[float, float]], qps: float) -> float | None:
    """Interpolate in log QPS what recall is had at so many queries a second; None below them."""
    points = sorted(points)  # slowest first
    for (slow, high), (fast, low) in pairwise(points):
        if slow <= qps <= fast:
            share = np.log(qps / slow) / np.log(fast / slow)
            return float((1 - share) * high + share * low)
    return points[0][1] if qps < points[0][0] else None


def budget(arguments: argparse.Namespace) -> None:
    import faiss

    base, queries = vectors_of(arguments)
    flat = nf.Flat(base.shape[1], arguments.metric)
    flat.add(base)
    truth = flat.search(queries, 100).ids
    arguments.nlist = arguments.nlist or 1024
    faiss.omp_set_num_threads(os.cpu_count() or 1)
    made: dict[str, Search] = {}
    for make in (nearfield_codes, faiss_codes, rabitqlib_codes, scann_codes, turbovec_codes):
        if arguments.only and make.__name__.removesuffix("_codes") not in arguments.only:
            continue
        try:
            made |= make(base, arguments)
        except (ImportError, ValueError) as error:  # or it does not take the dim
            print(error, file=sys.stderr)
    faiss.omp_set_num_threads(1)
    for name, search in made.items():
        told: dict[int, list[tuple[float, float]]] = {10: [], 100: []}
        for nprobe in [p for p in PROBES if p <= arguments.nlist]:
            found = search(queries, nprobe)
            qps = len(queries) / cpu_seconds(lambda p=nprobe, ask=search: ask(queries, p), 3)
            recalls = {k: recall(found, truth, k) for k in told}
            print(f"{name} nprobe={nprobe} {recalls[10]:.3f} {recalls[100]:.3f} {qps:,.0f} QPS")
            for k, points in told.items():
                points.append((qps, recalls[k]))
        cells = []
        for qps in arguments.qps:
            values = [recall_at(points, qps) for points in told.values()]
            cells.append(" / ".join("-" if v is None else f"{v:.3f}" for v in values))
        print(f"| {name} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("build", "budget"))
    parser.add_argument("--base", help=".npy")
    parser.add_argument("--queries", help=".npy; the last 1,000 rows are asked")
    parser.add_argument("--data", help="for budget: name of a data set, instead of files")
    parser.add_argument("--metric", default="l2", choices=("l2", "cosine", "dot"))
    parser.add_argument("--limit", type=int)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--nlist", type=int)
    parser.add_argument("--bytes", type=int, default=32)
    parser.add_argument("--only", nargs="+", help="for budget: whose codes, such as nearfield")
    parser.add_argument("--qps", type=int, nargs="+", default=[5_000, 10_000, 20_000, 40_000])
    parser.add_argument("--opq-rounds", type=int, default=50, help="of faiss's OPQ; 0: without it")
    parser.add_argument("--opq-points", type=int, default=65_536, help="it learns from so many")
    arguments = parser.parse_args()
    {"build": build, "budget": budget}[arguments.what](arguments)


if __name__ == "__main__":
    main()
