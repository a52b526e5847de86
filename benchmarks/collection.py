"""How fast a collection is, beside what the disk and the index alone could do, in the same run.

    python benchmarks/collection.py write       # all of: single, crowd, ingest
    python benchmarks/collection.py curve --rates 1000 5000 0   # searches beside a writer
    python benchmarks/collection.py sustain --rates 5000 --seconds 60   # writing on and on
    python benchmarks/collection.py prepare --folder DIR        # a million rows, once
    python benchmarks/collection.py where --folder DIR
    python benchmarks/collection.py recover --folder DIR

Vectors lie round random centres and stand for no model: nothing here depends on recall, which the
index's own benchmarks measure.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import shutil
import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import nearfield as nf

LANGUAGES = ("ko", "en", "ja", "zh", "de")


def rows_like_embeddings(n: int, dim: int, seed: int = 0) -> NDArray[np.float32]:
    """Vectors round 1,000 centres."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(1).standard_normal((1000, dim), dtype=np.float32)
    return centres[rng.integers(0, 1000, n)] + rng.standard_normal((n, dim), dtype=np.float32) / 2


def metadata_of(first: int, n: int) -> list[dict[str, Any]]:
    return [{"lang": LANGUAGES[i % 5], "year": 1990 + i % 36} for i in range(first, first + n)]


def percentiles(seconds: list[float]) -> dict[str, float]:
    """p50 and p99 in milliseconds."""
    p50, p99 = np.percentile(seconds, [50, 99]) * 1e3
    return {"p50_ms": round(float(p50), 3), "p99_ms": round(float(p99), 3), "calls": len(seconds)}


def timed(call: Callable[[], Any]) -> float:
    started = time.perf_counter()
    call()
    return time.perf_counter() - started


def single_adds(folder: Path, dim: int, calls: int) -> dict[str, Any]:
    """One row a call, in turn with what the disk takes to sync 4 KiB appended to a file, and SQLite
    to commit the vector alone. The first 16 MiB make the log's file longer, which takes longer to
    sync than writing it over, as all later ones do.
    """
    vectors = rows_like_embeddings(calls, dim)
    page = os.urandom(4096)
    adds, syncs, commits = [], [], []
    bare = bare_sqlite(folder / "bare.db")
    with nf.Collection(folder / "single", dim=dim) as docs, (folder / "page").open("wb") as file:

        def sync() -> None:
            file.write(page)
            file.flush()
            os.fsync(file.fileno())

        for i in range(calls):
            syncs.append(timed(sync))
            row = (i, vectors[i].tobytes())
            commits.append(timed(lambda row=row: bare.execute("INSERT INTO t VALUES (?, ?)", row)))
            adds.append(timed(lambda i=i: docs.add(ids=[i], vectors=vectors[i])))
    bare.close()
    most = (16 << 20) // (4 * 8192)  # rows, four pages each, that the log has room for
    return {
        "add": percentiles(adds[most:]),
        "fsync": percentiles(syncs[most:]),
        "sqlite": percentiles(commits[most:]),
        "p50_ratio": round(float(np.median(adds[most:]) / np.median(syncs[most:])), 2),
        "p50_ratio_of_the_first": round(float(np.median(adds[:most]) / np.median(syncs[:most])), 2),
    }


def bare_sqlite(path: Path) -> sqlite3.Connection:
    """One table of blobs, synced as a collection syncs."""
    connection = sqlite3.connect(path, isolation_level=None)
    for pragma in ("page_size=8192", "locking_mode=EXCLUSIVE", "journal_mode=WAL",
                   "synchronous=FULL"):  # fmt: skip
        connection.execute(f"PRAGMA {pragma}").fetchall()
    connection.execute("CREATE TABLE t(slot INTEGER PRIMARY KEY, vec BLOB)")
    return connection


def ingest(folder: Path, dim: int, rows: int, batch: int) -> dict[str, Any]:
    """Durable batches, as fast as they go and at a steady rate; one caller searches meanwhile."""
    vectors = rows_like_embeddings(3 * rows, dim)
    queries = rows_like_embeddings(1000, dim, seed=3)
    steady, seconds = 1000, 20
    with nf.Collection(folder / "ingest", dim=dim) as docs:
        for start in range(0, rows, 5000):
            ids = range(start, min(start + 5000, rows))
            docs.add(ids=list(ids), vectors=vectors[ids.start : ids.stop])
        docs.compact()
        _, idle = searching_during(docs, queries, lambda: time.sleep(5))
        first = rows
        beside, full = searching_during(
            docs, queries, lambda: write_batches(docs, vectors, first, rows, batch)
        )
        docs.catch_up()
        first += rows
        alone = write_batches(docs, vectors, first, rows // 2, batch)
        waiting = docs.stats()["waiting"]
        catching_up = timed(docs.catch_up)
        first += rows // 2
        _, paced = searching_during(
            docs, queries,
            lambda: write_batches(docs, vectors, first, min(steady * seconds, rows // 2), batch,
                                  batch / steady),
        )  # fmt: skip
        return {
            "rows": rows, "batch": batch, "dim": dim,
            "rows_a_second": round(rows // 2 / alone),
            "rows_a_second_beside_searches": round(rows / beside),
            "waiting_rows": waiting, "catch_up_s": round(catching_up, 2),
            "search_idle": percentiles(idle),
            "search_during_full_ingest": percentiles(full),
            f"search_during_{steady}_rows_a_second": percentiles(paced),
        }  # fmt: skip


def curve(
    folder: Path, dim: int, rates: list[int], max_waiting: int | None, rounds: int
) -> dict[str, Any]:
    """Searches beside a writer of so many rows a second, 0 for as many as go: 8 s of it, on 40,000
    rows at first.

    What a search takes while nobody writes changes by the minute: it is measured before each of the
    rounds and after the last, and each p99 beside the writer is divided by that of the searches
    before and after; and by that of the same collection's searches once it has caught up, which
    search as many rows. Given are the median of all rounds, the least and the largest.
    """
    base, out = 40_000, {}
    vectors = rows_like_embeddings(base + 80_000, dim)
    queries = rows_like_embeddings(1000, dim, seed=3)
    for rate in rates:
        idle, beside, settled, speeds = [], [], [], []
        for i in range(rounds + 1):
            place = folder / f"curve-{rate}-{i}"
            with nf.Collection(place, dim=dim, max_waiting=max_waiting) as docs:
                for start in range(0, base, 5000):
                    ids = list(range(start, start + 5000))
                    docs.add(ids=ids, vectors=vectors[start : start + 5000])
                docs.compact()
                searching_during(docs, queries, lambda: time.sleep(0.5))
                idle.append(searching_during(docs, queries, lambda: time.sleep(3))[1])
                if i == rounds:
                    break
                n, pause = (8 * rate, 100 / rate) if rate else (60_000, 0.0)
                work = (docs, vectors, base, min(80_000, n), 100, pause)
                took, taken = searching_during(docs, queries, lambda w=work: write_batches(*w))
                beside.append(taken)
                speeds.append(round(min(80_000, n) / took))
                docs.catch_up()
                settled.append(searching_during(docs, queries, lambda: time.sleep(3))[1])
            shutil.rmtree(place)
        shutil.rmtree(place)
        around = [before + after for before, after in itertools.pairwise(idle)]
        out[rate] = over_rounds(
            rows_a_second=speeds,
            idle_p50_ms=[percentiles(taken)["p50_ms"] for taken in around],
            idle_p99_ms=[percentiles(taken)["p99_ms"] for taken in around],
            beside_p50_ms=[percentiles(taken)["p50_ms"] for taken in beside],
            beside_p99_ms=[percentiles(taken)["p99_ms"] for taken in beside],
            settled_p50_ms=[percentiles(taken)["p50_ms"] for taken in settled],
            settled_p99_ms=[percentiles(taken)["p99_ms"] for taken in settled],
            p99_ratio=p99_ratios(beside, around),
            p99_ratio_settled=p99_ratios(beside, settled),
        )
        print(rate, json.dumps(out[rate]), flush=True)
    return out


def p99_ratios(taken: list[list[float]], quiet: list[list[float]]) -> list[float]:
    """Of the searches of each round to those of the same round while nobody wrote."""
    pairs = zip(taken, quiet, strict=True)
    return [float(np.percentile(a, 99) / np.percentile(b, 99)) for a, b in pairs]


def over_rounds(**of_rounds: list[float]) -> dict[str, Any]:
    """Median, least and largest of each, and what each round gave."""
    return {
        name: {
            "median": round(float(np.median(values)), 3),
            "rounds": [round(value, 3) for value in values],
        }
        for name, values in of_rounds.items()
    }


def sustain(folder: Path, dim: int, rates: list[int], seconds: float) -> dict[str, Any]:
    """Writing on and on, from nothing: how long the writes of 100 rows take, searches beside them,
    and what is left to build in the end.
    """
    batch, out = 100, {}
    vectors = rows_like_embeddings(int(max(rates) * seconds) + 1, dim)
    queries = rows_like_embeddings(1000, dim, seed=3)
    for rate in rates:
        n, waits = int(rate * seconds), []
        with nf.Collection(folder / f"sustain-{rate}", dim=dim) as docs:
            docs.add(ids=[n], vectors=vectors[n])
            work = (docs, vectors, 0, n, batch, batch / rate, waits)
            took, beside = searching_during(docs, queries, lambda w=work: write_batches(*w))
            facts = docs.stats()
            out[rate] = {
                "rows_a_second": round(n / took),
                "longest_writes_s": [round(wait, 2) for wait in sorted(waits)[:-6:-1]],
                "write": percentiles(waits), "beside": percentiles(beside),
                "beside_at_the_end": percentiles(beside[-len(beside) // 4 :]),
                "waiting": facts["waiting"], "segments": sorted(facts["segments"]),
            }  # fmt: skip
            print(rate, json.dumps(out[rate]), flush=True)
            out[rate]["catch_up_s"] = round(timed(docs.catch_up), 1)
            _, idle = searching_during(docs, queries, lambda: time.sleep(5))
            out[rate]["idle"] = percentiles(idle)
        shutil.rmtree(folder / f"sustain-{rate}")
    return out


def searching_during(
    docs: nf.Collection, queries: NDArray[np.float32], work: Callable[[], Any]
) -> tuple[float, list[float]]:
    """How long the work took, and each search beside it: of one caller, 2 ms between two calls."""
    stop, taken = threading.Event(), []

    def search() -> None:
        while not stop.is_set():
            query = queries[len(taken) % len(queries)]
            taken.append(timed(lambda q=query: docs.search(q, k=10, threads=1)))
            time.sleep(0.002)

    reader = threading.Thread(target=search)
    reader.start()
    try:
        return timed(work), taken
    finally:
        stop.set()
        reader.join()


def crowd(folder: Path, dim: int, calls: int) -> dict[str, Any]:
    """Upserts of 20 rows, searches and reads beside two threads that compute in Python."""
    vectors = rows_like_embeddings(2000, dim)
    stop, ids = threading.Event(), list(range(20))
    with nf.Collection(folder / "crowd", dim=dim, cache_bytes=0) as docs:
        docs.add(ids=list(range(2000)), vectors=vectors, texts=["text " * 40] * 2000)

        def compute() -> None:
            while not stop.is_set():
                sum(range(1000))

        others = [threading.Thread(target=compute) for _ in range(2)]
        for other in others:
            other.start()
        try:
            return {
                "upsert": percentiles(
                    [timed(lambda: docs.upsert(ids, vectors=vectors[:20])) for _ in range(calls)]
                ),
                "search_without_cache": percentiles(
                    [timed(lambda: docs.search(vectors[0], k=10)) for _ in range(calls)]
                ),
                "get_20": percentiles([timed(lambda: docs.get(ids)) for _ in range(calls)]),
            }
        finally:
            stop.set()
            for other in others:
                other.join()


def write_batches(
    docs: nf.Collection,
    vectors: NDArray[np.float32],
    first: int,
    n: int,
    batch: int,
    pause: float = 0.0,
    waits: list[float] | None = None,
) -> float:
    """Seconds for n rows; with `pause`, a batch begins so many seconds after the one before, if
    that is over. Each one's time is added to `waits`.
    """
    started = time.perf_counter()
    for start in range(first, first + n, batch):
        due = started + (start - first) / batch * pause
        time.sleep(max(0.0, due - time.perf_counter()))
        began = time.perf_counter()
        docs.add(
            ids=list(range(start, start + batch)),
            vectors=vectors[start : start + batch],
            metadata=metadata_of(start, batch),
        )
        if waits is not None:
            waits.append(time.perf_counter() - began)
    return time.perf_counter() - started


def prepare(folder: Path, rows: int, dim: int, log_rows: int) -> dict[str, Any]:
    """Rows in one segment, and `log_rows` that only the log has."""
    started = time.perf_counter()
    with nf.Collection(folder / "large", dim=dim, seal_rows=rows, durability="os") as docs:
        for start in range(0, rows, 10_000):
            docs.add(
                ids=list(range(start, start + 10_000)),
                vectors=rows_like_embeddings(10_000, dim, seed=start),
                metadata=metadata_of(start, 10_000),
            )
        written = time.perf_counter() - started
        building = timed(docs.compact)
        for start in range(rows, rows + log_rows, 10_000):
            docs.add(
                ids=list(range(start, start + 10_000)),
                vectors=rows_like_embeddings(10_000, dim, seed=start),
                metadata=metadata_of(start, 10_000),
            )
    return {"rows": rows, "dim": dim, "written_s": round(written, 1), "built_s": round(building, 1)}


def where(folder: Path) -> dict[str, Any]:
    """What a condition on two declared fields adds to a search."""
    with nf.Collection(folder / "large", fields=["lang", "year"], seal_rows=1 << 20) as docs:
        query = rows_like_embeddings(1, docs.dim, seed=5)[0]
        docs.count({"lang": "ko", "year": 1990})  # waits for the columns
        years = range(2005, 2015)
        fresh = [{"lang": lang, "year": {">=": year}} for lang in LANGUAGES for year in years]
        others = [{"lang": lang, "year": {"<": year}} for lang in LANGUAGES for year in years]
        # A first count is the condition's compilation and nothing else.
        compiled = [timed(lambda w=w: docs.count(w)) for w in fresh]
        first = [timed(lambda w=w: docs.search(query, k=10, where=w)) for w in others]
        again = [timed(lambda w=w: docs.search(query, k=10, where=w)) for w in others]
        plain = [timed(lambda: docs.search(query, k=10)) for _ in others]
        counts = [docs.count(condition) for condition in others]
        return {
            "rows": len(docs),
            "segments": docs.stats()["segments"],
            "matching": [min(counts), max(counts)],
            "plain_search": percentiles(plain),
            "compile": percentiles(compiled),
            "first_search": percentiles(first),
            "again": percentiles(again),
            "again_adds_ms": round(float(np.median(again) - np.median(plain)) * 1e3, 3),
        }


def recover(folder: Path) -> dict[str, Any]:
    """Opening as a kill leaves it, and rebuilding from rows alone."""
    killed = folder / "killed"
    shutil.rmtree(killed, ignore_errors=True)
    shutil.copytree(folder / "large", killed)
    options = {"seal_rows": 1 << 20}
    opened: list[nf.Collection] = []
    opening = timed(lambda: opened.append(nf.Collection(killed, **options)))
    query = rows_like_embeddings(1, opened[0].dim, seed=5)[0]
    first = timed(lambda: opened[0].search(query, k=10))
    facts = opened[0].stats()
    opened[0].close()
    shutil.rmtree(killed)
    return {
        "rows": facts["n"], "of_them_in_the_log": facts["waiting"],
        "open_s": round(opening, 2), "first_search_ms": round(first * 1e3, 2),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "what",
        choices=[
            "write",
            "single",
            "crowd",
            "ingest",
            "curve",
            "sustain",
            "prepare",
            "where",
            "recover",
        ],
    )
    parser.add_argument("--rates", type=int, nargs="+", default=[1000, 2000, 5000, 10_000, 0])
    parser.add_argument("--max-waiting", type=int)
    parser.add_argument("--rounds", type=int, default=5, help="of curve, 15 s each a rate")
    parser.add_argument("--seconds", type=float, default=60, help="of sustain")
    parser.add_argument("--folder", type=Path, help="kept; a temporary one for write by default")
    parser.add_argument("--dim", type=int, default=384)
    parser.add_argument("--rows", type=int, default=0, help="40,000 to write, 1,000,000 to prepare")
    parser.add_argument("--batch", type=int, default=100)
    options = parser.parse_args()
    writing = {
        "single": lambda folder: single_adds(folder, options.dim, 1500),
        "crowd": lambda folder: crowd(folder, options.dim, 39),
        "ingest": lambda folder: ingest(folder, options.dim, options.rows or 40_000, options.batch),
        "curve": lambda folder: curve(
            folder, options.dim, options.rates, options.max_waiting, options.rounds
        ),
        "sustain": lambda folder: sustain(folder, options.dim, options.rates, options.seconds),
    }
    if options.what in (*writing, "write"):
        for name in ("single", "crowd", "ingest") if options.what == "write" else [options.what]:
            with tempfile.TemporaryDirectory(dir=options.folder) as scratch:
                print(json.dumps(writing[name](Path(scratch)), indent=1), flush=True)
        return
    options.folder.mkdir(parents=True, exist_ok=True)
    result = {
        "prepare": lambda: prepare(options.folder, options.rows or 1_000_000, options.dim, 50_000),
        "where": lambda: where(options.folder),
        "recover": lambda: recover(options.folder),
    }[options.what]()
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
