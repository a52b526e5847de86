"""Let every single I/O call of every operation fail, and see that a collection loses nothing.

    python -c "import disk_faults; disk_faults.build('/tmp')"
    LD_PRELOAD=/tmp/disk_faults.so python io_faults.py --every 1

For each operation and each k, the k-th call that changes the folder fails once, or fails for ever,
or writes half, or kills the process. Afterwards the collection is opened without faults and must
hold exactly what was acknowledged: the state before the operation or the one after it if the
operation raised, the one after it if it returned.
"""

import argparse
import contextlib
import errno
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from disk_faults import FOREVER, KILL, OFF, ONCE, SHORT, Faults

import nearfield as nf

DIM = 8
VECTORS = np.random.default_rng(5).standard_normal((200, DIM), dtype=np.float32)
MODES = {
    "eio-once": (ONCE, errno.EIO), "eio-forever": (FOREVER, errno.EIO),
    "enospc-once": (ONCE, errno.ENOSPC), "enospc-forever": (FOREVER, errno.ENOSPC),
    "eintr-once": (ONCE, errno.EINTR), "short-once": (SHORT, 0), "kill": (KILL, 0),
}  # fmt: skip
# What an operation may raise when the disk fails it.
EXPECTED = (OSError, nf.PoisonedError, nf.CorruptCollection)


def open_docs(folder):
    return nf.Collection(folder, dim=DIM, metric="l2", seal_rows=64, threads=1)


def put(docs, ids, version):
    docs.upsert(
        ids, vectors=VECTORS[[(7 * id + version) % 200 for id in ids]],
        texts=[f"text {id} {version}" for id in ids], metadata=[{"v": version}] * len(ids),
    )  # fmt: skip


def state_of(docs):
    return {item.id: (item.text, item.metadata["v"], item.vector.tobytes()) for item in docs}


def no_change(docs):
    pass


OPERATIONS = {
    "make": None,
    "open": no_change,
    "add": lambda docs: docs.add(
        ids=[100, 101, 102], vectors=VECTORS[:3], texts=["a", "b", "c"], metadata=[{"v": 9}] * 3
    ),
    "upsert": lambda docs: put(docs, [1, 2, 110], 3),
    "delete": lambda docs: docs.delete([3, 4, 5]),
    "snapshot": lambda docs: docs.snapshot(),
    "compact": lambda docs: docs.compact(),
    "close": lambda docs: docs.close(),
}


def make_base(folder):
    """A collection that ended without being closed: its log is still to be replayed."""
    live = folder.with_name("live")
    with open_docs(live) as docs:
        put(docs, list(range(40)), 1)
        docs.compact()
        docs.snapshot()
        put(docs, list(range(30, 60)), 2)
        docs.delete([0])
        shutil.copytree(live, folder)
        before = state_of(docs)
    shutil.rmtree(live)
    return before


def perform(name, folder, faults, mode, at, error):
    """Run an operation with a fault armed; gives whether it returned, and the calls it made."""
    work = OPERATIONS[name]
    docs = None
    try:
        if name in ("make", "open"):
            faults.arm(mode, at, error)
            docs = open_docs(folder)
        else:
            docs = open_docs(folder)
            faults.arm(mode, at, error)
            work(docs)
        returned = True
    except EXPECTED:
        returned = False
    calls = faults.count()
    if docs is not None:
        faults.arm(OFF)
        check_handle(docs)
        docs.close()
    faults.arm(OFF)
    return returned, calls


def check_handle(docs):
    """Whatever has happened, the open handle still answers and does not hang."""
    with contextlib.suppress(ValueError):  # it is closed by now
        if len(docs):
            docs.search(VECTORS[0], k=3)
            with contextlib.suppress(*EXPECTED):
                docs.delete([999], missing="ignore")


def verify(name, folder, returned, before, after):
    """Open without faults and compare; gives a sentence if something is wrong."""
    with open_docs(folder) as docs:
        found = state_of(docs)
        allowed = [after] if returned else [before, after]
        if found not in allowed:
            lost = [id for id in before if id not in found and id in after]
            return f"{name}: rows differ, {len(found)} found, lost {lost[:5]}"
        check = docs.check(deep=True)
        if not check.ok:
            return f"{name}: {check.findings[0]}"
        ids = {hit.id for hit in docs.search(VECTORS[0], k=500)}
        if ids != set(found):
            return f"{name}: search finds {len(ids)} of {len(found)}"
    return None


def run(name, base, folder, faults, mode, at, error):
    shutil.rmtree(folder, ignore_errors=True)
    if name != "make":
        shutil.copytree(base, folder)
    if mode != KILL:
        return perform(name, folder, faults, mode, at, error)
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            perform(name, folder, faults, mode, at, error)
        os._exit(0)
    os.waitpid(child, 0)
    return False, 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--every", type=int, default=1, help="try every so many-th k only")
    parser.add_argument("--modes", default=",".join(MODES))
    parser.add_argument("--operations", default=",".join(OPERATIONS))
    parser.add_argument("--seed", type=int, default=0, help="which k the stride begins with")
    options = parser.parse_args()
    started = time.monotonic()
    faults = Faults()
    runs, raised = {}, 0
    failures = []
    # In memory where that is to be had: it is the calls that fail, not the disk.
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=memory) as scratch:
        base, folder = Path(scratch) / "base", Path(scratch) / "docs"
        before_all = make_base(base)
        faults.watch(folder)
        for name in options.operations.split(","):
            before = {} if name == "make" else before_all
            _, calls = run(name, base, folder, faults, OFF, 0, 0)
            with open_docs(folder) as docs:
                after = state_of(docs)
            for label in options.modes.split(","):
                mode, error = MODES[label]
                tried = range(1 + options.seed % options.every, calls + 2, options.every)
                for at in tried:
                    try:
                        returned, _ = run(name, base, folder, faults, mode, at, error)
                        raised += not returned and mode != KILL
                        wrong = verify(name, folder, returned, before, after)
                    except Exception as failure:
                        faults.arm(OFF)
                        wrong = f"{name}: {type(failure).__name__}: {failure}"
                    if wrong:
                        failures.append(f"{label} at call {at} of {calls}: {wrong}")
                runs[f"{name} {label}"] = len(tried)
    summary = {
        "runs": sum(runs.values()),
        "raised": raised,
        "seconds": round(time.monotonic() - started, 1),
        "by": runs,
        "failures": failures,
    }
    print(json.dumps(summary))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
