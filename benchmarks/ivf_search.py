"""Inverted lists with ranking beside faiss, ScaNN and RaBitQ-Library: QPS at a recall, in turn.

All are built from the same vectors and asked the same 1,000 queries, in one call or with --one one
by one, on one thread. A round asks everybody at every setting; the figure is the least CPU time of
the rounds, so that other work on the machine counts less (with --threads 2 the least time by the
clock). QPS at a recall is interpolated, linearly in log QPS, between two settings of one sweep; the
best sweep counts.

python benchmarks/ivf_search.py --base FILE --queries FILE --metric cosine
python benchmarks/ivf_search.py --data usem3-docs
taskset -c 1 python benchmarks/ivf_search.py ...    # with every thread on one core
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

import datasets
import nearfield as nf

Floats = NDArray[np.float32]
PROBES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
RECALLS = (0.80, 0.90, 0.95, 0.99)
Sweep = list[tuple[int, Callable[[Floats], Any]]]


def nearfield_sweeps(
    base: Floats,
    metric: str,
    threads: int,
    bits: int = 4,
    rerank: str = "float16",
    soar: bool = False,
) -> Iterator[tuple[str, Sweep]]:
    index = nf.IVFPQ(base.shape[1], metric, bits=bits, rerank=rerank, soar=soar)
    index.train(base)
    index.add(base)
    size = index.stats()["bytes"]["total"] / len(base)
    yield (
        f"IVFPQ nlist={index.nlist} bits={bits} {rerank}{' soar' * soar} ({size:.0f} B a vector)",
        [
            (p, lambda rows, p=p: index.search(rows, 10, nprobe=p, threads=threads).ids)
            for p in PROBES
            if p <= index.nlist
        ],
    )


def rabitq_sweeps(base: Floats, metric: str, threads: int) -> Iterator[tuple[str, Sweep]]:
    import rabitqlib

    n, dim = len(base), max(64, base.shape[1])  # it refuses fewer; zeros change no distance
    widen = partial(np.pad, pad_width=((0, 0), (0, dim - base.shape[1])))
    base = widen(base)
    nlist = round(4 * n**0.5)
    clusters = rabitqlib.RaBitQKMeans(
        dim, nlist, num_threads=2, seed=42,
        final_assignment=rabitqlib.FinalAssignmentMode.Exact,
    )  # fmt: skip
    clusters.train(base)
    for bits in (5, 8):
        index = rabitqlib.IvfIndex(dim, n, nlist, bits, "l2")
        index.build(base, clusters.centroids, clusters.assignments, num_threads=2)
        yield (
            f"RaBitQ IVF{nlist} 1+{bits - 1} bits",
            [
                (
                    p,
                    lambda rows, p=p, i=index: i.search(
                        widen(rows), 10, nprobe=p, num_threads=threads
                    )[0],
                )
                for p in PROBES
                if p <= nlist
            ],
        )


def faiss_sweeps(base: Floats, metric: str, threads: int) -> Iterator[tuple[str, Sweep]]:
    import faiss

    n, dim = base.shape
    nlist = 1 << round(np.log2(2 * n**0.5))
    kind = faiss.METRIC_L2 if metric == "l2" else faiss.METRIC_INNER_PRODUCT
    index = faiss.index_factory(dim, f"IVF{nlist},PQ{dim // 2}x4fs,Refine(SQfp16)", kind)
    index.train(base)
    index.add(base)
    faiss.omp_set_num_threads(threads)
    settings = faiss.ParameterSpace()

    def search(rows: Floats, p: int, factor: int) -> Any:
        settings.set_index_parameter(index, "nprobe", p)
        settings.set_index_parameter(index, "k_factor_rf", factor)
        return index.search(rows, 10)[1]

    for factor in (4, 10, 30):
        yield (
            f"IVF{nlist},PQx4fs,Refine k_factor={factor}",
            [(p, lambda rows, p=p, f=factor: search(rows, p, f)) for p in PROBES],
        )


def scann_sweeps(base: Floats, metric: str, threads: int) -> Iterator[tuple[str, Sweep]]:
    from scann import scann_ops_pybind

    euclidean = metric == "l2"
    tree: dict[str, Any] = {"training_sample_size": min(len(base), 250_000)}
    if not euclidean:
        tree |= {"soar_lambda": 1.5, "overretrieve_factor": 2.0, "spherical": True}
    builder = scann_ops_pybind.builder(base, 10, "squared_l2" if euclidean else "dot_product")
    builder = builder.tree(round(1.5 * len(base) ** 0.5), 10, **tree)
    threshold = np.nan if euclidean else 0.2
    index = builder.score_ah(2, anisotropic_quantization_threshold=threshold).reorder(100).build()
    index.set_num_threads(threads)
    search = index.search_batched if threads == 1 else index.search_batched_parallel
    for reorder in (30, 80, 200):
        yield (
            f"{'AH' if euclidean else 'AH+SOAR'} reorder={reorder}",
            [
                (
                    p,
                    lambda rows, p=p, r=reorder: search(
                        rows, 10, leaves_to_search=p, pre_reorder_num_neighbors=r
                    )[0],
                )
                for p in PROBES
            ],
        )


def qps_at(points: list[tuple[float, float]], recall: float) -> float:
    """Interpolate in log QPS between the settings of a sweep round a recall; 0 where none is."""
    for (low, slow), (high, fast) in pairwise(points):
        if low < recall <= high:
            share = (recall - low) / (high - low)
            return float(np.exp((1 - share) * np.log(slow) + share * np.log(fast)))
    return points[0][1] if points[0][0] >= recall else 0.0


def vectors_of(arguments: argparse.Namespace) -> tuple[Floats, Floats]:
    """Load what to index and 1,000 queries."""
    if arguments.data:
        named = datasets.load(arguments.data, limit=arguments.limit)
        arguments.metric = named.metric
        return named.vectors, named.reporting
    base = np.array(np.load(arguments.base, mmap_mode="r")[: arguments.limit], np.float32)
    queries = np.array(np.load(arguments.queries)[-1000:], np.float32)
    if arguments.metric == "cosine":
        for rows in (base, queries):
            rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return base, queries


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="name of a data set, instead of the next three")
    parser.add_argument("--base", help=".npy")
    parser.add_argument("--queries", help=".npy; the last 1,000 rows are asked")
    parser.add_argument("--metric", default="cosine", choices=("l2", "cosine"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--limit", type=int, help="vectors to take")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--one", action="store_true", help="one query a call")
    parser.add_argument("--only", nargs="+", help="names of those to ask")
    parser.add_argument("--variants", nargs="+", default=["4:float16", "4:int8"],
                        help="bits, rerank and perhaps soar of ours")  # fmt: skip
    arguments = parser.parse_args()
    base, queries = vectors_of(arguments)
    exact = nf.Flat(base.shape[1], arguments.metric)
    exact.add(base)
    truth = exact.search(queries, 10).ids
    sweeps: dict[str, list[tuple[str, Sweep]]] = {}
    makers: dict[str, Callable[..., Iterator[tuple[str, Sweep]]]] = {}
    for variant in arguments.variants:
        bits, rerank, *rest = variant.split(":")
        makers[f"nearfield {variant}"] = partial(
            nearfield_sweeps, bits=int(bits), rerank=rerank, soar=rest == ["soar"]
        )
    makers |= {"faiss": faiss_sweeps, "scann": scann_sweeps, "rabitq": rabitq_sweeps}
    for name, make in makers.items():
        if arguments.only and name.split()[0] not in arguments.only:
            continue
        try:
            sweeps[name] = list(make(base, arguments.metric, arguments.threads))
        except ImportError:
            print(f"{name} is not installed", flush=True)
    clock = time.process_time if arguments.threads == 1 else time.perf_counter
    seconds: dict[tuple[str, str, int], list[float]] = {}
    recalls: dict[tuple[str, str, int], float] = {}
    for _ in range(arguments.rounds):
        for name, made in sweeps.items():
            for sweep, settings in made:
                for value, search in settings:
                    started = clock()
                    if arguments.one:
                        found = [search(queries[i : i + 1])[0] for i in range(len(queries))]
                    else:
                        found = search(queries)
                    key = (name, sweep, value)
                    seconds.setdefault(key, []).append(clock() - started)
                    pairs = zip(found, truth, strict=True)
                    recalls[key] = float(np.mean([len(np.intersect1d(a, b)) for a, b in pairs]))
    for name, made in sweeps.items():
        best = dict.fromkeys(RECALLS, 0.0)
        for sweep, settings in made:
            keys = [(name, sweep, value) for value, _ in settings]
            points = [(recalls[key] / 10, len(queries) / min(seconds[key])) for key in keys]
            for recall in RECALLS:
                best[recall] = max(best[recall], qps_at(points, recall))
            told = "  ".join(f"{r:.4f} {q:,.0f}" for r, q in points)
            print(f"{name} {sweep}: {told}", flush=True)
        print(name, {recall: round(qps) for recall, qps in best.items()}, flush=True)


if __name__ == "__main__":
    main()
