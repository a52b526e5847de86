"""The compat layers beside the libraries they stand in for, on these libraries' own loops.

    python benchmarks/compat.py prepare --base base.npy --queries queries.npy --cache DIR
    python benchmarks/compat.py time --cache DIR [--threads 1]
    python benchmarks/compat.py adds --base base.npy

`prepare` builds every index once and keeps it, with the exact answers; `time` loads them and
measures. Each loop asks all queries in one call, as the originals' examples do, and one at a time.
The layer, our own call with the same settings, and the original (three times) take turns. Speeds
are the best of the rounds, by CPU time where there is one thread, and stand beside their recall;
layer / native is the median of the rounds' ratios. `adds` times elements that come one a call to
hnswlib and to its layer. Needs hnswlib, faiss-cpu and usearch.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np

EFS = (10, 20, 40, 80, 160)
K = 10
M = 16
EF_CONSTRUCTION = 200
ADDED = 400


def build(layer: str, side: str, base: np.ndarray, room: int = 0) -> Any:
    """An index of the layer's kind, of ours or theirs."""
    n, dim = base.shape
    if layer == "hnswlib":
        import hnswlib as theirs

        from nearfield.compat import hnswlib as ours

        index = (ours if side == "ours" else theirs).Index("l2", dim)
        index.init_index(max(n, room), M=M, ef_construction=EF_CONSTRUCTION)
        if n:
            index.add_items(base)
        return index
    if layer == "faiss":
        import faiss as theirs

        from nearfield.compat import faiss as ours

        index = (ours if side == "ours" else theirs).IndexHNSWFlat(dim, M)
        index.hnsw.efConstruction = EF_CONSTRUCTION
        if n:
            index.add(base)
        return index
    from usearch.index import Index as Theirs

    from nearfield.compat.usearch import Index as Ours

    make = Ours if side == "ours" else Theirs
    index = make(
        ndim=dim, metric="l2sq", dtype="f16", connectivity=M, expansion_add=EF_CONSTRUCTION
    )
    if n:
        index.add(np.arange(n), base)
    return index


def asks(layer: str, index: Any, ef: int, threads: int) -> tuple[Callable, Callable]:
    """Calls that answer all queries at once, and one; both give ids."""
    if layer == "hnswlib":
        index.set_ef(ef)
        index.set_num_threads(threads)
        return (
            lambda q: index.knn_query(q, k=K)[0],
            lambda q: index.knn_query(q, k=K)[0],
        )
    if layer == "faiss":
        index.hnsw.efSearch = ef
        return lambda q: index.search(q, K)[1], lambda q: index.search(q[None], K)[1]
    index.expansion_search = ef
    return (
        lambda q: index.search(q, K, threads=threads).keys,
        lambda q: index.search(q, K, threads=threads).keys,
    )


def native_of(index: Any) -> Any:
    """Our own index behind a layer."""
    return index._elements.native if hasattr(index, "_elements") else index._native


def native_asks(index: Any, ef: int, threads: int) -> tuple[Callable, Callable]:
    """The same of our own index behind a layer."""
    native = native_of(index)
    ask = lambda q: native.search(q, K, ef_search=max(ef, K), threads=threads).ids  # noqa: E731
    return ask, ask


def recall(found: np.ndarray, exact: np.ndarray) -> float:
    """Share of the exact neighbors that were found."""
    hits = sum(len(set(a) & set(b)) for a, b in zip(found.tolist(), exact.tolist(), strict=True))
    return hits / exact.size


def rate(ask: Callable, queries: np.ndarray, singly: bool, clock: Callable) -> float:
    """Queries a second."""
    started = clock()
    if singly:
        for query in queries:
            ask(query)
    else:
        ask(queries)
    return len(queries) / (clock() - started)


def prepare(args: argparse.Namespace) -> None:
    """Build and keep."""
    import nearfield as nf

    base = np.ascontiguousarray(np.load(args.base, mmap_mode="r")[: args.limit], np.float32)
    queries = np.ascontiguousarray(np.load(args.queries)[: args.asked], np.float32)
    flat = nf.Flat(base.shape[1], "l2")
    flat.add(base)
    args.cache.mkdir(exist_ok=True, parents=True)
    np.save(args.cache / "queries.npy", queries)
    np.save(args.cache / "exact.npy", flat.search(queries, K).ids)
    seconds = {}
    for layer in ("hnswlib", "faiss", "usearch"):
        for side in ("ours", "theirs"):
            started = perf_counter()
            index = build(layer, side, base)
            seconds[f"{layer} {side}"] = round(perf_counter() - started, 1)
            keep(layer, side, index, args.cache)
    (args.cache / "seconds.json").write_text(json.dumps(seconds))
    print(f"{len(base):,} x {base.shape[1]}; build seconds:", seconds)


def keep(layer: str, side: str, index: Any, cache: Path) -> None:
    """Write an index to the cache: the originals in their format, ours in our own."""
    path = str(cache / f"{layer}-{side}")
    if side == "ours":
        native_of(index).save(path)
    elif layer == "faiss":
        import faiss

        faiss.write_index(index, path)
    else:
        index.save_index(path) if layer == "hnswlib" else index.save(path)


def kept(layer: str, side: str, cache: Path, n: int, dim: int) -> Any:
    """Read an index back."""
    import nearfield as nf

    path = str(cache / f"{layer}-{side}")
    if side == "ours":
        index = build(layer, side, np.ones((0, dim), np.float32), n)
        holder, name = (index._elements, "native") if layer == "hnswlib" else (index, "_native")
        setattr(holder, name, nf.load(path))
        return index
    if layer == "faiss":
        import faiss

        return faiss.read_index(path)
    if layer == "usearch":
        from usearch.index import Index

        return Index.restore(path)
    import hnswlib

    index = hnswlib.Index("l2", dim)
    index.load_index(path)
    return index


def measure(args: argparse.Namespace) -> None:
    """Load and time, the three taking turns."""
    queries, exact = np.load(args.cache / "queries.npy"), np.load(args.cache / "exact.npy")
    singles = queries[: args.singles]
    clock = process_time if args.threads == 1 else perf_counter
    for layer in args.layers:
        if layer == "faiss":
            import faiss

            import nearfield as nf

            faiss.omp_set_num_threads(args.threads)
            nf.set_num_threads(args.threads)
        ours, theirs = (
            kept(layer, side, args.cache, len(exact), queries.shape[1])
            for side in ("ours", "theirs")
        )
        print(f"\n{layer}: recall, batch QPS, single QPS (layer | native | {layer})")
        for ef in EFS:
            named = {
                "layer": asks(layer, ours, ef, args.threads),
                "native": native_asks(ours, ef, args.threads),
                "theirs": asks(layer, theirs, ef, args.threads),
            }
            rates: dict[str, list[tuple[float, float]]] = {name: [] for name in named}
            for turn in range(args.rounds):
                for name, (batch, one) in named.items():
                    if name != "theirs" or turn < 3:
                        both = rate(batch, queries, False, clock), rate(one, singles, True, clock)
                        rates[name].append(both)
            row = [f"ef {ef:>3}"]
            for name, (batch, _) in named.items():
                share, best = recall(np.asarray(batch(queries)), exact), np.max(rates[name], axis=0)
                row.append(f"{share:.4f} {best[0]:>8,.0f} {best[1]:>7,.0f}")
            ratio = np.median(np.divide(rates["layer"], rates["native"]), axis=0)
            row.append(f"layer / native {ratio[0]:.2f} {ratio[1]:.2f}")
            print(" | ".join(row), flush=True)


def adds(args: argparse.Namespace) -> None:
    """Median time of adding one element to so many, in turn."""
    base = np.ascontiguousarray(np.load(args.base, mmap_mode="r")[: max(args.sizes) + ADDED], "f4")
    for size in args.sizes:
        for turn in range(2):
            for side in ("ours", "theirs"):
                index = build("hnswlib", side, base[:size], room=size + ADDED)
                seconds = []
                for row in base[size : size + ADDED]:
                    started = perf_counter()
                    index.add_items(row, num_threads=1)
                    seconds.append(perf_counter() - started)
                print(f"{size:,} + 1, turn {turn}, {side}: {1e6 * np.median(seconds):.0f} us")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(required=True)
    build_parser = commands.add_parser("prepare")
    build_parser.add_argument("--base", type=Path, required=True)
    build_parser.add_argument("--queries", type=Path, required=True)
    build_parser.add_argument("--limit", type=int, default=100_000)
    build_parser.add_argument("--asked", type=int, default=1000)
    build_parser.set_defaults(run=prepare)
    time_parser = commands.add_parser("time")
    time_parser.add_argument("--threads", type=int, default=1)
    time_parser.add_argument("--rounds", type=int, default=3)
    time_parser.add_argument("--singles", type=int, default=500)
    time_parser.add_argument("--layers", nargs="+", default=["hnswlib", "faiss", "usearch"])
    time_parser.set_defaults(run=measure)
    adds_parser = commands.add_parser("adds")
    adds_parser.add_argument("--base", type=Path, required=True)
    adds_parser.add_argument("--sizes", nargs="+", type=int, default=[5000, 40_000])
    adds_parser.set_defaults(run=adds)
    for sub in (build_parser, time_parser):
        sub.add_argument("--cache", type=Path, required=True)
    args = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", str(getattr(args, "threads", os.cpu_count())))
    args.run(args)


if __name__ == "__main__":
    main()
