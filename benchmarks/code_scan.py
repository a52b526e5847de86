"""Every code compared with a query, at 4 bits a dimension or so: beside turbovec and faiss.

    python benchmarks/code_scan.py prepare --n 1000000 --dim 768 --data mixture --folder out
    taskset -c 1 python benchmarks/code_scan.py run --folder out

`prepare` makes unit vectors a piece at a time, indexes of one list and the peers' indexes of them,
and the exact 10 nearest of 256 queries: "random" ones in all directions, the worst case for ruling
rows out, a "mixture" of normals round 1,000 centres, or those of a .npy file, the last 256 of which
are the queries. `run` searches them in turn, on the threads it is pinned to: one query a call, and
all in one call, the median of several rounds.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import nearfield as nf

Floats = NDArray[np.float32]
PIECE = 65_536
QUERIES, K = 256, 10


def unit_rows(data: str, n: int, dim: int, seed: int) -> Floats:
    """Make piece `seed`, which counts from 1, or the queries, which are piece 0."""
    if data.endswith(".npy"):
        held = np.load(data, mmap_mode="r")
        begin = (seed - 1) * PIECE if seed else len(held) - n
        rows = np.array(held[begin : begin + n], np.float32)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        return rows
    rng = np.random.default_rng([seed, n])
    rows = rng.standard_normal((n, dim), dtype=np.float32)
    if data == "mixture":
        centres = np.random.default_rng(0).standard_normal((1000, dim), dtype=np.float32)
        rows += centres[rng.integers(0, 1000, n)]
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows


def pieces(args: argparse.Namespace) -> Iterator[Floats]:
    for number, begin in enumerate(range(0, args.n, PIECE)):
        yield unit_rows(args.data, min(PIECE, args.n - begin), args.dim, number + 1)


def nearest(args: argparse.Namespace, queries: Floats) -> NDArray[np.int64]:
    """Give the rows with the largest products with each query."""
    products = np.empty((len(queries), 0), np.float32)
    ids = np.empty((len(queries), 0), np.int64)
    for number, rows in enumerate(pieces(args)):
        found = queries @ rows.T
        top = np.argpartition(-found, K, axis=1)[:, :K]
        products = np.hstack([products, np.take_along_axis(found, top, 1)])
        ids = np.hstack([ids, top + number * PIECE])
    return np.take_along_axis(ids, np.argsort(-products, axis=1)[:, :K], 1)


def prepare(args: argparse.Namespace) -> None:
    args.folder.mkdir(exist_ok=True)
    queries = unit_rows(args.data, QUERIES, args.dim, 0)
    np.savez(args.folder / "queries.npz", queries=queries, truth=nearest(args, queries))
    sample = next(pieces(args))[:20_000]
    for bits in args.bits:
        index = nf.IVFPQ(args.dim, "cosine", 1, nprobe=1, bits=bits, rerank=None)
        index.train(sample)
        for rows in pieces(args):
            index.add(rows)
        index.save(args.folder / f"{bits}.nf")
    for name, make in (("turbovec", with_turbovec), ("faiss", with_faiss)):
        try:
            make(args, sample)
        except ImportError:
            print(f"{name} is not installed")


def with_turbovec(args: argparse.Namespace, sample: Floats) -> None:
    from turbovec import TurboQuantIndex

    index = TurboQuantIndex(dim=args.dim, bit_width=4)
    index.calibrate(sample[:1024])
    for rows in pieces(args):
        index.add(rows)
    index.write(str(args.folder / "turbovec"))


def with_faiss(args: argparse.Namespace, sample: Floats) -> None:
    import faiss

    for m in (args.dim // 2, args.dim):
        index = faiss.index_factory(args.dim, f"PQ{m}x4fs", faiss.METRIC_INNER_PRODUCT)
        index.train(sample)
        for rows in pieces(args):
            index.add(rows)
        faiss.write_index(index, str(args.folder / f"PQ{m}x4fs.faiss"))


def searches(folder: Path) -> Iterator[tuple[str, Callable[[Floats], Any]]]:
    for path in sorted(folder.glob("*.nf")):
        index = nf.load(path)
        yield f"nearfield, {path.stem} bits", lambda rows, made=index: made.search(rows, K).ids
    if (folder / "turbovec").exists():
        from turbovec import TurboQuantIndex

        other = TurboQuantIndex.load(str(folder / "turbovec"))
        other.prepare()
        yield "turbovec, 4 bits", lambda rows: other.search(rows, k=K)[1]
    for path in sorted(folder.glob("*.faiss")):
        import faiss

        scan = faiss.read_index(str(path))
        yield f"faiss {path.stem}", lambda rows, made=scan: made.search(rows, K)[1]


def run(args: argparse.Namespace) -> None:
    kept = np.load(args.folder / "queries.npz")
    queries, truth = kept["queries"], kept["truth"]
    named = dict(searches(args.folder))
    alone: dict[str, list[float]] = {name: [] for name in named}
    together: dict[str, list[float]] = {name: [] for name in named}
    recalls = {}
    for round_ in range(args.rounds):
        for name, search in named.items():
            for i in range(round_ * 16, round_ * 16 + 16):
                query = queries[i % QUERIES][None]
                began = time.perf_counter()
                search(query)
                alone[name].append(time.perf_counter() - began)
            began = time.perf_counter()
            found = search(queries)
            together[name].append((time.perf_counter() - began) / QUERIES)
            pairs = zip(found, truth, strict=True)
            recalls[name] = float(np.mean([len(np.intersect1d(a, b)) for a, b in pairs])) / K
    for name in named:
        print(
            f"{name:22} one query {1e3 * statistics.median(alone[name]):7.3f} ms, of {QUERIES} "
            f"{1e3 * statistics.median(together[name]):7.3f} ms, recall@10 {recalls[name]:.3f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("prepare", "run"))
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--data", default="mixture", help="random, mixture or FILE.npy")
    parser.add_argument("--n", type=int, default=1_000_000)
    parser.add_argument("--dim", type=int, default=768)
    parser.add_argument("--bits", type=int, nargs="+", default=[3, 4, 5])
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    if args.data.endswith(".npy"):
        rows, args.dim = np.load(args.data, mmap_mode="r").shape
        args.n = rows - QUERIES
    elif args.data not in ("random", "mixture"):
        parser.error(f"--data must be random, mixture or FILE.npy, got {args.data}")
    {"prepare": prepare, "run": run}[args.what](args)


if __name__ == "__main__":
    main()
