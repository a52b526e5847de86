"""Graphs built beside hnswlib's: seconds, and whether what was built answers as many queries.

Each graph is built on all the threads given and then asked in batches on one, as in compare.py.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

import datasets
import measure
import peers
from report import TARGETS, qps_at

K = 10
SECONDS = 1.0  # for a setting


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="sift-400k", help="a name or file, as for compare.py")
    parser.add_argument("--metric", help="of a file: l2, cosine or dot")
    parser.add_argument("--queries-file", help="of a file: its queries")
    parser.add_argument("--threads", type=int, default=2, help="of a build")
    parser.add_argument("--ef-construction", type=int, nargs="+", default=(200, 64, 32))
    given = parser.parse_args(arguments)
    dataset = datasets.load(given.data, metric=given.metric, queries_file=given.queries_file)
    print(
        f"{dataset.name}: {len(dataset.vectors):,} x {dataset.vectors.shape[1]}, {dataset.metric}"
    )
    theirs = built(dataset, given.threads, "hnswlib", "ef", ef_construction=200)
    say("hnswlib M=16 ef_construction=200", theirs, theirs)
    for effort in given.ef_construction:
        ours = built(
            dataset, given.threads, "nearfield", "ef_search", kind="HNSW", ef_construction=effort
        )
        say(f"nearfield M=16 ef_construction={effort}", ours, theirs)
    return 0


def built(
    dataset: Any, threads: int, peer: str, width: str, **build: Any
) -> tuple[float, list[float | None]]:
    """Seconds of the build, and queries a second at each recall, None where it is not reached."""
    problem = peers.Problem(*dataset.vectors.shape, K, dataset.metric, quick=True)
    begin = time.perf_counter()
    index = peers.load(peer).Index(dataset.vectors, problem, threads, M=16, **build)
    seconds = time.perf_counter() - begin
    queries = np.concatenate([dataset.tuning, dataset.reporting])
    kth = datasets.ground_truth(dataset, queries, K)[1][:, -1]
    points: list[tuple[float, float]] = []
    for ef in peers.EF:
        index.set(1, **{width: ef})
        point = measure.run(index, queries, K, "batch", SECONDS)
        asked = point["nq"]
        recalls = measure.recall_at_k(
            point["found"], queries[:asked], dataset.vectors, kth[:asked], dataset.metric
        )
        points.append((float(recalls.mean()), point["qps"]))
        if points[-1][0] >= max(TARGETS):
            break
    return seconds, [qps_at(points, target) for target in TARGETS]


def say(
    name: str, ours: tuple[float, list[float | None]], theirs: tuple[float, list[float | None]]
) -> None:
    speed = " / ".join("-" if qps is None else f"{qps / 1000:.1f}k" for qps in ours[1])
    times = " / ".join(
        "-" if qps is None or other is None else f"{qps / other:.1f}"
        for qps, other in zip(ours[1], theirs[1], strict=True)
    )
    print(
        f"  {name:34} built in {ours[0]:6.2f} s, {theirs[0] / ours[0]:5.2f} times as fast;"
        f" queries/s {speed}: {times} times",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
