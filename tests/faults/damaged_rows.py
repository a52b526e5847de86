"""Damage a collection's files at random; whatever is then read is what was written, or refused.

    python damaged_rows.py --damages 5000

A damage flips a bit, zeroes a stretch, repeats or cuts a part of rows.db, of its log, or of an
index file. Opening may refuse; reads may refuse; nothing may crash, hang, or give a row that was
not written so. SQLite takes a damaged end of its log for the end of the log: what was written after
the newest index file may then be missing, and nothing can tell; what was before it may not.
"""

import argparse
import json
import os
import random
import shutil
import sys
import tempfile
import time
import warnings
from pathlib import Path

import numpy as np

import nearfield as nf

DIM = 8
N = 300
VECTORS = np.random.default_rng(8).standard_normal((N, DIM), dtype=np.float32)
REFUSED = (nf.CorruptCollection, nf.DataLossDetected, OSError, nf.PoisonedError)
LATE = range(7, 27)
DAMAGES = ("flip", "zeros", "repeat", "cut")


def make(folder):
    """A collection with index files and a log to replay; gives all its rows ever written."""
    live = folder.with_name("live")
    with nf.Collection(live, dim=DIM, metric="l2", seal_rows=64) as docs:
        for start in range(0, N, 50):
            ids = list(range(start, start + 50))
            docs.upsert(
                ids,
                vectors=VECTORS[start : start + 50],
                texts=[f"text {id} " * 20 for id in ids],
                metadata=[{"i": id} for id in ids],
            )
            docs.catch_up()
        docs.snapshot()
        docs._open.store.rows.database.checkpoint()  # from here on the log begins anew
        rows = {item.id: (item.text, item.metadata, item.vector.tobytes()) for item in docs}
        docs.delete(list(LATE))
        with docs._open.store.writing:
            shutil.copytree(live, folder)
    shutil.rmtree(live)
    return rows


def damage(path, how, rng):
    data = bytearray(path.read_bytes())
    at = rng.randrange(len(data))
    length = rng.choice([1, 16, 512, 4096])
    if how == "flip":
        data[at] ^= 1 << rng.randrange(8)
    elif how == "zeros":
        data[at : at + length] = bytes(len(data[at : at + length]))
    elif how == "repeat":
        source = rng.randrange(len(data))
        part = data[source : source + length]
        data[at : at + len(part)] = part
    else:
        del data[at:]
    path.write_bytes(bytes(data))


def read(folder, rows, tally):
    """Open and read everything; raises AssertionError for what was not written."""
    try:
        docs = nf.Collection(folder, seal_rows=64)
    except REFUSED:
        tally["refused"] += 1
        return
    except ValueError as error:  # nothing of its making is left: it looks like a new one
        assert "dim or an encoder must be given" in str(error), error
        tally["refused"] += 1
        return
    told = False
    with docs:
        for id, row in rows.items():
            try:
                if id in docs:
                    item = docs.get(id)
                    assert (item.text, item.metadata, item.vector.tobytes()) == row, id
                elif id not in LATE:
                    told = True  # its key is damaged; the check must say so
            except REFUSED:
                told = True
        try:
            for hit in docs.search(VECTORS[0], k=N):
                assert rows[hit.id][:2] == (hit.text, hit.metadata), hit.id
        except REFUSED:
            told = True
        if told:
            assert not docs.check(deep=True).ok, "damage was met that a check does not find"
    tally["partly" if told else "whole"] += 1


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--damages", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    rng = random.Random(options.seed)
    started = time.monotonic()
    tally = {"whole": 0, "partly": 0, "refused": 0}
    failures = []
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=memory) as scratch:
        base, folder = Path(scratch) / "base", Path(scratch) / "docs"
        rows = make(base)
        names = sorted(path.name for path in base.iterdir() if path.stat().st_size > 1000)
        for number in range(options.damages):
            shutil.rmtree(folder, ignore_errors=True)
            shutil.copytree(base, folder)
            name = rng.choice([*names, "rows.db", "rows.db"])
            how = rng.choice(DAMAGES)
            damage(folder / name, how, rng)
            try:
                read(folder, rows, tally)
            except Exception as failure:
                failures.append(f"{number}: {how} of {name}: {type(failure).__name__}: {failure}")
    print(json.dumps({
        "damages": options.damages, **tally, "seconds": round(time.monotonic() - started, 1),
        "failures": failures,
    }))  # fmt: skip
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
