"""Kill a process that adds to an index, again and again: the finished index is as if it never was.

    python tests/kill_add.py --rows 2000000 --dim 128 --nlist 2048 --kills 8
    python tests/kill_add.py --data vectors.npy --rows 2000000 --nlist 2048 --kills 8

A child trains an `nf.IVFPQ`, adds pieces from an iterator and saves the index now and then, from
the callable that hears of progress; started again, it loads what was saved and goes on from there.
It gets SIGKILL at random moments: in training, in an addition, in a save. At last it is left alone,
and its file must be, byte for byte, that of a child that nobody killed.
"""

import argparse
import random
import subprocess
import sys
import tempfile
import time
from itertools import count
from pathlib import Path

import numpy as np

import nearfield as nf


def rows_from(args, start):
    """Pieces of the vectors from row `start` on; the same rows whatever the start."""
    data = None if args.data is None else np.load(args.data, mmap_mode="r")
    centres = 2 * np.random.default_rng(1).standard_normal((256, args.dim), dtype=np.float32)
    for number in count(start // args.piece):
        first = number * args.piece
        if first >= args.rows:
            return
        n = min(args.piece, args.rows - first)
        if data is not None:
            made = np.asarray(data[first : first + n], np.float32)
        else:
            rng = np.random.default_rng([2, number])
            made = centres[rng.integers(0, 256, n)]
            made += rng.standard_normal((n, args.dim), dtype=np.float32)
        yield made[max(0, start - first) :]


def child(args):
    """Go on from the file, where there is one, to the last row."""
    path = Path(args.index)
    if path.exists():
        index = nf.load(path)
    else:
        index = nf.IVFPQ(args.dim, "l2", args.nlist, rerank=None)
        index.train(np.concatenate([*_first(args)]))
        index.save(path)
    saved = len(index)

    def save(done, _total):
        nonlocal saved
        print(done, flush=True)
        if len(index) - saved >= args.save_every or len(index) == args.rows:
            index.save(path)
            saved = len(index)

    index.add(rows_from(args, len(index)), progress=save)


def _first(args):
    left = min(args.rows, 64 * args.nlist)
    for piece in rows_from(args, 0):
        yield piece[:left]
        left -= len(piece)
        if left <= 0:
            return


def start(args, path):
    options = {
        "rows": args.rows, "dim": args.dim, "nlist": args.nlist, "piece": args.piece,
        "save-every": args.save_every, "index": path, "data": args.data,
    }  # fmt: skip
    words = [f"--{name}={value}" for name, value in options.items() if value is not None]
    return subprocess.Popen([sys.executable, __file__, *words], stdout=subprocess.PIPE)


def finish(process):
    process.communicate()
    if process.returncode != 0:
        raise SystemExit(f"a child ended with status {process.returncode}")


def rows_saved(path):
    return nf.persistence.file_info(path).fields["vectors"] if path.exists() else 0


def kill(process, pieces, delay):
    """Kill a child `delay` seconds after it has told of so many pieces, if it is not done then."""
    for _ in range(pieces):
        if not process.stdout.readline():
            break
    time.sleep(delay)
    process.kill()
    process.communicate()


def run(args):
    """Return what happened, as a dict; raise where the files differ."""
    rng = random.Random(args.seed)
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        whole, broken = Path(folder) / "whole.nf", Path(folder) / "broken.nf"
        finish(start(args, whole))
        saved = []
        for number in range(args.kills):
            # The first dies early, the others after a save more, or in it.
            most = 2 * args.save_every // args.piece if number else 1
            pieces, delay = rng.randint(number > 0, most), rng.uniform(0, args.longest)
            kill(start(args, broken), pieces, delay)
            saved.append(rows_saved(broken))
        finish(start(args, broken))
        if whole.read_bytes() != broken.read_bytes():
            raise SystemExit("the index of the killed children differs")
        index = nf.load(broken)
        index.validate()
        return {"rows": len(index), "rows_saved_at_each_kill": saved}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--dim", type=int, default=32)
    parser.add_argument("--nlist", type=int, default=64)
    parser.add_argument("--piece", type=int, default=16_384)
    parser.add_argument("--save-every", type=int, default=250_000, help="rows")
    parser.add_argument("--kills", type=int, default=4)
    parser.add_argument("--longest", type=float, default=0.05, help="seconds before a kill")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data", help=".npy of vectors; none are made then")
    parser.add_argument("--folder", help="where files are written")
    parser.add_argument("--index", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.data is not None:
        args.dim = np.load(args.data, mmap_mode="r").shape[1]
    if args.index is not None:
        child(args)
    else:
        print(run(args))


if __name__ == "__main__":
    main()
