"""Inverted lists beside faiss, ScaNN and RaBitQ-Library: building, and codes alone.

``build`` trains and adds with `nf.IVFPQ` and with faiss's IVF of 4-bit product codes; ``budget``
asks what recall codes of so many bytes a vector give without the vectors. Everybody runs here, in
turn, on the same vectors.

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
from typing import Any

import numpy as np
from numpy.typing import NDArray

import nearfield as nf

Floats = NDArray[np.float32]


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


def budget_peers(
    base: Floats, metric: str, size: int, nlist: int, nprobe: int, quick: bool
) -> dict[str, Callable[[Floats], Any]]:
    """Peers whose codes take `size` bytes a vector, their factors not counted."""
    import faiss

    dim = base.shape[1]
    kind = faiss.METRIC_L2 if metric == "l2" else faiss.METRIC_INNER_PRODUCT
    names = [f"IVF{nlist},PQ{size}", f"IVF{nlist},PQ{2 * size}x4fs"]
    if dim % (2 * size) == 0:
        names.append(f"OPQ{2 * size},IVF{nlist},PQ{2 * size}x4fs")
    if dim % size == 0 and not quick:
        names.append(f"OPQ{size},IVF{nlist},PQ{size}")
    if 8 * size >= dim:
        names.append(f"IVF{nlist},RaBitQ{8 * size // dim if 8 * size // dim > 1 else ''}")
    made: dict[str, Callable[[Floats], Any]] = {}
    for name in names:
        try:
            index = faiss.index_factory(dim, name, kind)
            if quick:
                hurry(index)
            index.train(base)
            index.add(base)
        except RuntimeError as error:
            print(f"faiss {name}: {str(error).splitlines()[0][:80]}", file=sys.stderr)
            continue
        faiss.ParameterSpace().set_index_parameter(index, "nprobe", nprobe)
        made[f"faiss {name}"] = lambda queries, made=index: made.search(queries, 100)[1]
    return made


def hurry(index: Any) -> None:
    """Make a faiss index train on 64 vectors a word, and its OPQ in 10 rounds on 16,384."""
    import faiss

    if isinstance(index, faiss.IndexPreTransform):
        turn = faiss.downcast_VectorTransform(index.chain.at(0))
        turn.niter, turn.max_train_points = 10, 16_384
        index = faiss.downcast_index(index.index)
    if hasattr(index, "pq"):
        index.pq.cp.max_points_per_centroid = 64


def rabitq_peer(
    base: Floats, size: int, nlist: int, nprobe: int
) -> dict[str, Callable[[Floats], Any]]:
    import rabitqlib

    n, dim = base.shape
    bits = 8 * size // dim
    if bits < 1 or 8 * size % dim:
        return {}
    clusters = rabitqlib.RaBitQKMeans(
        dim, nlist, num_threads=2, seed=42,
        final_assignment=rabitqlib.FinalAssignmentMode.Exact,
    )  # fmt: skip
    clusters.train(base)
    index = rabitqlib.IvfIndex(dim, n, nlist, bits, "l2")
    index.build(base, clusters.centroids, clusters.assignments, num_threads=2)
    return {
        f"rabitqlib IVF{nlist} {bits} bits": lambda rows: index.search(
            rows, 100, nprobe=nprobe, num_threads=1
        )[0]
    }


def scann_peer(
    base: Floats, metric: str, size: int, nlist: int, nprobe: int
) -> dict[str, Callable[[Floats], Any]]:
    from scann import scann_ops_pybind

    dim = base.shape[1]
    if dim % (2 * size):
        return {}
    distance = "squared_l2" if metric == "l2" else "dot_product"
    builder = scann_ops_pybind.builder(base, 100, distance)
    builder = builder.tree(nlist, nprobe, training_sample_size=min(len(base), 250_000))
    threshold = np.nan if metric == "l2" else 0.2
    index = builder.score_ah(
        dim // (2 * size), anisotropic_quantization_threshold=threshold
    ).build()
    index.set_num_threads(1)
    return {
        f"scann AH {2 * size} x 4 bits": lambda rows: index.search_batched(
            rows, 100, leaves_to_search=nprobe
        )[0]
    }


def budget(arguments: argparse.Namespace) -> None:
    import faiss

    base = load(arguments.base, arguments.limit)
    queries = load(arguments.queries, 1000)
    if arguments.metric == "cosine":
        for rows in (base, queries):
            rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    dim = base.shape[1]
    flat = nf.Flat(dim, arguments.metric)
    flat.add(base)
    truth = flat.search(queries, 100).ids
    nlist, nprobe, size = arguments.nlist or 1024, arguments.nprobe, arguments.bytes
    faiss.omp_set_num_threads(os.cpu_count() or 1)
    made = budget_peers(base, arguments.metric, size, nlist, nprobe, arguments.quick)
    makers: list[Callable[[], dict[str, Callable[[Floats], Any]]]] = [
        lambda: rabitq_peer(base, size, nlist, nprobe),
        lambda: scann_peer(base, arguments.metric, size, nlist, nprobe),
    ]
    for make in makers:
        try:
            made |= make()
        except (ImportError, ValueError) as error:  # or it does not take the dim
            print(error, file=sys.stderr)
    ours: dict[str, dict[str, Any]] = {}
    if 8 * size % dim == 0 and 8 * size // dim in (1, 2, 3, 4, 5, 8):
        ours[f"rabitq {8 * size // dim} bits"] = {"bits": 8 * size // dim}
    for bits in (4, 8):
        if dim % (8 * size // bits) == 0:
            for opq in (False,) if arguments.quick else (False, True):
                ours[f"pq {8 * size // bits} x {bits} bits{' opq' if opq else ''}"] = {
                    "codes": "pq", "bits": bits, "pq_m": 8 * size // bits, "opq": opq
                }  # fmt: skip
    for name, params in ours.items():
        index = nf.IVFPQ(dim, arguments.metric, nlist, nprobe=nprobe, rerank=None, **params)
        index.train(base)
        index.add(base)
        for lists in (nprobe, min(nlist, 4 * nprobe)):
            made[f"nearfield {name} nprobe={lists}"] = lambda queries, made=index, p=lists: (
                made.search(queries, 100, nprobe=p, threads=1).ids
            )
    faiss.omp_set_num_threads(1)
    for name, search in made.items():
        found = search(queries)
        qps = len(queries) / cpu_seconds(lambda ask=search: ask(queries), 3)
        print(
            f"{name:44} recall@10 {recall(found, truth, 10):.4f}  "
            f"recall@100 {recall(found, truth, 100):.4f}  {qps:9,.0f} QPS",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("build", "budget"))
    parser.add_argument("--base")
    parser.add_argument("--queries")
    parser.add_argument("--metric", default="l2", choices=("l2", "cosine", "dot"))
    parser.add_argument("--limit", type=int)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--nlist", type=int)
    parser.add_argument("--nprobe", type=int, default=32)
    parser.add_argument("--bytes", type=int, default=32)
    parser.add_argument(
        "--quick",
        action="store_true",
        help="short training of faiss's codes, none of our OPQ",
    )
    arguments = parser.parse_args()
    {"build": build, "budget": budget}[arguments.what](arguments)


if __name__ == "__main__":
    main()
