"""Record what a collection does to its folder, then open what a power cut could have left of it.

    LD_PRELOAD=/tmp/disk_faults.so python crash_states.py --states 15000

A disk may keep any part of what was not synced: all of it, none, some writes and not others, a
write torn between sectors; and of names that were made, moved or removed since the folder was
synced, the first few. Each state is opened and must hold what was acknowledged before the cut, or
that and the whole of the one batch under way.
"""

import argparse
import json
import os
import random
import shutil
import struct
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from disk_faults import Faults

import nearfield as nf

DIM = 8
VECTORS = np.random.default_rng(6).standard_normal((500, DIM), dtype=np.float32)
OPENED, WROTE, SYNCED, CUT, REMOVED, RENAMED, MARK = range(1, 8)
SECTOR = 512


def open_docs(folder, durability="full"):
    return nf.Collection(
        folder, dim=DIM, metric="l2", seal_rows=64, threads=1, durability=durability
    )


def state_of(docs):
    return {item.id: (item.text, item.vector.tobytes()) for item in docs}


def work(folder, faults, trace, seed, operations, durability):
    """Run a random workload with its I/O recorded; gives the state after each marked call."""
    rng = random.Random(seed)
    faults.watch(folder)
    faults.record(trace)
    states = [{}]
    docs = open_docs(folder, durability)
    try:
        for _ in range(operations):
            docs = change(docs, folder, rng, durability)
            states.append(state_of(docs))
            faults.mark(len(states) - 1)
    finally:
        docs.close()
        faults.record(None)
    states.append(states[-1])  # after closing
    return states


def change(docs, folder, rng, durability):
    held = [item.id for item in docs]
    kind = rng.random()
    if kind < 0.55:
        ids = rng.sample(range(300), rng.choice([1, 3, 20]))
        docs.upsert(
            ids,
            vectors=VECTORS[[rng.randrange(500) for _ in ids]],
            texts=[f"text {rng.random()} " * rng.choice([1, 1, 40]) for _ in ids],
        )
    elif kind < 0.75 and held:
        docs.delete(rng.sample(held, min(len(held), rng.choice([1, 5]))))
    elif kind < 0.85:
        docs.snapshot()
    elif kind < 0.95:
        docs.compact()
    else:
        docs.close()
        docs = open_docs(folder, durability)
    return docs


def read_trace(path):
    """(kind, name, offset, data) in order."""
    data = path.read_bytes()
    at, events = 0, []
    while at < len(data):
        kind, name_size, offset, size = struct.unpack_from("<iiqq", data, at)
        at += 24
        name = data[at : at + name_size].decode()
        at += name_size
        body = b""
        if kind in (WROTE, RENAMED):
            body = data[at : at + size]
            at += size
        events.append((kind, name, offset, body))
    return events


class Disk:
    """What was asked of a disk: files by number, names in order, and how much of it is synced."""

    def __init__(self):
        self.files = []  # per file: its operations
        self.synced = []  # per file: how many of them are
        self.names = []  # operations on names
        self.names_synced = 0
        self._now = {}
        self.marks = 0

    def apply(self, event):
        kind, name, offset, body = event
        if kind == MARK:
            self.marks = offset
        elif kind == OPENED and offset == 1:
            self._now[name] = len(self.files)
            self.files.append([])
            self.synced.append(0)
            self.names.append(("make", name, self._now[name]))
        elif kind == OPENED:
            self.files[self._now[name]].append((CUT, 0, b""))
        elif kind == SYNCED and name == ".":
            self.names_synced = len(self.names)
        elif kind == SYNCED:
            self.synced[self._now[name]] = len(self.files[self._now[name]])
        elif kind == REMOVED:
            del self._now[name]
            self.names.append(("remove", name, 0))
        elif kind == RENAMED:
            self._now[body.decode()] = self._now.pop(name)
            self.names.append(("rename", name, body.decode()))
        else:
            self.files[self._now[name]].append((kind, offset, body))

    def left_over(self, rng):
        """Contents by name, as they might be after a cut now."""
        style = rng.choice(["synced", "all", "some", "some", "some", "torn"])
        span = len(self.names) - self.names_synced
        kept = {"synced": 0, "all": span}.get(style, rng.randint(0, span))
        names = {}
        for what, name, other in self.names[: self.names_synced + kept]:
            if what == "make":
                names[name] = other
            elif what == "remove":
                names.pop(name, None)
            elif name in names:
                names[other] = names.pop(name)
        share = rng.random()
        return {name: self._content(number, style, share, rng) for name, number in names.items()}

    def _content(self, number, style, share, rng):
        content = bytearray()
        for i, (kind, offset, body) in enumerate(self.files[number]):
            if i >= self.synced[number]:
                if style == "synced" or (style != "all" and rng.random() > share):
                    continue
                if style == "torn" and kind == WROTE and rng.random() < 0.5:
                    body = body[: rng.randrange(0, len(body) + 1, SECTOR)]
            if kind == CUT:
                del content[offset:]
                content.extend(bytes(offset - len(content)))
            else:
                content.extend(bytes(max(0, offset - len(content))))
                content[offset : offset + len(body)] = body
        return bytes(content)


def check(folder, disk, states, rng, durability):
    """Open a state; gives a sentence if it is wrong."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, content in disk.left_over(rng).items():
        (folder / name).write_bytes(content)
    acknowledged = disk.marks
    with open_docs(folder) as docs:
        found = state_of(docs)
        first = acknowledged if durability == "full" else 0
        if found not in states[first : acknowledged + 2]:
            lost = [id for id, row in states[acknowledged].items() if found.get(id) != row]
            return f"after {acknowledged} calls: {len(found)} rows, {len(lost)} lost or other"
        if rng.random() < 0.2:
            verdict = docs.check(deep=True)
            if not verdict.ok:
                return f"after {acknowledged} calls: {verdict.findings[0]}"
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--states", type=int, default=1000)
    parser.add_argument("--operations", type=int, default=60, help="calls a workload")
    parser.add_argument("--states-a-workload", type=int, default=500)
    parser.add_argument("--durability", choices=["full", "os"], default="full")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    started, done, failures, workload = time.monotonic(), 0, [], 0
    faults = Faults()
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=memory) as scratch:
        live, folder, trace = (Path(scratch) / name for name in ("live", "state", "trace"))
        while done < options.states:
            seed = options.seed * 1000 + workload
            shutil.rmtree(live, ignore_errors=True)
            states = work(live, faults, trace, seed, options.operations, options.durability)
            faults.watch("/nowhere")
            events = read_trace(trace)
            rng = random.Random(seed)
            some = min(options.states_a_workload, options.states - done)
            disk, at = Disk(), 0
            for cut in sorted(rng.choices(range(len(events) + 1), k=some)):
                while at < cut:
                    disk.apply(events[at])
                    at += 1
                try:
                    wrong = check(folder, disk, states, rng, options.durability)
                except Exception as failure:
                    wrong = f"{type(failure).__name__}: {failure}"
                if wrong:
                    failures.append(f"workload {seed}, cut at {cut} of {len(events)}: {wrong}")
                done += 1
            workload += 1
    print(json.dumps({
        "states": done, "workloads": workload, "durability": options.durability,
        "seconds": round(time.monotonic() - started, 1), "failures": failures,
    }))  # fmt: skip
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
