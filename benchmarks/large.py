"""Millions of vectors made from a real set, and one index of them measured end to end.

    python benchmarks/large.py make --source base.npy --rows 10_000_000 --out 10m.npy
    python benchmarks/large.py truth --data 10m.npy --queries queries.npy
    python benchmarks/large.py hnsw --data 10m.npy --queries queries.npy --rerank int8

`make` repeats the rows of a set of bytes, every copy after the first with normal noise on each
dimension of 1.5 * (2 + 0.15 * its standard deviation), rounded and kept within 0..255: about half
the distance between nearest neighbours of SIFT. Rows are written a piece at a time. `truth` finds
the exact nearest 10 and keeps them beside the data. `hnsw` builds an index, and prints a line of
JSON each for the build (wall and CPU seconds, resident and peak bytes), for searches (recall@10 of
queries, one thread and all, one by one and as a batch), and for single additions.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path
from typing import Any

import numpy as np

import nearfield as nf

PIECE = 200_000
EFS = (10, 14, 20, 28, 40, 60, 90, 130, 180, 260)


def jittered(source: np.ndarray, first: int, last: int) -> np.ndarray:
    """Rows first..last of the endless set that `source` begins; the same whatever the pieces."""
    scale = 1.5 * (2 + 0.15 * source[:: max(1, len(source) // 10_000)].std(axis=0))
    out = np.empty((last - first, source.shape[1]), np.uint8)
    for block in range(first // 1000, -(-last // 1000)):
        a, b = max(first, block * 1000), min(last, (block + 1) * 1000)
        rows = source[np.arange(block * 1000, (block + 1) * 1000) % len(source)].astype(np.float32)
        noise = np.random.default_rng(block).standard_normal(rows.shape, dtype=np.float32)
        noise[np.arange(block * 1000, (block + 1) * 1000) < len(source)] = 0
        rows = np.clip(np.rint(rows + noise * scale), 0, 255).astype(np.uint8)
        out[a - first : b - first] = rows[a - block * 1000 : b - block * 1000]
    return out


def make(args: argparse.Namespace) -> None:
    source = np.load(args.source, mmap_mode="r")
    shape = (args.rows, source.shape[1])
    out = np.lib.format.open_memmap(args.out, mode="w+", dtype=np.uint8, shape=shape)
    for start in range(0, args.rows, PIECE):
        stop = min(args.rows, start + PIECE)
        out[start:stop] = jittered(source, start, stop)
    out.flush()


def truth_path(data: Path) -> Path:
    return data.with_suffix(".truth.npy")


def truth(args: argparse.Namespace) -> None:
    data = np.load(args.data, mmap_mode="r")
    queries = held_out(args)
    best = np.full((len(queries), 10), -1, np.int64)
    near = np.full((len(queries), 10), np.inf, np.float32)
    for start in range(0, len(data), PIECE):
        ids, distances = nf.evaluate.ground_truth(
            data[start : start + PIECE].astype(np.float32), queries, k=10, metric="l2"
        )[:2]
        both = np.concatenate([near, distances], axis=1)
        order = np.argsort(both, axis=1, kind="stable")[:, :10]
        near = np.take_along_axis(both, order, axis=1)
        best = np.take_along_axis(np.concatenate([best, ids + start], axis=1), order, axis=1)
    np.save(truth_path(args.data), best)


def held_out(args: argparse.Namespace) -> np.ndarray:
    return np.load(args.queries)[-1000:].astype(np.float32)


def memory() -> dict[str, float]:
    """Resident bytes of this process now and at their highest, in MB."""
    lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {
        "resident_mb": int(lines["VmRSS"].split()[0]) / 1024,
        "peak_mb": int(lines["VmHWM"].split()[0]) / 1024,
    }


def hnsw(args: argparse.Namespace) -> None:
    data = np.load(args.data, mmap_mode="r")[: args.rows]
    vectors = data.astype(np.float32)
    queries, exact = held_out(args), np.load(truth_path(args.data))
    index = nf.HNSW(data.shape[1], "l2", rerank=args.rerank)
    before = memory()
    wall, cpu = time.perf_counter(), time.process_time()
    index.add(vectors, threads=args.threads, progress=args.progress)
    after, index_mb = memory(), index.stats()["bytes"]["total"] / 2**20
    say(
        "build",
        rows=len(index),
        seconds=time.perf_counter() - wall,
        cpu_seconds=time.process_time() - cpu,
        input_mb=vectors.nbytes / 2**20,
        index_mb=index_mb,
        before_mb=before["resident_mb"],
        peak_over_index=(after["peak_mb"] - before["resident_mb"]) / index_mb,
        **after,
    )
    del vectors
    if args.save:
        index.save(args.save)
    for ef in EFS:
        say("search", **searched(index, queries, exact, ef_search=ef))
    say("add", **added(index, data))


def searched(
    index: Any, queries: np.ndarray, exact: np.ndarray, **setting: int
) -> dict[str, float]:
    """Recall and queries a second: batch on one thread and on all, then one by one."""
    best = dict.fromkeys(("batch", "batch_all", "single"), 0.0)
    for _ in range(3):
        for name, threads in (("batch", 1), ("batch_all", 0)):
            start = time.perf_counter()
            ids = index.search(queries, 10, threads=threads, **setting).ids
            best[name] = max(best[name], len(queries) / (time.perf_counter() - start))
        start = time.perf_counter()
        for query in queries:
            index.search(query, 10, threads=1, **setting)
        best["single"] = max(best["single"], len(queries) / (time.perf_counter() - start))
    same = [len(np.intersect1d(a, b)) / 10 for a, b in zip(ids, exact, strict=True)]
    return {**setting, "recall": float(np.mean(same)), **best}


def added(index: Any, data: np.ndarray) -> dict[str, float]:
    rng = np.random.default_rng(0)
    rows = data[rng.integers(len(data), size=300)] + rng.normal(0, 5, (300, data.shape[1]))
    took = []
    for row in rows.astype(np.float32):
        start = time.perf_counter()
        index.add(row, threads=1)
        took.append(1e3 * (time.perf_counter() - start))
    return {f"p{p}_ms": float(np.percentile(took, p)) for p in (50, 99)}


def say(what: str, **figures: Any) -> None:
    rounded = {k: round(v, 4) if isinstance(v, float) else v for k, v in figures.items()}
    print(json.dumps({"what": what, **rounded}), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("make", help="write a jittered set of bytes")
    command.add_argument("--source", type=Path, required=True)
    command.add_argument("--rows", type=int, required=True)
    command.add_argument("--out", type=Path, required=True)
    command.set_defaults(run=make)
    for run in (truth, hnsw):
        command = commands.add_parser(run.__name__)
        command.add_argument("--data", type=Path, required=True)
        command.add_argument("--queries", type=Path, required=True)
        command.set_defaults(run=run)
    command.add_argument("--rows", type=int, help="only the first so many; truth must be theirs")
    command.add_argument("--rerank", default="float16")
    command.add_argument("--threads", type=int, default=0)
    command.add_argument("--save", type=Path)
    command.add_argument("--progress", action="store_true")
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "2")
    main()
