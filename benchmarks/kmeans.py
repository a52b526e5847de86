"""k-means: nf.KMeans beside faiss.Kmeans, same vectors, same number of iterations.

Runs alternate in one process, so that a machine that slows down slows both; figures are medians.
CPU seconds are there for machines that others use too. The cost of both is the mean squared
distance of all vectors to their nearest centroid, measured the same way.
Run: python benchmarks/kmeans.py --n 262144 --dim 128 --k 1024 --threads 1
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import nearfield as nf
from flat import clustered

Floats = NDArray[np.float32]


def load(args: argparse.Namespace) -> Floats:
    """Give the rows of --file as float32, or clustered ones."""
    if args.file is None:
        return clustered(args.n, args.dim, seed=0)
    return np.ascontiguousarray(np.load(args.file, mmap_mode="r")[: args.n], dtype=np.float32)


def with_nearfield(rows: Floats, args: argparse.Namespace) -> Floats:
    """Train here; every iteration runs."""
    model = nf.KMeans(
        args.k, init=args.init, max_iter=args.iterations, tol=0, sample_per_centroid=args.sample
    )
    return model.fit(rows, threads=args.threads).centroids


def with_faiss(rows: Floats, args: argparse.Namespace) -> Floats:
    """Train there."""
    import faiss

    faiss.omp_set_num_threads(args.threads)
    model = faiss.Kmeans(
        rows.shape[1], args.k, niter=args.iterations, max_points_per_centroid=args.sample, seed=0
    )
    model.train(rows)
    return np.asarray(model.centroids)


def mean_cost(rows: Floats, centroids: Floats) -> float:
    """Mean squared distance to the nearest centroid."""
    index = nf.Flat(rows.shape[1], "l2")
    index.add(centroids)
    return float(index.search(rows, 1).distances.mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--file", type=Path, help="an .npy of rows in place of clustered ones")
    parser.add_argument("--n", type=int, default=262_144)
    parser.add_argument("--dim", type=int, default=128)
    parser.add_argument("--k", type=int, default=1024)
    parser.add_argument("--iterations", type=int, default=25)
    parser.add_argument("--sample", type=int, default=256, help="rows for each centroid")
    parser.add_argument("--init", choices=["kmeans++", "sample"], default="kmeans++")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()

    rows = load(args)
    trainers: dict[str, Callable[[Floats, argparse.Namespace], Floats]] = {
        "nearfield": with_nearfield,
        "faiss": with_faiss,
    }
    seconds: dict[str, list[float]] = {name: [] for name in trainers}
    cpu: dict[str, list[float]] = {name: [] for name in trainers}
    costs = {}
    for _ in range(args.repeats):
        for name, train in trainers.items():
            start, start_cpu = time.perf_counter(), time.process_time()
            centroids = train(rows, args)
            seconds[name].append(time.perf_counter() - start)
            cpu[name].append(time.process_time() - start_cpu)
            costs[name] = mean_cost(rows, centroids)
    medians = {name: statistics.median(values) for name, values in seconds.items()}
    cpu_medians = {name: statistics.median(values) for name, values in cpu.items()}
    report = {
        "n": len(rows),
        "dim": rows.shape[1],
        "k": args.k,
        "iterations": args.iterations,
        "threads": args.threads,
        "seconds": medians,
        "cpu_seconds": cpu_medians,
        "mean_cost": costs,
        "speedup": medians["faiss"] / medians["nearfield"],
        "cost_ratio": costs["nearfield"] / costs["faiss"],
    }
    if args.json:
        print(json.dumps(report))
        return
    print(f"{len(rows):,} x {rows.shape[1]}, k = {args.k}, {args.threads} thread(s)")
    for name in trainers:
        print(
            f"{name:<10} {medians[name]:8.2f} s ({cpu_medians[name]:.2f} s of CPU)   "
            f"mean cost {costs[name]:.6g}"
        )
    print(f"{report['speedup']:.2f} x as fast, cost ratio {report['cost_ratio']:.4f}")


if __name__ == "__main__":
    main()
