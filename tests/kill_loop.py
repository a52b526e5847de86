"""Kill a process that writes a collection, again and again: nothing acknowledged may be lost.

    python tests/kill_loop.py --texts 100000 --kills 200

The texts are documentation found on this machine, embedded by wordllama, a small static model
(about 10,000 texts a second), or, where that is not installed, by the words they have: each word
has a random vector and a text their sum. Without --texts rows are random vectors. A child
writes batches, tells each one that was acknowledged through a pipe, and gets SIGKILL at a random
moment: in a write, a commit, a build, a snapshot or a recovery. The parent opens what is left and
compares all rows with what the pipe said; the batch under way may be there whole or not at all.
"""

import argparse
import importlib.util
import json
import os
import random
import signal
import struct
import sys
import tempfile
import time
import zlib
from pathlib import Path

import numpy as np

import nearfield as nf

HERE = Path(__file__).resolve().parent
DONE = struct.Struct("<q")


def random_rows(count, dim=16):
    """Texts and vectors that mean nothing."""
    vectors = np.random.default_rng(0).standard_normal((count, dim), dtype=np.float32)
    return [f"row {i}" for i in range(count)], vectors


def real_rows(count):
    """Documentation from this machine and its embeddings, as many as there are up to `count`."""
    sys.path.insert(0, str(HERE.parent / "benchmarks"))
    import texts

    found = texts.real_texts(count)
    embed = embed_model if importlib.util.find_spec("wordllama") else embed_words
    vectors = embed(found)
    known = np.linalg.norm(vectors, axis=1) > 0
    return [text for text, keep in zip(found, known, strict=True) if keep], vectors[known]


def embed_model(texts):
    import wordllama

    weights = Path(wordllama.__file__).parent
    model = wordllama.WordLlama.load(cache_dir=weights, disable_download=True)
    return np.asarray(model.embed(texts, norm=True), np.float32)


def embed_words(texts, dim=256):
    words = np.random.default_rng(0).standard_normal((1 << 14, dim), dtype=np.float32)
    places = [[zlib.crc32(word.encode()) % len(words) for word in text.split()] for text in texts]
    return np.stack([words[place].sum(axis=0) for place in places])


class Writer:
    """The plan of writes: a batch of a number is always the same.

    So rows tell how far a run came. Each batch upserts `size` rows; every third deletes two.
    """

    def __init__(self, texts, vectors, size):
        self.texts, self.vectors, self.size = texts, vectors, size
        self.batches = -(-len(texts) // size)

    def batch(self, number):
        """(ids, rows) to upsert and ids to delete, of the batch `number`."""
        n = len(self.texts)
        first = (number * self.size) % n
        new = [(first + i) % n for i in range(self.size)]
        rng = random.Random(number)
        return new, [rng.randrange(n) for _ in range(2)] if number % 3 == 0 else []

    def write(self, docs, number):
        ids, gone = self.batch(number)
        docs.upsert(
            ids, texts=[self.texts[id] for id in ids], vectors=self.vectors[ids],
            metadata=[{"batch": number, "third": id % 3} for id in ids],
        )  # fmt: skip
        return gone


def child(folder, writer, start, pipe, options):
    """Write until killed, telling 2 b after the upsert of batch b, 2 b + 1 after its deletions."""
    docs = open_docs(folder, writer, options)
    number = start
    while True:
        gone = writer.write(docs, number)
        os.write(pipe, DONE.pack(2 * number))
        if gone:
            docs.delete(sorted(set(gone)), missing="ignore")
        os.write(pipe, DONE.pack(2 * number + 1))
        number += 1
        if number % options.snapshot_every == 0:
            docs.snapshot()


def open_docs(folder, writer, options):
    return nf.Collection(
        folder, dim=writer.vectors.shape[1], seal_rows=options.seal_rows, threads=1,
        cache_bytes=1 << 20,
    )  # fmt: skip


def expected(writer, steps):
    """Rows after so many steps: step 2 b is the upsert of batch b, step 2 b + 1 its deletions."""
    held = {}
    advance(writer, held, 0, steps)
    return held


def advance(writer, held, start, stop):
    for step in range(start, stop):
        ids, gone = writer.batch(step // 2)
        if step % 2 == 0:
            held.update(dict.fromkeys(ids, step // 2))
        else:
            for id in gone:
                held.pop(id, None)


def kill_once(folder, writer, start, delay, options):
    """Start a child, kill it after `delay`; gives how many steps it was heard to have done."""
    reads, writes = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reads)
        try:
            child(folder, writer, start, writes, options)
        except BaseException as error:
            print(f"the writer failed: {type(error).__name__}: {error}", file=sys.stderr)
        finally:
            os._exit(1)
    os.close(writes)
    time.sleep(delay)
    os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    with os.fdopen(reads, "rb") as pipe:
        heard = pipe.read()
    done = [DONE.unpack_from(heard, at)[0] for at in range(0, len(heard) // 8 * 8, 8)]
    if not os.WIFSIGNALED(status):
        raise AssertionError("the writer ended by itself")
    return (done[-1] + 1) if done else 2 * start


def verify(folder, writer, held, steps, options, deep):
    """Open what is left; gives the steps that are in it. Raises AssertionError for a fault."""
    with open_docs(folder, writer, options) as docs:
        found = {item.id: item.metadata["batch"] for item in docs}
        for extra in (0, 1, 2):  # the call under way; batches without deletions have an empty one
            if found == held:
                break
            advance(writer, held, steps + extra, steps + extra + 1)
        else:
            held = expected(writer, steps)
            lost = [id for id in held if id not in found]
            other = [id for id in found if held.get(id) != found[id]]
            raise AssertionError(
                f"after {steps} steps {len(lost)} rows are lost ({lost[:5]}), "
                f"{len(other)} are others ({other[:5]})"
            )
        if deep:
            check = docs.check(deep=True)
            assert check.ok, check.findings
        id = next(iter(found), None)
        if id is not None:
            near = docs.search(writer.vectors[id], k=3)
            assert near[0].distance < 1e-2, near
            assert docs.get(id).text == writer.texts[id]
    return steps + extra


def run(options, rows):
    """Kill `options.kills` times; gives counts."""
    rng = random.Random(options.seed)
    writer = Writer(*rows, options.batch)
    started, steps, held = time.monotonic(), 0, {}
    with tempfile.TemporaryDirectory(dir=options.dir) as scratch:
        folder = Path(scratch) / "docs"
        for kill in range(options.kills):
            start = -(-steps // 2)  # a batch whose deletions were cut off is finished first
            if steps % 2:
                finish(folder, writer, steps, options)
                advance(writer, held, steps, steps + 1)
                steps += 1
            delay = rng.uniform(0, options.longest)
            heard = kill_once(folder, writer, start, delay, options)
            advance(writer, held, steps, heard)
            steps = verify(folder, writer, held, heard, options, deep=kill % 10 == 9)
            if kill % 20 == 19:
                print(f"{kill + 1} kills, {steps} calls, {len(held):,} rows, nothing lost",
                      file=sys.stderr)  # fmt: skip
    return {
        "kills": options.kills, "calls": steps, "of_rows": len(writer.texts), "rows": len(held),
        "lost": 0, "seconds": round(time.monotonic() - started, 1),
    }  # fmt: skip


def finish(folder, writer, steps, options):
    _, gone = writer.batch(steps // 2)
    with open_docs(folder, writer, options) as docs:
        docs.delete(sorted(set(gone)), missing="ignore")


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--texts", type=int, default=0, help="real texts; 0 for random vectors")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--batch", type=int, default=100, help="rows a call")
    parser.add_argument("--longest", type=float, default=1.0, help="seconds before a kill, at most")
    parser.add_argument("--seal-rows", type=int, default=1024)
    parser.add_argument("--snapshot-every", type=int, default=50, help="batches")
    parser.add_argument("--dir", help="where the collection lies while it is tried")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    rows = real_rows(options.texts) if options.texts else random_rows(20_000)
    print(json.dumps(run(options, rows)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
