"""Kernels against what one core can do: bandwidth from memory, instructions on rows in cache.

Every figure is the median of interleaved runs in one process on one pinned core, beside the
yardstick measured in the same rounds. Run: python benchmarks/kernels.py [--part memory]
"""

from __future__ import annotations

import argparse
import functools
import os
import statistics
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

import probe
from nearfield import _core

kernels = _core.kernels
Run = Callable[[], object]


def seconds(run: Run) -> float:
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def interleaved(runs: dict[str, Run], rounds: int) -> dict[str, list[float]]:
    """Time each run once a round, all in the same order; the first round is thrown away."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for i in range(rounds + 1):
        for name, run in runs.items():
            took = seconds(run)
            if i > 0:
                times[name].append(took)
    return times


def aligned(shape: tuple[int, int], dtype: np.dtype | type) -> NDArray[np.generic]:
    """Zeros on a 64-byte boundary, as the library keeps its rows; numpy's lie 16 bytes off."""
    size = shape[0] * shape[1] * np.dtype(dtype).itemsize
    memory = np.zeros(size + 64, np.uint8)
    start = -memory.ctypes.data % 64
    return memory[start : start + size].view(dtype).reshape(shape)


def encoded(rng: np.random.Generator, scalar: str, shape: tuple[int, int]) -> NDArray[np.generic]:
    """Rows of a scalar type; large ones repeat a block, which memory does not notice."""
    block = rng.standard_normal((min(shape[0], 4096), shape[1]), dtype=np.float32)
    if scalar in ("i8", "u8"):
        block = (block * 30 + (128 if scalar == "u8" else 0)).clip(-127, 255)
        block = block.astype(np.int8 if scalar == "i8" else np.uint8)
    elif scalar != "f32":
        flat = kernels.to_half(kernels.active_layer(), scalar, block.ravel())
        block = flat.reshape(block.shape)
    rows = aligned(shape, block.dtype)
    for begin in range(0, shape[0], len(block)):
        rows[begin : begin + len(block)] = block[: shape[0] - begin]
    return rows


def memory_part(layer: str, rows: int, rounds: int) -> None:
    """Compare one query with every row, as a share of what reading the same bytes takes."""
    rng = np.random.default_rng(0)
    print("\nOne query against rows in memory: GB/s, and the share of plain reading")
    print("| rows | plain read | l2 | dot | cosine |\n|---|---|---|---|---|")
    for scalar, dim in [("f32", 128), ("f32", 768), ("f16", 768), ("i8", 768)]:
        data = encoded(rng, scalar, (rows, dim))
        query = data[0].copy() if scalar == "i8" else rng.standard_normal(dim, dtype=np.float32)
        out = np.empty(rows, np.float32)
        runs: dict[str, Run] = {"read": lambda data=data: probe.read_all(data)}
        for metric in ("l2", "dot", "cosine"):
            runs[metric] = lambda metric=metric, scalar=scalar, query=query, data=data, out=out: (
                kernels.distances(layer, scalar, metric, query, data, None, out)
            )
        times = interleaved(runs, rounds)
        cells = [f"{data.nbytes / statistics.median(times['read']) / 1e9:.1f}"]
        for metric in ("l2", "dot", "cosine"):
            rate = data.nbytes / statistics.median(times[metric]) / 1e9
            share = statistics.median(
                r / t for r, t in zip(times["read"], times[metric], strict=True)
            )
            cells.append(f"{rate:.1f} ({share:.0%})")
        print(f"| {rows:,} x {dim} {scalar} | {' | '.join(cells)} |", flush=True)
    gather_from_memory(layer, rng, rounds)


def gather_from_memory(layer: str, rng: np.random.Generator, rounds: int) -> None:
    """Random rows of 1 GB of codes: what a graph walk costs when nothing is in cache."""
    memory = aligned((1, 1 << 30), np.uint8)[0]
    memory[:] = 1
    print("\nRandom rows of 1 GB of codes, ns a row")
    print("| bytes | 8-bit | 4-bit |\n|---|---|---|")
    for length in (64, 192, 384):
        rows = memory[: len(memory) // length * length].reshape(-1, length)
        cells = []
        for bits in (8, 4):
            query = rng.integers(-127, 128, length * 8 // bits).astype(np.int8)
            out = np.empty(1 << 16, np.int32)
            times = []
            for _ in range(rounds):
                slots = rng.integers(0, len(rows), len(out)).astype(np.uint32)
                begin = time.perf_counter()
                kernels.codes(layer, bits, query, rows, slots, out)
                times.append(time.perf_counter() - begin)
            cells.append(f"{statistics.median(times) / len(out) * 1e9:.1f}")
        print(f"| {length} | {' | '.join(cells)} |", flush=True)


# What a group of eight rows costs in the AVX-512 VNNI kernels, counted in the source and checked in
# the disassembly. The rows share each load of the query; at the end 16 shuffles and 8 additions add
# up the lanes of their sums. A gathered row is found by a load of its slot, and up to 8 lines of a
# later row are requested meanwhile.
GROUP = 8


def group_mix(name: str, length: int) -> probe.Mix:
    """Instructions of eight rows of `length` bytes."""
    kind, walk = name.split()
    steps = -(-length // 64)
    rows = GROUP * steps
    mix = {"load": rows + steps, "product": rows, "shuffle": 16, "add": 8, "store": 1}
    if kind == "u4":
        mix.update({"load": rows + 2 * steps, "product": 2 * rows, "and": 2 * rows, "shift": rows})
    if kind == "i8":  # rows move to unsigned by an exclusive or, sums back by an addition
        mix.update({"and": rows, "add": 9, "shift": 1})
    if walk == "gather":
        mix.update({"find": GROUP, "request": GROUP * min(8, steps)})
    return tuple(mix.items())


IN_CACHE = 16 * 1024  # bytes of rows: a third of the first-level cache, and many rows a call


def cache_part(layer: str, rounds: int) -> None:
    """Rows that stay in the first-level cache, against the instruction count."""
    rng = np.random.default_rng(0)
    print("\nRows in the first-level cache, ns a row, and the share of what the same instructions")
    print("take where none waits for another")
    print("| bytes | 8-bit rows | gather | 4-bit rows | gather | int8 dot rows |")
    print("|---|---|---|---|---|---|")
    for length in (64, 128, 192, 256, 384, 768):
        n = IN_CACHE // length // GROUP * GROUP
        rows = aligned((n, length), np.uint8)
        rows[:] = rng.integers(0, 256, (n, length))
        slots = rng.permutation(n).astype(np.uint32)
        repeats = 200_000 // n
        runs: dict[str, Run] = {}
        for bits in (8, 4):
            query = aligned((1, length * 8 // bits), np.int8)[0]
            query[:] = rng.integers(-127, 128, len(query))
            for name, which in (("rows", None), ("gather", slots)):
                out = np.empty(n, np.int32)
                arguments = (layer, bits, query, rows, which, out, repeats)
                runs[f"u{bits} {name}"] = functools.partial(kernels.codes, *arguments)
        signed, query = rows.view(np.int8), rows[0].view(np.int8)
        out32 = np.empty(n, np.float32)
        runs["i8 rows"] = lambda q=query, r=signed, o=out32, m=repeats: kernels.distances(
            layer, "i8", "dot", q, r, None, o, m
        )
        took: dict[str, list[float]] = {name: [] for name in runs}
        shares: dict[str, list[float]] = {name: [] for name in runs}
        for _ in range(rounds):
            for name, run in runs.items():
                least = probe.mix_ns(group_mix(name, length)) / GROUP
                row_ns = min(seconds(run) for _ in range(5)) / (repeats * n) * 1e9
                took[name].append(row_ns)
                shares[name].append(least / row_ns)
        cells = [
            f"{statistics.median(took[name]):.2f} ({statistics.median(shares[name]):.0%})"
            for name in ("u8 rows", "u8 gather", "u4 rows", "u4 gather", "i8 rows")
        ]
        print(f"| {length} | {' | '.join(cells)} |", flush=True)


def tiles_part(rounds: int) -> None:
    """Many x many: multiply-adds a second of every layer that has a tile of its own."""
    rng = np.random.default_rng(0)
    there = {name for name, supported in kernels.layers() if supported}
    layers = {
        "f32": ["avx2", "avx512"],
        "bf16": ["avx512", "avx512_bf16", "avx512_amx"],
        "u8": ["avx2", "avx512", "avx512_vnni", "avx512_amx"],
    }
    print("\n256 left rows x 1024 right rows: 10^9 multiply-adds a second")
    print("(f32 on AVX-512: share of the peak, measured beside it)")
    print("| scalar | layer | dim 128 | dim 384 | dim 768 | dim 1536 |\n|---|---|---|---|---|---|")
    m, n = 256, 1024
    left_type = {"f32": np.float32, "bf16": np.uint16, "u8": np.int8}
    for scalar, names in layers.items():
        for layer in [name for name in names if name in there]:
            cells = []
            for dim in (128, 384, 768, 1536):
                a = aligned((m, dim), left_type[scalar])
                rows = encoded(rng, scalar, (n, dim))
                a[:] = encoded(rng, "i8" if scalar == "u8" else scalar, (m, dim))
                out = aligned((m, n), np.int32 if scalar == "u8" else np.float32)
                panels = kernels.pack(layer, scalar, rows)
                peaks, rates = [], []
                for _ in range(rounds):
                    took = min(
                        seconds(lambda: kernels.tile(layer, scalar, a, panels, n, dim, out))  # noqa: B023
                        for _ in range(3)
                    )
                    rates.append(m * n * dim / took / 1e9)
                    if layer == "avx512" and scalar == "f32":
                        peaks.append(16 / probe.instruction_ns("fma"))
                share = f" ({statistics.median(map(np.divide, rates, peaks)):.0%})" if peaks else ""
                cells.append(f"{statistics.median(rates):.0f}{share}")
            print(f"| {scalar} | {layer} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--part", choices=["memory", "cache", "tiles"])
    parser.add_argument("--layer", default=kernels.active_layer())
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    print(f"layer {options.layer}")
    if options.part in (None, "cache"):
        cache_part(options.layer, options.rounds)
    if options.part in (None, "tiles"):
        tiles_part(options.rounds)
    if options.part in (None, "memory"):
        memory_part(options.layer, options.rows, options.rounds)


if __name__ == "__main__":
    main()
