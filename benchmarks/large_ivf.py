"""Inverted lists of more vectors than memory: built from a file piece by piece, resumed, measured.

    python benchmarks/large.py make --source base.npy --rows 20_000_000 --out 20m.npy
    python benchmarks/large.py truth --data 20m.npy --queries queries.npy
    python benchmarks/large_ivf.py --data 20m.npy --queries queries.npy --index 20m.nf

The vectors stay in their file, of which a piece at a time is read to be added, and the best by code
are ranked by rows read from it. Every --save-every rows the index is saved; started again, the
script goes on from there. It prints a line of JSON each for training, for adding (wall and CPU
seconds, resident and peak bytes beside what `nf.estimate` and `stats` say), and for searches
(recall@10 and QPS of 1,000 queries in one call on one thread and on all, and one by one).
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np

import nearfield as nf
from large import held_out, memory, say, searched, truth_path

PROBES = (4, 8, 16, 32, 64, 128)
SAMPLE_A_LIST = 64


def resumed(args: argparse.Namespace, data: np.ndarray) -> nf.IVFPQ:
    """Load what an earlier run saved, or train."""
    if args.index.exists():
        index: Any = nf.load(args.index)
        index.rerank_from = data
        say("resume", rows=len(index))
        return index  # type: ignore[no-any-return]
    index = nf.IVFPQ(data.shape[1], "l2", args.nlist, bits=args.bits, rerank_from=data)
    rows = min(len(data), SAMPLE_A_LIST * args.nlist)
    chosen = np.sort(np.random.default_rng(0).choice(len(data), rows, replace=False))
    sample = data[chosen].astype(np.float32)
    wall, cpu = time.perf_counter(), time.process_time()
    index.train(sample, threads=args.threads)
    say(
        "train",
        rows=rows,
        nlist=index.nlist,
        seconds=time.perf_counter() - wall,
        cpu_seconds=time.process_time() - cpu,
        **memory(),
    )
    return index


def fill(args: argparse.Namespace, index: nf.IVFPQ, data: np.ndarray) -> None:
    before = len(index)
    wall, cpu, saving = time.perf_counter(), time.process_time(), 0.0
    for start in range(before, len(data), args.save_every):
        stop = min(len(data), start + args.save_every)
        index.add(
            data[start:stop], threads=args.threads, max_memory=args.max_memory,
            progress=args.progress,
        )  # fmt: skip
        began = time.perf_counter()
        index.save(args.index)
        saving += time.perf_counter() - began
        say("added", rows=len(index), seconds=time.perf_counter() - wall, saving=saving, **memory())
    told = nf.estimate(
        len(index), data.shape[1], kind="ivfpq", nlist=index.nlist, bits=args.bits, rerank=None
    )
    say(
        "add",
        rows=len(index) - before,
        seconds=time.perf_counter() - wall - saving,
        cpu_seconds=time.process_time() - cpu,
        estimated_mb=told.bytes["total"] / 2**20,
        index_mb=index.stats()["bytes"]["total"] / 2**20,
        file_mb=args.index.stat().st_size / 2**20,
        **memory(),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--queries", type=Path, required=True)
    parser.add_argument("--index", type=Path, required=True, help="where it is saved")
    parser.add_argument("--nlist", type=int, default=16_384)
    parser.add_argument("--bits", type=int, default=4)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--max-memory", type=int, default=256 << 20, help="bytes of a piece")
    parser.add_argument("--save-every", type=int, default=5_000_000, help="rows")
    parser.add_argument("--progress", action="store_true")
    args = parser.parse_args()
    data = np.load(args.data, mmap_mode="r")
    index = resumed(args, data)
    fill(args, index, data)
    queries, exact = held_out(args), np.load(truth_path(args.data))
    for nprobe in PROBES:
        say("search", **searched(index, queries, exact, nprobe=nprobe))


if __name__ == "__main__":
    main()
