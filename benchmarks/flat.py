"""Exact search: nf.Flat beside faiss, usearch, numpy and scikit-learn, same data, same answers.

Runs interleave (A B C A B C ...) in one process, so that a machine that slows down slows all; the
figure is the median of the ratios. Run: python benchmarks/flat.py --n 1000000 --dim 128 --threads 1
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import nearfield as nf


def clustered(n: int, dim: int, seed: int) -> np.ndarray:
    """Vectors round 1,000 centres: nearer to embeddings than one ball, at any n and dim."""
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((1000, dim), dtype=np.float32)
    out = np.empty((n, dim), np.float32)
    for begin in range(0, n, 100_000):
        part = rng.standard_normal((min(100_000, n - begin), dim), dtype=np.float32)
        out[begin : begin + len(part)] = part + centres[rng.integers(0, 1000, len(part))]
    return out


Searcher = Callable[[np.ndarray, int], Any]


def make_searchers(base: np.ndarray, threads: int, only: set[str]) -> dict[str, Searcher]:
    """Give each engine as a function of (queries, k) that returns ids (nq, k)."""
    dim = base.shape[1]
    searchers: dict[str, Searcher] = {}
    index = nf.Flat(dim, "l2")
    index.add(base)
    searchers["nearfield"] = lambda queries, k: index.search(queries, k, threads=threads).ids
    if "faiss" in only:
        import faiss

        faiss.omp_set_num_threads(threads)
        flat = faiss.IndexFlatL2(dim)
        flat.add(base)
        searchers["faiss"] = lambda queries, k: flat.search(np.atleast_2d(queries), k)[1]
    if "usearch" in only:
        from usearch.index import MetricKind, search

        searchers["usearch"] = lambda queries, k: (
            search(
                base, np.atleast_2d(queries), k, MetricKind.L2sq, exact=True, threads=threads
            ).keys
        )
    if "numpy" in only:
        norms = (base**2).sum(axis=1)

        def by_numpy(queries: np.ndarray, k: int) -> np.ndarray:
            queries = np.atleast_2d(queries)
            distances = norms - 2 * queries @ base.T
            found = np.argpartition(distances, k, axis=1)[:, :k]
            order = np.argsort(np.take_along_axis(distances, found, axis=1), axis=1)
            return np.take_along_axis(found, order, axis=1)

        searchers["numpy"] = by_numpy
    if "sklearn" in only:
        from sklearn.neighbors import NearestNeighbors

        brute = NearestNeighbors(algorithm="brute", n_jobs=threads).fit(base)
        searchers["sklearn"] = lambda queries, k: brute.kneighbors(
            np.atleast_2d(queries), k, return_distance=False
        )
    return searchers


def compare(
    searchers: dict[str, Searcher], queries: np.ndarray, k: int, rounds: int
) -> dict[str, dict[str, float]]:
    """Seconds per call, interleaved, and the share of ids that agree with nearfield's."""
    times: dict[str, list[float]] = {name: [] for name in searchers}
    agreement = {}
    expected = np.atleast_2d(searchers["nearfield"](queries, k))
    for name, search in searchers.items():
        agreement[name] = float((np.atleast_2d(search(queries, k)) == expected).mean())
    for _ in range(rounds):
        for name, search in searchers.items():
            begin = time.perf_counter()
            search(queries, k)
            times[name].append(time.perf_counter() - begin)
    ours = times["nearfield"]
    return {
        name: {
            "ms": 1e3 * statistics.median(taken),
            "ratio": statistics.median(t / o for t, o in zip(taken, ours, strict=True)),
            "same_ids": agreement[name],
        }
        for name, taken in times.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--n", type=int, default=100_000)
    parser.add_argument("--dim", type=int, default=128)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peers", default="faiss", help="of faiss,usearch,numpy,sklearn")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    base, queries = clustered(args.n, args.dim, 0), clustered(args.batch, args.dim, 1)
    searchers = make_searchers(base, args.threads, set(args.peers.split(",")))
    results = {
        "single query": compare(searchers, queries[0], 10, 2 * args.rounds + 1),
        f"batch of {args.batch}": compare(searchers, queries, 10, args.rounds),
    }
    if args.json:
        print(json.dumps({**vars(args), "isa": nf.build_config()["isa"], "results": results}))
        return
    print(f"l2, n={args.n:,}, dim={args.dim}, threads={args.threads}, k=10, float32")
    for case, rows in results.items():
        for name, row in rows.items():
            print(
                f"{case:14} {name:10} {row['ms']:10.2f} ms   "
                f"nearfield is {row['ratio']:5.2f}x   same ids {row['same_ids']:.4f}"
            )


if __name__ == "__main__":
    main()
