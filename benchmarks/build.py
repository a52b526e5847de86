"""Graphs built beside hnswlib's: seconds, and whether what was built answers as many queries.

Each graph is built on all threads and then searched in batches on one; speed at a recall is
interpolated between settings of ef_search.
"""

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import datasets
import nearfield as nf

K = 10
EFS = (10, 14, 20, 30, 40, 60, 80, 120, 160, 240, 320, 480, 640, 960, 1280)
RECALLS = (0.90, 0.95, 0.99)
EFFORTS = (200, 64, 32)
ROUNDS = 3

Search = Callable[[int], Any]  # ids (n, K) for an ef_search


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="sift-400k", help="a name or file, as for compare.py")
    parser.add_argument("--metric", help="of a file: l2, cosine or dot")
    parser.add_argument("--queries-file", help="of a file: its queries")
    parser.add_argument("--threads", type=int, default=2, help="of a build")
    parser.add_argument("--ef-construction", type=int, nargs="+", default=EFFORTS)
    given = parser.parse_args(arguments)
    dataset = datasets.load(given.data, metric=given.metric, queries_file=given.queries_file)
    queries = np.concatenate([dataset.tuning, dataset.reporting])
    truth, _ = datasets.ground_truth(dataset, queries)
    truth = truth[:, :K]
    print(
        f"{dataset.name}: {len(dataset.vectors):,} x {dataset.vectors.shape[1]}, {dataset.metric}"
    )
    seconds, search = hnswlib_graph(dataset, given.threads)
    theirs = seconds, rates(search, queries, truth)
    report("hnswlib M=16 ef_construction=200", theirs, theirs)
    for effort in given.ef_construction:
        seconds, search = our_graph(dataset, given.threads, effort)
        ours = seconds, rates(search, queries, truth)
        report(f"nearfield M=16 ef_construction={effort}", ours, theirs)
    return 0


def our_graph(dataset: Any, threads: int, effort: int) -> tuple[float, Callable[[Any], Search]]:
    begin = time.perf_counter()
    index = nf.HNSW(dataset.vectors.shape[1], dataset.metric, M=16, ef_construction=effort)
    index.add(dataset.vectors, threads=threads)
    seconds = time.perf_counter() - begin
    return (
        seconds,
        lambda queries: lambda ef: index.search(queries, k=K, ef_search=ef, threads=1).ids,
    )


def hnswlib_graph(dataset: Any, threads: int) -> tuple[float, Callable[[Any], Search]]:
    import hnswlib

    begin = time.perf_counter()
    space = {"l2": "l2", "cosine": "cosine", "dot": "ip"}[dataset.metric]
    index = hnswlib.Index(space, dataset.vectors.shape[1])
    index.init_index(len(dataset.vectors), M=16, ef_construction=200)
    index.set_num_threads(threads)
    index.add_items(dataset.vectors)
    seconds = time.perf_counter() - begin
    index.set_num_threads(1)

    def searching(queries: Any) -> Search:
        def search(ef: int) -> Any:
            index.set_ef(ef)
            return index.knn_query(queries, k=K)[0]

        return search

    return seconds, searching


def rates(searching: Callable[[Any], Search], queries: Any, truth: Any) -> list[float | None]:
    """Queries a second at each recall; None where no setting reaches it."""
    search = searching(queries)
    recalls, speeds = [], []
    for ef in EFS:
        best = np.inf
        for _ in range(ROUNDS):
            begin = time.perf_counter()
            ids = search(ef)
            best = min(best, time.perf_counter() - begin)
        hits = (np.asarray(ids, np.int64)[:, :, None] == truth[:, None, :]).any(axis=2)
        recalls.append(float(hits.mean()))
        speeds.append(len(queries) / best)
        if recalls[-1] >= max(RECALLS):
            break
    return [
        float(np.interp(wanted, recalls, speeds)) if wanted <= recalls[-1] else None
        for wanted in RECALLS
    ]


def report(name: str, ours: tuple[float, list[Any]], theirs: tuple[float, list[Any]]) -> None:
    speed = " / ".join("-" if rate is None else f"{rate / 1000:.1f}k" for rate in ours[1])
    times = " / ".join(
        "-" if rate is None or other is None else f"{rate / other:.1f}"
        for rate, other in zip(ours[1], theirs[1], strict=True)
    )
    print(
        f"  {name:34} built in {ours[0]:6.2f} s, {theirs[0] / ours[0]:5.2f} times as fast;"
        f" queries/s {speed}: {times} times",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
