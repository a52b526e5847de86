"""Index files: how fast they are written, read and mapped, beside what the disk itself does.

    python benchmarks/storage.py prepare --folder DIR --bytes 1e9     # once: makes the index
    python benchmarks/storage.py measure --folder DIR                 # prints JSON
    python benchmarks/storage.py search --folder DIR --kind flat

`measure` writes and reads a plain file of the same size in turns with saving and loading the
index, and takes the best of each. Reads begin with the file dropped from the page cache
(posix_fadvise), so that they come from the disk. `search` compares the copy with the map, and
with one of the vectors alone, in turns, by the CPU time of one thread.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

import nearfield as nf

DIM = 384
MIB = 1 << 20


def rows(n, seed):
    """Clustered vectors, a chunk at a time so that little memory is needed."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(0).standard_normal((2000, DIM), dtype=np.float32)
    out = np.empty((n, DIM), np.float32)
    for i in range(0, n, 50_000):
        part = out[i : i + 50_000]
        part[:] = centres[rng.integers(0, len(centres), len(part))]
        part += 0.7 * rng.standard_normal(part.shape, dtype=np.float32)
    return out


def prepare(folder, size):
    index = nf.Flat(DIM, "cosine")
    index.add(rows(int(size // (DIM * 5 + 21)), 1))  # float32 rows, 8-bit codes, an id
    index.save(folder / "flat.nf")
    graph = nf.HNSW(DIM, "cosine", ef_construction=60)
    graph.add(rows(int(size // 1236), 1), progress=True)
    graph.save(folder / "hnsw.nf")
    lists = nf.IVFPQ(DIM, "cosine")
    few = rows(int(size // 1100), 1)
    lists.train(few)
    lists.add(few)
    lists.save(folder / "ivfpq.nf")
    np.save(folder / "queries.npy", rows(2000, 2))


def forget(path):
    """Drop a file from the page cache."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def timed(work):
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def write_plain(path, size):
    """As fast as one can: 16 MiB a call, then fsync."""
    block = np.random.default_rng(0).bytes(16 * MIB)
    with path.open("wb", buffering=0) as file:
        os.posix_fallocate(file.fileno(), 0, size)
        for at in range(0, size, len(block)):
            file.write(block[: size - at])
        os.fsync(file.fileno())


def read_plain(path):
    buffer = bytearray(16 * MIB)
    with path.open("rb", buffering=0) as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_SEQUENTIAL)
        while file.readinto(buffer):
            pass


def first_answer(path):
    """Milliseconds from the call of load to the first answer, in a fresh process."""
    code = (
        "import sys, time, numpy as np, nearfield as nf;"
        f"q = np.load({str(path.parent / 'queries.npy')!r})[0];"
        "nf.Flat(4).search(np.ones((1, 4), 'f4'));"
        f"t = time.perf_counter(); i = nf.load({str(path)!r}, mmap=True);"
        "o = time.perf_counter(); i.search(q, k=10);"
        "print((o - t) * 1e3, (time.perf_counter() - t) * 1e3)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return [float(value) for value in ran.stdout.split()]


def disk(folder, kind, repeats):
    path, copy, plain = folder / f"{kind}.nf", folder / "copy.nf", folder / "plain"
    size = path.stat().st_size
    index = nf.load(path)
    times = {"write_plain": [], "save": [], "read_plain": [], "load": []}
    for _ in range(repeats):
        times["write_plain"].append(timed(lambda: write_plain(plain, size)))
        times["save"].append(timed(lambda: index.save(copy)))
        for file in (plain, copy):
            forget(file)
        times["read_plain"].append(timed(lambda: read_plain(plain)))
        times["load"].append(timed(lambda: nf.load(copy)))
    copy.unlink()
    plain.unlink()
    rates = {name: size / min(seconds) / 1e9 for name, seconds in times.items()}
    return {
        "bytes": size,
        "GB/s": {name: round(rate, 3) for name, rate in rates.items()},
        "save_share": round(rates["save"] / rates["write_plain"], 3),
        "load_share": round(rates["load"] / rates["read_plain"], 3),
    }


def opening(folder, kind):
    path = folder / f"{kind}.nf"
    forget(path)
    cold = first_answer(path)
    warm = sorted(first_answer(path) for _ in range(5))[2]
    return {
        "open_ms_cold": round(cold[0], 2), "first_answer_ms_cold": round(cold[1], 2),
        "open_ms_warm": round(warm[0], 2), "first_answer_ms_warm": round(warm[1], 2),
    }  # fmt: skip


def searching(folder, kind, rounds):
    """Queries a second of CPU time, one thread, of the copy and the warm map in turns: many in a
    call, and one.
    """
    queries = np.load(folder / "queries.npy")[: 200 if kind == "flat" else None]
    path = folder / f"{kind}.nf"
    ways = {"memory": nf.load(path), "map": nf.load(path, mmap=True)}
    if kind == "hnsw":
        ways["rows"] = nf.load(path, mmap="rows")
    calls = {"many": [queries], "one": list(queries[:200])}
    took = {name: {way: [] for way in ways} for name in calls}
    for _ in range(rounds + 1):
        for name, parts in calls.items():
            for part in parts:
                for way, index in ways.items():
                    started = time.thread_time()
                    index.search(part, k=10, threads=1)
                    took[name][way].append(time.thread_time() - started)
    found = [index.search(queries, k=10).ids for index in ways.values()]
    answer = {"same_answers": all((ids == found[0]).all() for ids in found)}
    for name, parts in calls.items():
        # The first round warms up; then the quickest of each call, as others disturb some.
        spent = {
            way: np.reshape(seconds, (rounds + 1, len(parts)))[1:].min(0).sum()
            for way, seconds in took[name].items()
        }
        answer[name] = {
            "qps": {
                way: round(sum(len(np.atleast_2d(part)) for part in parts) / total)
                for way, total in spent.items()
            },
            "share": {
                way: round(spent["memory"] / total, 3)
                for way, total in spent.items()
                if way != "memory"
            },
        }
    return answer


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("step", choices=("prepare", "measure", "search"))
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--bytes", type=float, default=1e9, help="of each index (default: 1e9)")
    parser.add_argument("--kind", choices=("flat", "hnsw", "ivfpq"), default="flat")
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    folder = arguments.folder
    if arguments.step == "prepare":
        folder.mkdir(parents=True, exist_ok=True)
        prepare(folder, arguments.bytes)
    elif arguments.step == "search":
        print(json.dumps(searching(folder, arguments.kind, arguments.repeats)))
    else:
        found = disk(folder, arguments.kind, arguments.repeats) | opening(folder, arguments.kind)
        print(json.dumps(found))


if __name__ == "__main__":
    main()
